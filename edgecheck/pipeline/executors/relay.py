"""Progress across processes: a worker tells, and the main process shows one line about all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Event, Lock, Thread

from attrs import frozen

from edgecheck.progress import Item, Progress, Size, Text

TOLD_S = 0.5  # at most this often a worker tells how far it is


@frozen
class Said:
    """What a worker says: `text` about its work, or a line to `keep` on the screen."""

    text: str
    keep: bool = False


class Relay:
    """The progress of a worker; `send` takes what it says."""

    def __init__(self, send: Callable[[Said], None]) -> None:
        self._send = send

    def track(
        self, items: Iterable[Item], text: Text[Item], total: float | None = None, images: Size[Item] | None = None
    ) -> Iterator[Item]:
        """Yield `items`, and tell now and then how much of `total` is done."""
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
        """Tell what begins."""
        self._send(Said(text))
        yield

    def note(self, text: str) -> None:
        """Have a line printed that stays."""
        self._send(Said(text, keep=True))


class Board:
    """What all workers are at, as one line that follows them."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._texts: dict[int, str] = {}
        self._lock, self._over = Lock(), Event()
        self._thread = Thread(target=self._follow, daemon=True)

    def open(self) -> None:
        """Begin to show."""
        self._thread.start()

    def close(self) -> None:
        """Take the line away."""
        self._over.set()
        self._thread.join()

    def show(self, worker: int, said: Said) -> None:
        """Take what a worker says."""
        if said.keep:
            return self._progress.note(said.text)
        with self._lock:
            self._texts[worker] = said.text

    def clear(self, worker: int) -> None:
        """Forget what a worker was at: it is done."""
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
