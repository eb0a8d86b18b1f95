"""Records as JSON and back: SI units, unrounded; what is missing is None, never 0."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from edgecheck.errors import InputError
from edgecheck.structuring import described, failures, json_converter

SCHEMA_VERSION = 2
READABLE_VERSIONS = (1, 2)  # version 1 has neither digests nor timings

Record = TypeVar("Record")

_converter = json_converter()


def to_dict(record: Any) -> dict[str, Any]:
    """Return the JSON-able form of a record."""
    return _converter.unstructure(record)


def to_json(record: Any) -> str:
    """Return a record, or JSON-able data, as indented JSON, keys in order; NaN is refused."""
    return json.dumps(to_dict(record), indent=2, allow_nan=False) + "\n"


def from_dict(data: Mapping[str, Any], kind: type[Record]) -> Record:
    """Return the record that `to_dict` made.

    Raises:
        InputError: the data is of another form, or of another schema version.
    """
    version = data.get("schema_version", SCHEMA_VERSION)
    if version not in READABLE_VERSIONS:
        told, known = described(version), " and ".join(map(str, READABLE_VERSIONS))
        raise InputError(f"schema version {told}, but this edgecheck reads {known}: use the edgecheck that wrote it")
    try:
        return _converter.structure(data, kind)
    except Exception as error:  # cattrs raises groups of many kinds; each means "not such a record"
        steps, message = next(failures(error), ((), "of another form"))
        place = ".".join(map(str, steps))
        raise InputError(f"not a {kind.__name__} record: {place + ': ' if place else ''}{message}") from error
