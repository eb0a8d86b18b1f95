"""The JSON documents of finished stages, as the store reads them back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgecheck.hashing import digest, sha256


def finished(record: Path, key: str, files: Sequence[str]) -> dict[str, Any] | None:
    """Return a stage's document if it is complete, has the same key, and its files are unchanged."""
    document = _read(record)
    if document.get("key") != key or not {"result", "seconds", "finished"} <= set(document):
        return None
    whole = document.get("seal") == digest({"result": document["result"]})
    return document if whole and document.get("files") == hashes(record.parent, files) else None


def hashes(folder: Path, files: Sequence[str]) -> dict[str, str | None]:
    """Return the SHA-256 of files by name; None for one that is missing."""
    return {name: sha256(folder / name) if (folder / name).is_file() else None for name in files}


def _read(record: Path) -> dict[str, Any]:
    """Return a stage's JSON; empty if it is missing or damaged, so that the stage runs again."""
    try:
        document = json.loads(record.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
