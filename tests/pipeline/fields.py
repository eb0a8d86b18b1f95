"""All stages, the plain values inside a record, and a record with one of them changed."""

import importlib
import pickle
import pkgutil
from pathlib import Path

import attrs

from edgecheck.artefact import is_locator
from edgecheck.pipeline import stages
from edgecheck.pipeline.stage import Stage
from edgecheck.pruning.structures import STRUCTURES


def all_stages():
    for module in pkgutil.iter_modules(stages.__path__):
        loaded = importlib.import_module(f"{stages.__name__}.{module.name}")
        for value in vars(loaded).values():
            here = isinstance(value, type) and issubclass(value, Stage) and value.__module__ == loaded.__name__
            if here and hasattr(value, "kind"):  # not a base of others
                yield value


def leaves(value, path=()):
    """Yield where each plain value lies inside a record, and whether the key leaves it out."""
    if attrs.has(type(value)):
        for field in attrs.fields(type(value)):
            hidden = is_locator(field)
            for inner, out in leaves(getattr(value, field.name), (*path, field.name)):
                yield inner, out or hidden
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list | tuple) and value:
        for place, item in enumerate(value):
            yield from leaves(item, (*path, place))
    else:
        yield path, False


def changed(value, path, salt):
    """Return a record with the plain value at a place changed."""
    if not path:
        return other(value, salt)
    head, *rest = path
    if attrs.has(type(value)):
        copy = pickle.loads(pickle.dumps(value))
        object.__setattr__(copy, head, changed(getattr(value, head), rest, salt))  # past the validators
        return copy
    if isinstance(value, dict):
        return {**value, head: changed(value[head], rest, salt)}
    items = [changed(item, rest, salt) if place == head else item for place, item in enumerate(value)]
    return type(value)(items)


def other(value, salt):
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + salt
    if isinstance(value, Path):
        return value / str(salt)
    if value is None:
        return salt
    if isinstance(value, str) and value in STRUCTURES:  # a name that is looked up
        return "filters" if value == "unstructured" else "unstructured"
    return f"{value}{salt}" if isinstance(value, str) else [salt]
