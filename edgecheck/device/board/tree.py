"""Reads the small files of /sys and /proc; a file that cannot be read is remembered with the reason, never raised.

Sensors differ from board to board. Their files may be absent, forbidden, empty or vanish while they are watched, and
drivers answer with errors or with numbers that no device can have.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

from attrs import field, frozen

from edgecheck.records.board import Unread
from edgecheck.text import plain

MOST_BYTES = 4096  # a file of /sys has at most a page
MOST_NAME = 64  # characters of a sensor's name; drivers use about 20

_NUMBER = re.compile(r"[+-]?[0-9]{1,20}")
_HEXADECIMAL = re.compile(r"(?:0x)?[0-9a-fA-F]{1,16}")
_DIGITS = re.compile(r"\d+")


def _real(root: Path) -> Path:
    """Return a root without links, below which links inside the tree also lead."""
    return Path(os.path.realpath(root))


@frozen(eq=False)
class Tree:
    """The files below a root, and those that could not be read so far.

    Attributes:
        root: stands for `/`; links to it are resolved.
    """

    root: Path = field(converter=_real)
    _failed: dict[tuple[str, str], set[Path]] = field(factory=dict, init=False)

    def paths(self, pattern: str) -> list[Path]:
        """Return the files or folders that match a pattern such as `sys/class/thermal/thermal_zone*`, by number."""
        try:
            return sorted(self.root.glob(pattern), key=_by_number)
        except OSError as error:
            self._remember(self.root / pattern, _reason(error))
            return []

    def text(self, path: Path, most_bytes: int = MOST_BYTES) -> str | None:
        """Return the start of a file, at most `most_bytes`; None if it cannot be read."""
        try:
            return _read(path, most_bytes)
        except OSError as error:
            self._remember(path, _reason(error))
            return None

    def name(self, path: Path) -> str:
        """Return a file's text as a name for people: one printable line; "" if it cannot be read."""
        text = _optional(path)
        return plain(text)[:MOST_NAME] if text else ""

    def number(self, path: Path, low: int, high: int) -> int | None:
        """Return the whole number in a file; None if there is none, or it lies outside `low`..`high`."""
        return self._parsed(path, _NUMBER, int, low, high)

    def bits(self, path: Path) -> int | None:
        """Return the hexadecimal number in a file, with or without `0x`; None if there is none."""
        return self._parsed(path, _HEXADECIMAL, lambda text: int(text, 16), 0, 2**64)

    def absent(self, source: str) -> None:
        """Remember that no file matches a pattern."""
        self._failed.setdefault((f"/{source}".replace("[0-9]", ""), "absent"), set())

    def why(self, path: Path) -> str:
        """Return why a file could not be read the last time that failed; "" if it always could."""
        return next((reason for (_, reason), paths in reversed(self._failed.items()) if path in paths), "")

    def unread(self) -> list[Unread]:
        """Return what could not be read so far; files that differ in a number only are one entry."""
        return [Unread(source, reason, len(paths)) for (source, reason), paths in sorted(self._failed.items())]

    def shown(self, path: Path) -> str:
        """Return a path as the device spells it, with the root as `/`."""
        return plain(f"/{path.relative_to(self.root)}" if path.is_relative_to(self.root) else str(path))

    def _parsed(
        self, path: Path, form: re.Pattern[str], convert: Callable[[str], int], low: int, high: int
    ) -> int | None:
        text = self.text(path)
        if text is None:
            return None
        if not form.fullmatch(text.strip()):
            self._remember(path, "not a number")
            return None
        number = convert(text.strip())
        if not low <= number <= high:
            self._remember(path, f"not between {low} and {high}")
            return None
        return number

    def _remember(self, path: Path, reason: str) -> None:
        self._failed.setdefault((_DIGITS.sub("*", self.shown(path)), reason), set()).add(path)


def _read(path: Path, most_bytes: int) -> str:
    # Without O_NONBLOCK, opening a named pipe waits for a writer.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError("not a regular file")
        return os.read(handle, most_bytes).decode("ascii", "replace")
    finally:
        os.close(handle)


def _optional(path: Path) -> str | None:
    """Return a text that not every sensor has; its absence is no failure."""
    try:
        return _read(path, MOST_BYTES)
    except OSError:
        return None


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _by_number(path: Path) -> list[tuple[int, str]]:
    """Return a key that puts `cpu2` before `cpu10`."""
    return [(int(part) if part.isdecimal() else -1, part) for part in re.split(r"([0-9]+)", str(path))]
