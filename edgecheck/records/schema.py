"""The JSON Schema of report.json, generated from the records: types, choices, bounds, what may be missing or null.

A document of the current schema version that `from_dict` reads is valid. One that it refuses is not, unless the reason
is a relation between values, such as an interval whose ends are swapped, or the name of an unknown metric: plugins add
metrics of their own.
"""

from __future__ import annotations

import inspect
import json
import re
import types
from collections.abc import Callable, Iterator
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import attrs

from edgecheck.records.checks import DEVICE_NAME, device_name, iso_day, not_negative
from edgecheck.records.migrations import SCHEMA_VERSION
from edgecheck.records.report import Report
from edgecheck.records.steps import KIND
from edgecheck.seal import SEAL
from edgecheck.steps import STEPS, Step
from edgecheck.structuring import LARGEST_WHOLE
from edgecheck.validators import Within

DIALECT = "https://json-schema.org/draft/2020-12/schema"
TITLE = "edgecheck report"
DAY = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"  # the calendar is beyond a pattern

Schema = dict[str, Any]

_SCALARS: dict[Any, Schema] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer", "minimum": -LARGEST_WHOLE, "maximum": LARGEST_WHOLE},
    float: {"type": "number"},
    type(None): {"type": "null"},
    Any: {},
}
_SECTION = re.compile(r"^Attributes:\n", re.MULTILINE)
_ATTRIBUTE = re.compile(r"^    (\w+): (.*(?:\n     +.*)*)", re.MULTILINE)


def report_schema() -> Schema:
    """Return the schema (JSON Schema, draft 2020-12) of the current version of report.json."""
    defined: dict[str, Schema] = {}
    document = _record(Report, defined)
    document["properties"] |= {
        "schema_version": {"const": SCHEMA_VERSION},
        SEAL: {"description": "SHA-256 of all other content.", "type": "string", "pattern": "^[0-9a-f]{64}$"},
    }
    about = {"$schema": DIALECT, "$id": f"urn:edgecheck:report:{SCHEMA_VERSION}", "title": TITLE}
    return {**about, **document, "$defs": dict(sorted(defined.items()))}


def schema_text() -> str:
    """Return that schema as indented JSON."""
    return json.dumps(report_schema(), indent=2) + "\n"


def _record(kind: type, defined: dict[str, Schema]) -> Schema:
    """Return the schema of a record, and add those of the records in it to `defined`."""
    hints, told = get_type_hints(kind), _descriptions(kind)
    properties = {}
    for one in attrs.fields(kind):
        about = {"description": told[one.name]} if one.name in told else {}
        properties[one.name] = {**about, **_bounded(_typed(hints[one.name], defined), one.validator)}
    return {
        "description": _summary(kind),
        "type": "object",
        "properties": properties,
        "required": [one.name for one in attrs.fields(kind) if one.default is attrs.NOTHING],
        "additionalProperties": False,
    }


def _typed(hint: Any, defined: dict[str, Schema]) -> Schema:
    """Return the schema of a type."""
    if get_origin(hint) in (Union, types.UnionType):
        return _either([_typed(part, defined) for part in get_args(hint)])
    if get_origin(hint) is Literal:
        return {"enum": list(get_args(hint))}
    if get_origin(hint) is list:
        return {"type": "array", "items": _typed(get_args(hint)[0], defined)}
    if get_origin(hint) is dict:
        return {"type": "object", "additionalProperties": _typed(get_args(hint)[1], defined)}
    if hint in _SCALARS:
        return dict(_SCALARS[hint])
    return _defined(hint, defined)


def _either(parts: list[Schema]) -> Schema:
    """Return the schema of a union; `{"type": ["number", "null"]}` where it is a scalar or null."""
    first, *others = parts
    if others == [_SCALARS[type(None)]] and first.get("type") in ("string", "integer", "number", "boolean"):
        return {**first, "type": [first["type"], "null"]}
    return {"anyOf": parts}


def _defined(kind: type, defined: dict[str, Schema]) -> Schema:
    """Return a reference to the schema of a record, which is made once."""
    if kind.__name__ not in defined:
        defined[kind.__name__] = {}  # records may hold each other
        make: Callable[[type, dict[str, Schema]], Schema] = _step if kind is Step else _record
        defined[kind.__name__] = make(kind, defined)
    return {"$ref": f"#/$defs/{kind.__name__}"}


def _step(kind: type, defined: dict[str, Schema]) -> Schema:
    """Return the schema of a compression step: of a known kind, or of another one with any fields."""
    known = []
    for name, step in STEPS.items():
        record = _record(step, defined)
        record["properties"] = {KIND: {"const": name}, **record["properties"]}
        record["required"] = [KIND, *record["required"]]
        known.append(record)
    other = {
        "description": "A step of a plugin, or of an older document.",
        "type": "object",
        "properties": {KIND: {"type": "string", "not": {"enum": list(STEPS)}}},
        "required": [KIND],
    }
    return {"description": _summary(kind), "anyOf": [*known, other]}


def _bounded(schema: Schema, validator: Any) -> Schema:
    """Return a schema with what the validators of a field ask for, as far as JSON Schema can say it."""
    for one in _single(validator):
        if one is not_negative:
            schema = {**schema, "minimum": 0}
        elif one is device_name:
            schema = {**schema, "pattern": f"^{DEVICE_NAME.pattern}$"}
        elif one is iso_day:
            schema = {**schema, "pattern": DAY}
        elif isinstance(one, Within):
            schema = {**schema, "minimum": one.low, "maximum": one.high}
    return schema


def _single(validator: Any) -> Iterator[Any]:
    """Yield the validators that attrs combined into one."""
    parts = [getattr(validator, "validator", None), *getattr(validator, "_validators", ())]
    inside = [part for part in parts if part is not None]
    for part in inside:
        yield from _single(part)
    if not inside:
        yield validator


def _summary(kind: type) -> str:
    """Return the docstring of a record without its attributes, on one line."""
    return " ".join(_SECTION.split(inspect.getdoc(kind) or "")[0].split())


def _descriptions(kind: type) -> dict[str, str]:
    """Return what a docstring says of single attributes."""
    _, *listed = _SECTION.split(inspect.getdoc(kind) or "")
    return {name: " ".join(text.split()) for section in listed for name, text in _ATTRIBUTE.findall(section)}
