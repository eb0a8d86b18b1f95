"""Files identified by content, and fields that hold a location rather than content."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attrs import Attribute, field, frozen

_LOCATOR = "locator"


def locator(**options: Any) -> Any:
    """Return an attrs field for a location, which is not part of the key of a stage."""
    return field(metadata={_LOCATOR: True}, **options)


def is_locator(attribute: Attribute[Any]) -> bool:
    """Return whether a field was made by `locator`."""
    return _LOCATOR in attribute.metadata


@frozen
class Artefact:
    """A file identified by its content: `sha256` is part of keys, its path is not."""

    sha256: str
    path: Path = locator()
