"""Seeded damage: to bytes, to JSON documents, and to numbers and words of any kind."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from numpy.random import Generator

Path = tuple[str | int, ...]

HOSTILE_TEXTS = (
    "",
    "\x1b[31mred\x1b]0;title\x07",
    "two\nlines",
    "null\x00byte",
    "\u202eright to left",
    "\ud800",
    "<img src=x onerror=alert(1)>",
    "../../../etc/passwd",
    "/dev/zero",
    "a" * 100_000,
    "{{ 7 * 7 }}",
    "%s%n",
    "NaN",
    "é\u0301\U0001f600",
)
HOSTILE_NUMBERS = (
    0,
    -1,
    1,
    2**31,
    -(2**31),
    2**63,
    -(2**63) - 1,
    10**400,
    1e308,
    -1e-320,
    5e-324,
    0.5,
    float("inf"),
    float("-inf"),
    float("nan"),
)
HOSTILE_VALUES = (
    *HOSTILE_TEXTS,
    *HOSTILE_NUMBERS,
    None,
    True,
    False,
    [],
    {},
    [[]],
    {"": None},
    [None],
    {"a": {"b": []}},
)


def pick(random: Generator, things: Any) -> Any:
    """Return one of some things."""
    items = list(things)
    return items[int(random.integers(len(items)))]


def damaged(random: Generator, content: bytes) -> tuple[str, bytes]:
    """Return bytes damaged in one of several ways, and what was done."""
    name = pick(random, BYTE_DAMAGE)
    return name, BYTE_DAMAGE[name](random, content)


def _flipped(random: Generator, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(int(random.integers(1, 9))):
        changed[int(random.integers(len(changed)))] ^= 1 << int(random.integers(8))
    return bytes(changed)


def _overwritten(random: Generator, content: bytes) -> bytes:
    length = int(random.integers(1, 65))
    start = int(random.integers(max(len(content) - length, 1)))
    return content[:start] + random.bytes(length) + content[start + length :]


def _cut(random: Generator, content: bytes) -> bytes:
    return content[: int(random.integers(len(content)))]


def _removed(random: Generator, content: bytes) -> bytes:
    start, end = sorted(int(place) for place in random.integers(len(content), size=2))
    return content[:start] + content[end + 1 :]


def _repeated(random: Generator, content: bytes) -> bytes:
    start, end = sorted(int(place) for place in random.integers(len(content), size=2))
    return content[:end] + content[start:end] * int(random.integers(1, 4)) + content[end:]


def _inserted(random: Generator, content: bytes) -> bytes:
    start = int(random.integers(len(content)))
    return content[:start] + random.bytes(int(random.integers(1, 257))) + content[start:]


def _zeros(random: Generator, content: bytes) -> bytes:
    start = int(random.integers(len(content)))
    length = int(random.integers(1, 1025))
    return content[:start] + bytes(min(length, len(content) - start)) + content[start + length :]


def _appended(random: Generator, content: bytes) -> bytes:
    return content + random.bytes(int(random.integers(1, 4097)))


def _ones(random: Generator, content: bytes) -> bytes:
    """A run of 0xff: the largest number of whatever field it falls into."""
    start = int(random.integers(len(content)))
    length = int(random.integers(1, 10))
    return content[:start] + b"\xff" * length + content[start + length :]


BYTE_DAMAGE: dict[str, Callable[[Generator, bytes], bytes]] = {
    "flipped bits": _flipped,
    "overwritten": _overwritten,
    "cut off": _cut,
    "part removed": _removed,
    "part repeated": _repeated,
    "noise inserted": _inserted,
    "zeros": _zeros,
    "noise appended": _appended,
    "0xff": _ones,
}


def places(document: Any, above: Path = ()) -> Iterator[Path]:
    """Yield the path of everything inside a JSON document."""
    inside: Any = ()
    if isinstance(document, dict):
        inside = document.items()
    elif isinstance(document, list):
        inside = enumerate(document)
    for key, value in inside:
        yield (*above, key)
        yield from places(value, (*above, key))


def at(document: Any, path: Path) -> Any:
    """Return what stands at a path."""
    for step in path:
        document = document[step]
    return document


def operated_on(random: Generator, document: Any) -> str:
    """Damage a JSON document in place, once; return what was done, and where."""
    found = list(places(document))
    # Top-level keys would be one place in a thousand: choose the depth first.
    depth = int(random.integers(1, max(map(len, found)) + 1))
    path = pick(random, [path for path in found if len(path) == depth])
    name = pick(random, SURGERY)
    SURGERY[name](random, at(document, path[:-1]), path[-1], document)
    return f"{name} at {'.'.join(map(str, path))}"


def _replace(random: Generator, parent: Any, key: Any, _whole: Any) -> None:
    parent[key] = pick(random, HOSTILE_VALUES)


def _remove(_random: Generator, parent: Any, key: Any, _whole: Any) -> None:
    del parent[key]


def _duplicate(_random: Generator, parent: Any, key: Any, _whole: Any) -> None:
    if isinstance(parent, list):
        parent.insert(key, parent[key])
    else:
        parent[f"{key}2"] = parent[key]


def _transplant(random: Generator, parent: Any, key: Any, whole: Any) -> None:
    parent[key] = json.loads(json.dumps(at(whole, pick(random, list(places(whole))))))


def _as_text(_random: Generator, parent: Any, key: Any, _whole: Any) -> None:
    parent[key] = json.dumps(parent[key])


def _nest(random: Generator, parent: Any, key: Any, _whole: Any) -> None:
    parent[key] = pick(random, ([parent[key]], {"value": parent[key]}))


def _empty(_random: Generator, parent: Any, key: Any, _whole: Any) -> None:
    parent[key] = type(parent[key])() if parent[key] is not None else []


def _scale(random: Generator, parent: Any, key: Any, _whole: Any) -> None:
    value = parent[key]
    parent[key] = (
        value * pick(random, (-1, 0, 1000)) if isinstance(value, int | float) else pick(random, HOSTILE_NUMBERS)
    )


SURGERY: dict[str, Callable[[Generator, Any, Any, Any], None]] = {
    "hostile value": _replace,
    "removed": _remove,
    "duplicated": _duplicate,
    "transplant": _transplant,
    "as text": _as_text,
    "nested": _nest,
    "emptied": _empty,
    "scaled": _scale,
}
