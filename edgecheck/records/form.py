"""Records as JSON and back: SI units, not rounded. A missing value is None, never 0."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from cattrs import Converter

from edgecheck.errors import InputError
from edgecheck.records.migrations import migrate
from edgecheck.records.steps import register_steps
from edgecheck.structuring import failures, json_converter

Record = TypeVar("Record")


def _converter_of_records() -> Converter:
    converter = json_converter()
    register_steps(converter)
    return converter


_converter = _converter_of_records()


def to_dict(record: Any) -> dict[str, Any]:
    """Return the JSON-able form of a record."""
    return _converter.unstructure(record)


def to_json(record: Any) -> str:
    """Return a record, or JSON-able data, as indented JSON, keys in the order of the fields.

    Raises:
        ValueError: a number that is NaN or infinite.
    """
    return json.dumps(to_dict(record), indent=2, allow_nan=False) + "\n"


def from_dict(data: Mapping[str, Any], kind: type[Record]) -> Record:
    """Return the record that `to_dict` made; a report of an older schema version is migrated first.

    Raises:
        InputError: the data has another form, or a schema version that this edgecheck does not know.
    """
    if "schema_version" in data:
        data = migrate(data)
    try:
        return _converter.structure(data, kind)
    except Exception as error:  # cattrs raises groups of many kinds; each means "not such a record"
        steps, message = next(failures(error), ((), "of another form"))
        place = ".".join(map(str, steps))
        raise InputError(f"not a {kind.__name__} record: {place + ': ' if place else ''}{message}") from error
