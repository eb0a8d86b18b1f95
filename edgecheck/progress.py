"""The seam between work and whoever watches it: a terminal, a test, nobody."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

Item = TypeVar("Item")


class Progress(Protocol):
    """What a stage may say while it works. Everything goes to stderr or nowhere."""

    def track(self, items: Iterable[Item], text: str, total: float | None = None) -> Iterator[Item]:
        """Yield `items`, showing how many of `total` are done."""

    def note(self, text: str) -> None:
        """Say one line that stays on the screen."""


class Silent:
    """Shows nothing."""

    def track(self, items: Iterable[Item], text: str, total: float | None = None) -> Iterator[Item]:
        """Yield `items` as they are."""
        yield from items

    def note(self, text: str) -> None:
        """Say nothing."""
