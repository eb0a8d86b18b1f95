"""Reads the JSON documents that edgecheck wrote: reports, and results of devices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgecheck.errors import InputError
from edgecheck.regular import MOST_REPORT_BYTES, require_regular


def read_json(path: Path, kind: str, writer: str) -> Any:
    """Return what a JSON file holds.

    Args:
        path: the file.
        kind: what it should be, such as `report`, for the message.
        writer: the sentence on who writes it, for the message where it is missing.

    Raises:
        InputError: it is missing, not readable, truncated, no JSON, or holds NaN, an infinite number or a key twice.
    """
    require_regular(path, MOST_REPORT_BYTES)
    try:
        text = path.read_text(encoding="utf-8")
        return json.loads(text, parse_constant=_refuse, object_pairs_hook=_unique)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {writer}") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: not a readable {kind}: {_wrong(text, error)}; {writer}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a readable {kind} ({error})") from None


def _wrong(text: str, error: json.JSONDecodeError) -> str:
    """Return what became of a document that is no JSON."""
    whole = text.strip()
    if not whole.startswith("{"):
        return "empty" if not whole else "not JSON"
    if error.pos >= len(text.rstrip()) or not whole.endswith("}"):
        return f"truncated, it ends in line {text.rstrip().count(chr(10)) + 1}"
    return f"edited or damaged ({error})"


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not a number that can be judged")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; refuse one with a key twice, since other programs may read the other value."""
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"{next(key for key in keys if keys.count(key) > 1)!r} stands twice in one object")
    return made
