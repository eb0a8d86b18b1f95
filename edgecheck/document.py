"""YAML text -> attrs records, with every error at its file and line and the nearest known key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import attrs
import cattrs
from cattrs import BaseConverter
from cattrs.cols import list_structure_factory
from cattrs.errors import ClassValidationError, ForbiddenExtraKeysError, IterableValidationError
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from edgecheck import bounded_yaml
from edgecheck.errors import ConfigError
from edgecheck.registry import nearest

Record = TypeVar("Record")
Step = str | int


def read(text: str, source: str) -> CommentedMap:
    """Parse YAML into a mapping that remembers its lines.

    Raises:
        ConfigError: not YAML, nested too deeply, too large, or not a mapping at the top.
    """
    try:
        document = bounded_yaml.load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{source}:{line}: not YAML: {error.problem or error.context}") from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{source}: not YAML: {error}") from None
    if not isinstance(document, CommentedMap):
        raise ConfigError(f"{source}: expected `key: value` lines, as `edgecheck init` writes them")
    return document


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one mapping over another; mappings are merged, everything else is replaced."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(old, value) if both else value  # type: ignore[arg-type]
    return merged


def structure(data: Mapping[str, Any], kind: type[Record], document: CommentedMap, source: str) -> Record:
    """Turn a mapping into a record; errors point into `document`, which `data` came from.

    Raises:
        ConfigError: unknown key, missing key, wrong type, or a value that the record refuses; the first of them.
    """
    try:
        return _converter.structure(data, kind)
    except ClassValidationError as error:
        steps, message = next(_failures(error, ()), ((), "a value of another form than expected"))
        place = ".".join(map(str, steps))
        # Without a text (all from flags) there is no line to point at.
        where = f"{source}:{line_of(document, steps)}" if document else source
        raise ConfigError(f"{where}: {place + ': ' if place else ''}{message}") from None


def line_of(document: Any, steps: tuple[Step, ...]) -> int:
    """Return the line (from 1) of the key or item at `steps`, or of the deepest parent that is in the document."""
    line, node = 1, document
    for step in steps:
        try:
            if isinstance(node, CommentedMap):
                line = node.lc.key(step)[0] + 1
            elif isinstance(node, CommentedSeq):
                line = node.lc.item(step)[0] + 1
            node = node[step]
        except (KeyError, IndexError, TypeError):
            break
    return line


def _failures(error: BaseException, steps: tuple[Step, ...]) -> Iterator[tuple[tuple[Step, ...], str]]:
    """Walk cattrs' error groups down to single mistakes, each with its path in the document."""
    if isinstance(error, ClassValidationError):
        inside, here = error.group_exceptions()
        # An unknown key first: it is often the misspelt twin of a missing one.
        for child in here:
            yield from _failures_of_record(child, steps)
        for child, note in inside:
            yield from _failures(child, (*steps, note.name))
    elif isinstance(error, IterableValidationError):
        for child, item in error.group_exceptions()[0]:
            yield from _failures(child, (*steps, item.index))
    elif isinstance(error, AttributeError | TypeError):  # cattrs asks whatever it gets for its keys
        yield steps, "expected `key: value` lines here"
    else:
        yield steps, f"missing key {error.args[0]!r}" if isinstance(error, KeyError) else str(error)


def _failures_of_record(error: BaseException, steps: tuple[Step, ...]) -> Iterator[tuple[tuple[Step, ...], str]]:
    if isinstance(error, ForbiddenExtraKeysError):
        known = [attribute.name for attribute in attrs.fields(error.cl)]
        for key in sorted(map(str, error.extra_fields)):
            yield (*steps, key), f"unknown key {key!r}{nearest(key, known)}; known: {', '.join(known)}"
    else:
        yield from _failures(error, steps)


def _strict(kind: type, accepted: type | tuple[type, ...], name: str) -> Any:
    """Return a cattrs hook that takes a YAML scalar of the right type and coerces nothing else."""

    def convert(value: Any, _: Any) -> Any:
        # bool is an int in Python, but `epochs: yes` is a slip.
        if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
            raise ValueError(f"expected {name}, not {value!r}")
        return kind(value)

    return convert


def _one_or_many(kind: Any, converter: BaseConverter) -> Any:
    """Take a list, or a single value for a list of one; a text is never a list of letters."""
    structure_items = list_structure_factory(kind, converter)

    def convert(value: Any, _: Any) -> Any:
        if isinstance(value, Mapping):
            raise ValueError(f"expected a list, not the keys {', '.join(map(str, value))}")
        return structure_items(value if isinstance(value, list | tuple) else [value], kind)

    return convert


def _choice(kind: Any) -> Any:
    """Take one of the words of a Literal."""
    words = get_args(kind)

    def convert(value: Any, _: Any) -> Any:
        if value not in words:
            raise ValueError(f"expected {' or '.join(map(str, words))}, not {value!r}")
        return value

    return convert


def _is_plain_list(kind: Any) -> bool:
    return get_origin(kind) is list


def _is_literal(kind: Any) -> bool:
    return get_origin(kind) is Literal


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True)
    converter.register_structure_hook(str, _strict(str, str, "text"))
    converter.register_structure_hook(int, _strict(int, int, "a whole number"))
    converter.register_structure_hook(float, _strict(float, (int, float), "a number"))
    converter.register_structure_hook(bool, _strict(bool, bool, "true or false"))
    converter.register_structure_hook(Path, _strict(Path, str, "a path"))
    converter.register_structure_hook_factory(_is_plain_list)(_one_or_many)
    converter.register_structure_hook_factory(_is_literal)(_choice)
    return converter


_converter = _make_converter()
