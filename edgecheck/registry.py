"""Named things in plain dicts: a duplicate is an error, an unknown name lists the known ones."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import TypeVar

from edgecheck.errors import ConfigError

Value = TypeVar("Value")


def register(registry: MutableMapping[str, Value], name: str) -> Callable[[Value], Value]:
    """Return a decorator that files its argument in `registry` under `name`.

    Raises:
        ValueError: the name is taken (a slip of the programmer, not of the user).
    """

    def file(value: Value) -> Value:
        if name in registry:
            raise ValueError(f"{name!r} is registered twice")
        registry[name] = value
        return value

    return file


def lookup(registry: Mapping[str, Value], name: str, kind: str) -> Value:
    """Return what is registered under `name`; `kind` says in the error what was looked for.

    Raises:
        ConfigError: unknown name; the message has the nearest known one and the list.
    """
    if name not in registry:
        raise ConfigError(f"unknown {kind} {name!r}{nearest(name, registry)}; known: {', '.join(registry)}")
    return registry[name]


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `", did you mean 'x'?"`-style advice, or nothing where no known name is close."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f", did you mean {close[0]!r}?" if close else ""
