"""The one place where text of unknown origin becomes text that can be shown.

Names come from ONNX files, archives, YAML, the file system and exceptions. They may hold control characters that steer
a terminal, end a row of a table, turn its direction round, or are illegal in XML.
"""

from __future__ import annotations


def plain(text: str) -> str:
    """Return text on one line: runs of whitespace become a space, what cannot be printed becomes visible."""
    return visible(" ".join(text.split()))


def visible(text: str) -> str:
    r"""Return text in which each character that cannot be printed is written as its escape, such as `\x1b`.

    These are control and format characters (ESC, C1, direction overrides, zero-width), halves of surrogate pairs,
    separators other than the space, and code points without a character.
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else _escape(ord(c)) for c in text)


def _escape(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:  # how Python writes a byte of a file name that is not UTF-8
        code -= 0xDC00
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
