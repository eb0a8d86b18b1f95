"""The colours of the screen; they only repeat what words and marks say."""

from __future__ import annotations

QUIET = "dim"
_COLOURS = {"PASS": "bold green", "FAIL": "bold red", "WARN": "bold yellow", "WAIVED": "bold yellow"}
_UNDECIDED = "bold magenta"


def style(word: str) -> str:
    """Return the style of a status; "" for other words."""
    return _COLOURS.get(word, _UNDECIDED if word in ("INCONCLUSIVE", "MISSING") else "")
