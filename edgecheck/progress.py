"""The seam between work and whoever watches it: a terminal, a log, a test, nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TypeVar

from attrs import frozen

Item = TypeVar("Item")
Text = str | Callable[[Item], str]
Size = Callable[[Item], int]


class Progress(Protocol):
    """What a stage may say while it works. Everything goes to stderr or nowhere."""

    def track(
        self, items: Iterable[Item], text: Text[Item], total: float | None = None, images: Size[Item] | None = None
    ) -> Iterator[Item]:
        """Yield `items`, showing how much of `total` is done.

        Args:
            items: what is worked through.
            text: what is done with them; a function where it changes from item to item, as with epochs.
            total: how many items there are; None where nobody knows.
            images: how many images an item holds; `total` then counts images too, and a rate can be shown.
        """

    def busy(self, text: str) -> AbstractContextManager[None]:
        """Show that work goes on whose length nobody knows."""

    def note(self, text: str) -> None:
        """Say one line that stays on the screen."""


class Watcher(Progress, Protocol):
    """Progress that can also follow several things at once."""

    def follow(self, line: Callable[[], str]) -> AbstractContextManager[None]:
        """Show `line()`, which changes, again and again; it may be called from another thread, and be empty."""


class Silent:
    """Shows nothing."""

    def track(
        self, items: Iterable[Item], text: Text[Item], total: float | None = None, images: Size[Item] | None = None
    ) -> Iterator[Item]:
        """Yield `items` as they are."""
        yield from items

    def busy(self, text: str) -> AbstractContextManager[None]:
        """Do nothing."""
        return nullcontext()

    def note(self, text: str) -> None:
        """Say nothing."""

    def follow(self, line: Callable[[], str]) -> AbstractContextManager[None]:
        """Do nothing."""
        return nullcontext()


@frozen
class Named:
    """Puts the name of a model before all that is said of the work on it."""

    progress: Progress
    name: str

    def track(
        self, items: Iterable[Item], text: Text[Item], total: float | None = None, images: Size[Item] | None = None
    ) -> Iterator[Item]:
        """Yield `items` with the name before their text."""
        named = f"{self.name}: {text}" if isinstance(text, str) else lambda item: f"{self.name}: {text(item)}"
        return self.progress.track(items, named, total, images)

    def busy(self, text: str) -> AbstractContextManager[None]:
        """Show that work on this model goes on."""
        return self.progress.busy(f"{self.name}: {text}")

    def note(self, text: str) -> None:
        """Say one line with the name before it."""
        self.progress.note(f"{self.name}: {text}")
