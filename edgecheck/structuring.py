"""Strict cattrs hooks, which accept values of the right type without coercion, and the location of errors."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import attrs
import cattrs
from cattrs import BaseConverter
from cattrs.cols import list_structure_factory
from cattrs.errors import ClassValidationError, ForbiddenExtraKeysError, IterableValidationError

from edgecheck.registry import nearest

Step = str | int

# Beyond this, a float cannot represent every whole number; no count is that large.
LARGEST_WHOLE = 2**53


def strict(kind: type, accepted: type | tuple[type, ...], name: str) -> Any:
    """Return a cattrs hook that accepts a scalar of the right type, without coercion."""

    def convert(value: Any, _: Any) -> Any:
        # bool is an int in Python, but `epochs: yes` is a mistake.
        if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
            raise ValueError(f"expected {name}, not {described(value)}")
        return kind(value)

    return convert


def choice(kind: Any) -> Any:
    """Return a cattrs hook that accepts one of the values of a Literal."""
    words = get_args(kind)

    def convert(value: Any, _: Any) -> Any:
        if not isinstance(value, str) or value not in words:
            raise ValueError(f"expected {' or '.join(map(str, words))}, not {described(value)}")
        return value

    return convert


def register_literals(converter: BaseConverter) -> None:
    """Make a converter use `choice` for Literals."""
    converter.register_structure_hook_factory(lambda kind: get_origin(kind) is Literal)(choice)


def json_converter() -> cattrs.Converter:
    """Return a converter between records and JSON that refuses unknown keys and wrong types."""
    converter = cattrs.Converter(forbid_extra_keys=True)
    converter.register_structure_hook(str, strict(str, str, "text"))
    converter.register_structure_hook(int, _whole)
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook(bool, strict(bool, bool, "true or false"))
    converter.register_structure_hook_factory(lambda kind: get_origin(kind) is list)(_list)
    register_literals(converter)
    return converter


def _number(value: Any, _: Any) -> float:
    number: float = strict(float, (int, float), "a number")(value, _)
    if not math.isfinite(number):
        raise ValueError(f"expected a finite number, not {number}")
    return number


def _whole(value: Any, _: Any) -> int:
    number: int = strict(int, int, "a whole number")(value, _)
    if abs(number) > LARGEST_WHOLE:
        raise ValueError(f"expected a whole number up to {LARGEST_WHOLE}, not {described(number)}")
    return number


def _list(kind: Any, converter: BaseConverter) -> Any:
    """Accept a list, but neither a string nor a mapping."""
    structure_items = list_structure_factory(kind, converter)

    def convert(value: Any, _: Any) -> Any:
        if not isinstance(value, list):
            raise ValueError(f"expected a list, not {described(value)}")
        return structure_items(value, kind)

    return convert


def described(value: Any) -> str:
    """Return a value as text for a message: a shortened scalar, or the type of anything else."""
    if value is None or isinstance(value, str | int | float):
        return reprlib.repr(value)
    names = {list: "a list", dict: "`key: value` lines"}
    return next((name for kind, name in names.items() if isinstance(value, kind)), f"a {type(value).__name__}")


def failures(error: BaseException, steps: tuple[Step, ...] = ()) -> Iterator[tuple[tuple[Step, ...], str]]:
    """Yield the location and the message of each single error in cattrs' nested error groups."""
    if isinstance(error, ClassValidationError):
        inside, here = error.group_exceptions()
        # Unknown keys come first: one is often the misspelling of a missing key.
        for child in here:
            yield from _failures_of_record(child, steps)
        for child, note in inside:
            yield from failures(child, (*steps, note.name))
    elif isinstance(error, IterableValidationError):
        for child, item in error.group_exceptions()[0]:
            yield from failures(child, (*steps, item.index))
    elif isinstance(error, AttributeError | TypeError):  # cattrs tried to read keys of a value without keys
        yield steps, "expected `key: value` lines here"
    else:
        yield steps, f"missing key {error.args[0]!r}" if isinstance(error, KeyError) else str(error)


def _failures_of_record(error: BaseException, steps: tuple[Step, ...]) -> Iterator[tuple[tuple[Step, ...], str]]:
    if isinstance(error, ForbiddenExtraKeysError):
        known = [attribute.name for attribute in attrs.fields(error.cl)]
        for key in sorted(map(str, error.extra_fields)):
            yield (*steps, key), f"unknown key {key!r}{nearest(key, known)}; known: {', '.join(known)}"
    else:
        yield from failures(error, steps)
