"""The interface through which stages report progress; implementations print to a terminal or a log, or do nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TypeVar

from attrs import frozen

Item = TypeVar("Item")
Text = str | Callable[[Item], str]
Size = Callable[[Item], int]


class Progress(Protocol):
    """Receives the progress of a stage. Implementations print to stderr or not at all."""

    def track(
        self, items: Iterable[Item], text: Text[Item], total: float | None = None, images: Size[Item] | None = None
    ) -> Iterator[Item]:
        """Yield `items` and show which share of `total` is done.

        Args:
            items: the items to process.
            text: what is done with them; a function of the item if it changes, for example with the epoch.
            total: the number of items; None if unknown.
            images: returns the number of images in an item; `total` then counts images, and a rate can be shown.
        """

    def busy(self, text: str) -> AbstractContextManager[None]:
        """Show that work of unknown length is in progress."""

    def note(self, text: str) -> None:
        """Print a line that stays on the screen."""

    def overall(self, line: Callable[[], str]) -> AbstractContextManager[None]:
        """Show `line()`, which tells how far all of the work is, beside the progress of each part of it.

        It may be called from another thread.
        """


class Watcher(Progress, Protocol):
    """Progress that can also follow several things at once."""

    def follow(self, line: Callable[[], str]) -> AbstractContextManager[None]:
        """Show `line()`, which changes, again and again; it may be called from another thread, and be empty."""


class Silent:
    """A `Progress` that shows nothing."""

    def track(
        self, items: Iterable[Item], text: Text[Item], total: float | None = None, images: Size[Item] | None = None
    ) -> Iterator[Item]:
        """Yield `items`."""
        yield from items

    def busy(self, text: str) -> AbstractContextManager[None]:
        """Do nothing."""
        return nullcontext()

    def note(self, text: str) -> None:
        """Do nothing."""

    def overall(self, line: Callable[[], str]) -> AbstractContextManager[None]:
        """Do nothing."""
        return nullcontext()

    def follow(self, line: Callable[[], str]) -> AbstractContextManager[None]:
        """Do nothing."""
        return nullcontext()


@frozen
class Named:
    """A `Progress` that prefixes every text with the name of a model."""

    progress: Progress
    name: str

    def track(
        self, items: Iterable[Item], text: Text[Item], total: float | None = None, images: Size[Item] | None = None
    ) -> Iterator[Item]:
        """Yield `items`, with the name before their text."""
        named = f"{self.name}: {text}" if isinstance(text, str) else lambda item: f"{self.name}: {text(item)}"
        return self.progress.track(items, named, total, images)

    def busy(self, text: str) -> AbstractContextManager[None]:
        """Show that work of unknown length on this model is in progress."""
        return self.progress.busy(f"{self.name}: {text}")

    def note(self, text: str) -> None:
        """Print a line with the name before it."""
        self.progress.note(f"{self.name}: {text}")

    def overall(self, line: Callable[[], str]) -> AbstractContextManager[None]:
        """Show how far all of the work is, without the name."""
        return self.progress.overall(line)
