"""Files by their content, and fields that say where a thing lies rather than what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attrs import Attribute, field, frozen

_LOCATOR = "locator"


def locator(**options: Any) -> Any:
    """Return an attrs field that says where a thing lies, not what it is; the key of a stage leaves it out."""
    return field(metadata={_LOCATOR: True}, **options)


def is_locator(attribute: Attribute[Any]) -> bool:
    """Return whether a field was made by `locator`."""
    return _LOCATOR in attribute.metadata


@frozen
class Artefact:
    """A file by its content: `sha256` is what counts, wherever it lies."""

    sha256: str
    path: Path = locator()
