"""Progress across processes: workers send messages, and the main process shows one line about all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Event, Lock, Thread

from attrs import frozen

from edgecheck.progress import Item, Progress, Size, Text

TOLD_S = 0.5  # shortest interval between two messages of a worker about its progress


@frozen
class Said:
    """A message of a worker: `text` about its work, or a line to `keep` on the screen."""

    text: str
    keep: bool = False


class Relay:
    """The progress of a worker, which passes its messages to `send`."""

    def __init__(self, send: Callable[[Said], None]) -> None:
        self._send = send

    def track(
        self, items: Iterable[Item], text: Text[Item], total: float | None = None, images: Size[Item] | None = None
    ) -> Iterator[Item]:
        """Yield `items`, and report at intervals which share of `total` is done."""
        told, done = 0.0, 0.0
        for item in items:
            if time.monotonic() - told >= TOLD_S:
                words = text if isinstance(text, str) else text(item)
                self._send(Said(f"{words} {done / total:.0%}" if total else words))
                told = time.monotonic()
            yield item
            done += images(item) if images else 1

    @contextmanager
    def busy(self, text: str) -> Iterator[None]:
        """Report that work of unknown length is in progress."""
        self._send(Said(text))
        yield

    def note(self, text: str) -> None:
        """Report a line that stays on the screen."""
        self._send(Said(text, keep=True))


class Board:
    """Shows the current work of all workers in one line."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._texts: dict[int, str] = {}
        self._lock, self._over = Lock(), Event()
        self._thread = Thread(target=self._follow, daemon=True)

    def open(self) -> None:
        """Start to show the line."""
        self._thread.start()

    def close(self) -> None:
        """Remove the line."""
        self._over.set()
        self._thread.join()

    def show(self, worker: int, said: Said) -> None:
        """Show a message of a worker."""
        if said.keep:
            return self._progress.note(said.text)
        with self._lock:
            self._texts[worker] = said.text

    def clear(self, worker: int) -> None:
        """Remove a worker that is done from the line."""
        with self._lock:
            self._texts.pop(worker, None)

    def _follow(self) -> None:
        for _ in self._progress.track(self._ticks(), lambda _: self._line()):
            pass

    def _ticks(self) -> Iterator[None]:
        while not self._over.wait(TOLD_S):
            if self._texts:
                yield

    def _line(self) -> str:
        with self._lock:
            return " | ".join(text for _, text in sorted(self._texts.items()))
