"""Convert YAML text to attrs records; errors name the file, the line and the closest known key."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import date, datetime
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, NoReturn, TypeVar, get_args, get_origin, get_type_hints

import attrs
import cattrs
from cattrs import BaseConverter
from cattrs.cols import list_structure_factory
from cattrs.errors import ClassValidationError
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from edgecheck.config import bounded_yaml
from edgecheck.errors import ConfigError, InputError
from edgecheck.registry import lookup
from edgecheck.regular import MOST_YAML_BYTES, require_regular
from edgecheck.structuring import Step, described, failures, register_literals, strict

Record = TypeVar("Record")


def read(text: str, source: str) -> CommentedMap:
    """Parse YAML into a mapping that keeps its line numbers.

    Raises:
        ConfigError: the text is not YAML, is nested too deeply, is too large, or has no mapping at the top level.
    """
    try:
        document = bounded_yaml.load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{source}:{line}: not YAML: {error.problem or error.context}") from None
    except TypeError:  # raised by ruamel.yaml for an unhashable key
        raise ConfigError(f"{source}: a key is a list or a mapping; keys must be text") from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{source}: not YAML: {error}") from None
    if not isinstance(document, CommentedMap):
        raise ConfigError(f"{source}: expected `key: value` lines, such as `edgecheck init` writes")
    return document


def text_of(path: Path, remedy: str) -> str:
    """Return the content of a YAML file; `remedy` says what to do where there is none.

    Raises:
        InputError: there is none, or it is too large, or no text.
    """
    require_regular(path, MOST_YAML_BYTES)
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {remedy}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text ({error})") from None


def files_of(package: str) -> dict[str, Traversable]:
    """Return the YAML files of a package by their names without the ending."""
    entries = (entry for entry in resources.files(package).iterdir() if entry.name.endswith(".yaml"))
    return {entry.name.removesuffix(".yaml"): entry for entry in sorted(entries, key=lambda entry: entry.name)}


def packaged(package: str, name: str, kind: str, where: str = "") -> CommentedMap:
    """Read the file NAME.yaml of a package.

    Raises:
        ConfigError: there is none; the message names `where` and the kind, and lists the known names.
    """
    try:
        entry = lookup(files_of(package), name, kind)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}" if where else str(error)) from None
    return read(entry.read_text(), entry.name)


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merge `above` into a copy of `below`: nested mappings are merged, all other values are replaced."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(old, value) if both else value  # type: ignore[arg-type]
    return merged


def structure(data: Mapping[str, Any], kind: type[Record], document: CommentedMap, source: str) -> Record:
    """Convert a mapping to a record; errors give the line in `document`, which `data` was read from.

    Raises:
        ConfigError: the first unknown key, missing key, wrong type, or value that the record refuses.
    """
    try:
        return _converter.structure(data, kind)
    except ClassValidationError as error:
        steps, message = next(failures(error), ((), "a value of an unexpected form"))
        place = ".".join(map(str, steps))
        # Where every value comes from a flag, there is no line to give.
        where = f"{source}:{line_of(document, steps)}" if document else source
        if len(steps) == 1:
            message = message.replace("; known:", f"{_of_section(kind, str(steps[0]))}; known:", 1)
        raise ConfigError(f"{where}: {place + ': ' if place else ''}{message}") from None


def _of_section(kind: type[Any], key: str) -> str:
    """Return `, it belongs in the section gate` for a key at the top that sections know; "" if none does."""
    found = [
        name
        for name, of in get_type_hints(kind).items()
        if any(attrs.has(part) and key in attrs.fields_dict(part) for part in (of, *get_args(of)))
    ]
    return f", it belongs in the section {' or '.join(found)}" if found else ""


def line_of(document: Any, steps: tuple[Step, ...]) -> int:
    """Return the line, counted from 1, of the key or item at `steps`, or of its deepest parent in the document."""
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


def _one_or_many(kind: Any, converter: BaseConverter) -> Any:
    """Accept a list, or a single value as a list of one item; a string is one value, not a list of letters."""
    structure_items = list_structure_factory(kind, converter)

    def convert(value: Any, _: Any) -> Any:
        if isinstance(value, Mapping):
            raise ValueError(f"expected a list, not the keys {', '.join(map(str, value))}")
        if value is None:  # all items are commented out
            raise ValueError("expected a list, but there is nothing; remove the key, or write []")
        return structure_items(value if isinstance(value, list | tuple) else [value], kind)

    return convert


def _tuple(kind: Any, converter: BaseConverter) -> Any:
    """Accept a list with as many items as the tuple has."""
    kinds = get_args(kind)

    def convert(value: Any, _: Any) -> Any:
        if not isinstance(value, list | tuple) or len(value) != len(kinds):
            raise ValueError(f"expected a list of {len(kinds)} numbers, such as [224, 224], not {described(value)}")
        return tuple(converter.structure(item, of) for item, of in zip(value, kinds, strict=True))

    return convert


def _path(value: Any, _: Any) -> Path:
    """Accept a string that the file system can represent as a path."""
    path: Path = strict(Path, str, "a path")(value, _)
    try:
        whole = b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        whole = False
    if not whole:
        raise ValueError(f"expected a path, not {described(value)}")
    return path


def _day(value: Any, _: Any) -> date:
    """Accept a day as YAML reads it, or as text; a time of day has no place in it."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    try:
        day = date.fromisoformat(value)
        return day if day.isoformat() == value else _no_day(value)
    except (TypeError, ValueError):
        return _no_day(value)


def _no_day(value: Any) -> NoReturn:
    raise ValueError(f"expected a day such as 2027-01-31, not {described(value)}")


def _number_or_texts(kind: Any, converter: BaseConverter) -> Any:
    """Accept a whole number, a string, or a list of strings."""

    def convert(value: Any, _: Any) -> Any:
        return converter.structure(value, int if isinstance(value, int) else list[str])

    return convert


def _plain_data(value: Any, _: Any) -> Any:
    """Accept what JSON can represent, as plain Python values; YAML also has dates, sets, binary data and tags."""
    if isinstance(value, Mapping):
        return {strict(str, str, "a key that is text")(key, _): _plain_data(item, _) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain_data(item, _) for item in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    if value is not None:
        raise ValueError(f"expected text, a number, true, false, null, a list or a mapping, not {described(value)}")
    return None


def _is_plain_list(kind: Any) -> bool:
    return get_origin(kind) is list


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True)
    converter.register_structure_hook(str, strict(str, str, "text"))
    converter.register_structure_hook(int, strict(int, int, "a whole number"))
    converter.register_structure_hook(float, strict(float, (int, float), "a number"))
    converter.register_structure_hook(bool, strict(bool, bool, "true or false"))
    converter.register_structure_hook(Path, _path)
    converter.register_structure_hook(date, _day)
    converter.register_structure_hook_func(lambda kind: kind is Any, _plain_data)
    converter.register_structure_hook_factory(_is_plain_list)(_one_or_many)
    converter.register_structure_hook_factory(lambda kind: get_origin(kind) is tuple)(_tuple)
    register_literals(converter)
    converter.register_structure_hook_factory(lambda kind: kind == int | list[str])(_number_or_texts)
    return converter


_converter = _make_converter()
