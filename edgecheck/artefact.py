"""Files identified by content, and fields that the key of a stage leaves out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attrs import Attribute, field, frozen

_LOCATOR, _LATER = "locator", "later"


def locator(**options: Any) -> Any:
    """Return an attrs field for a location, which is not part of the key of a stage."""
    return field(metadata={_LOCATOR: True}, **options)


def is_locator(attribute: Attribute[Any]) -> bool:
    """Return whether a field was made by `locator`."""
    return _LOCATOR in attribute.metadata


def later(default: Any, **options: Any) -> Any:
    """Return an attrs field that a record got after the first release.

    Where it has its default, it is not part of the key of a stage: what an older version stored is found again.
    """
    return field(default=default, metadata={_LATER: True}, **options)


def is_unset(attribute: Attribute[Any], value: Any) -> bool:
    """Return whether a field was made by `later` and has its default."""
    return _LATER in attribute.metadata and bool(value == attribute.default)


@frozen
class Artefact:
    """A file identified by its content: `sha256` is part of keys, its path is not."""

    sha256: str
    path: Path = locator()
