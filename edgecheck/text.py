"""Makes text of unknown origin safe to show, and shortens lists for messages.

Names come from ONNX files, archives, YAML, the file system and exceptions. They may contain control characters that
move a cursor, end a table row, reverse the reading direction, or are illegal in XML.
"""

from __future__ import annotations

from collections.abc import Iterable

NAMED = 3  # number of items listed in a message
MOST_CHARACTERS = 1_500  # of a message: all known metrics and a long path fit
_CUT = " ... "
_FILLERS = frozenset("\u115f\u1160\u3164\uffa0")  # letters of Hangul that are drawn as nothing


def plain(text: str) -> str:
    """Return text on one line: a run of whitespace becomes one space, and unprintable characters become escapes."""
    return visible(" ".join(text.split()))


def visible(text: str) -> str:
    r"""Return text in which each unprintable character is replaced by its escape, such as `\x1b`.

    Unprintable are control and format characters (ESC, C1, direction overrides, zero-width), lone surrogates,
    separators other than the space, and unassigned code points.
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else _escape(ord(c)) for c in text)


def is_words(text: str) -> bool:
    """Return whether a text says something: it has a letter or a digit that is drawn."""
    return any(c.isalnum() and c not in _FILLERS for c in text)


def shortened(text: str, most: int = MOST_CHARACTERS) -> str:
    """Return text of at most `most` characters: of a longer one, both ends around `...`."""
    kept = (most - len(_CUT)) // 2
    return text if len(text) <= most else f"{text[:kept]}{_CUT}{text[-kept:]}"


def listed(things: Iterable[object], most: int = NAMED, separator: str = ", ") -> str:
    """Return `a, b, c and 4 more`: the first `most` items and the number of the others."""
    texts = [str(thing) for thing in things]
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return separator.join(texts[:most]) + more


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, and the name of its type where it has none."""
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # a type of the user's own, which cannot even say what it is
        lines = []
    return next(iter(lines), type(error).__name__)


def error_line(error: BaseException) -> str:
    """Return the type of an error and the first line of its message, such as `ValueError: not a number`."""
    kind, line = type(error).__name__, first_line(error)
    return kind if line == kind else f"{kind}: {line}"


def _escape(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:  # surrogates by which Python represents bytes of a file name that are not UTF-8
        code -= 0xDC00
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
