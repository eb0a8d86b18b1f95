"""Registries are plain dicts; registering a name twice is an error, and unknown names get suggestions."""

from __future__ import annotations

import difflib
import importlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from edgecheck.errors import ConfigError

Value = TypeVar("Value")
Reference = str | Callable[..., Any]
"""A function, or `"package.module:name"`, so that a table can be read without importing the function's module."""

SUGGESTIONS = 3
SHORTEST = 3  # shorter strings occur in most names


# Names are parts of file names, metrics and options.
_NAME = re.compile(r"\w[\w.+:-]*", re.ASCII)

# Takes the names that are registered while a plugin file is imported.
_RECORDED: ContextVar[set[str] | None] = ContextVar("recorded", default=None)


def register(registry: MutableMapping[str, Value], name: str) -> Callable[[Value], Value]:
    """Return a decorator that adds its argument to `registry` under `name`.

    Raises:
        ValueError: the name is already registered, or cannot be part of a file name: a programming error.
        TypeError: a plugin's value is of another kind than those registered before.
    """

    def file(value: Value) -> Value:
        if name in registry:
            raise ValueError(f"{name!r} is registered twice")
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot be a name: use letters, digits and _ . + : -")
        recording = _RECORDED.get()
        if recording is not None:
            _check_kind(registry.values(), value, name)
            recording.add(name)
        registry[name] = value
        return value

    return file


def _check_kind(known: Iterable[object], value: object, name: str) -> None:
    """Refuse a value of another kind than all known ones; where there are none yet, anything fits."""
    kinds = {_kind(one): None for one in known}
    if kinds and _kind(value) not in kinds:
        raise TypeError(f"{name!r} must be {' or '.join(kinds)}, not {_kind(value)}")


def _kind(value: object) -> str:
    if isinstance(value, type):
        return "a class"
    return "a function" if callable(value) else f"of type {type(value).__name__}"


@contextmanager
def recorded() -> Iterator[set[str]]:
    """Yield a set that collects the names registered within this block."""
    names: set[str] = set()
    token = _RECORDED.set(names)
    try:
        yield names
    finally:
        _RECORDED.reset(token)


def lookup(registry: Mapping[str, Value], name: str, kind: str, listed: Iterable[str] | None = None) -> Value:
    """Return the value registered under `name`.

    Args:
        registry: the values by name.
        name: of the value.
        kind: describes it in the error message.
        listed: names to list there in place of all.

    Raises:
        ConfigError: the name is unknown; the message suggests the closest names and lists all.
    """
    if name not in registry:
        known = ", ".join(registry if listed is None else listed)
        raise ConfigError(f"unknown {kind} {name!r}{nearest(name, registry)}; known: {known}")
    return registry[name]


def resolve(reference: Reference) -> Callable[..., Any]:
    """Return the function of a reference, importing its module if needed."""
    if not isinstance(reference, str):
        return reference
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `", did you mean 'x'?"`, or "" if no known name is close.

    Suggests the names that differ only in case and separators; else those that contain the name, prefixes first; else
    the most similar one.
    """
    names, part = list(known), _letters(name)
    same = [other for other in names if _letters(other) == part]
    holding = [other for other in names if len(part) >= SHORTEST and part in _letters(other)]
    holding.sort(key=lambda other: not _letters(other).startswith(part))
    *others, last = same or holding[:SUGGESTIONS] or difflib.get_close_matches(name, names, n=1) or [""]
    listed = " or ".join(filter(None, [", ".join(map(repr, others)), repr(last)]))
    return f", did you mean {listed}?" if last else ""


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9+]", "", name.lower())
