"""Reads the JSON documents that edgecheck wrote: reports, and results of devices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgecheck.errors import InputError
from edgecheck.regular import MOST_REPORT_BYTES, require_regular

_OPEN = "Unterminated string"  # how Python's parser tells that a text ends inside quotes


def read_json(path: Path, kind: str, writer: str) -> Any:
    """Return what a JSON file holds.

    Args:
        path: the file.
        kind: what it should be, such as `report`, for the message.
        writer: the sentence on who writes it, for the message where it is missing.

    Raises:
        InputError: it is missing, not readable, or holds NaN or an infinite number.
    """
    require_regular(path, MOST_REPORT_BYTES)
    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {writer}") from None
    except json.JSONDecodeError as error:
        what = "truncated" if error.doc[error.pos :].strip() == "" or _OPEN in error.msg else "damaged, or no JSON"
        raise InputError(f"{path}: not a readable {kind}: {what} ({error})") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a readable {kind} ({error})") from None


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not a number that can be judged")
