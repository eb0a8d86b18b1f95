"""Progress across processes: workers send messages, and the main process shows one line about all of them."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from threading import Lock
from typing import Any, Literal

from attrs import frozen

from edgecheck.progress import Item, Size, Text, Watcher

Stream = Literal["stdout", "stderr"]

TOLD_S = 0.5  # shortest interval between two messages of a worker about its progress


@frozen
class Said:
    """A message of a worker: `text` about its work, or a line to `keep` on the screen."""

    text: str
    keep: bool = False


@frozen
class Printed:
    """What the code of a model printed in a worker."""

    text: str
    stream: Stream


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

    def overall(self, line: Callable[[], str]) -> AbstractContextManager[None]:
        """Do nothing: a worker knows only its own stage."""
        return nullcontext()


class _Sending(io.RawIOBase):
    """Sends what is written to it."""

    def __init__(self, send: Callable[[Printed], None], stream: Stream) -> None:
        self._sender, self._stream = send, stream

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._sender(Printed(bytes(data).decode(errors="replace"), self._stream))
        return len(data)


def prints(send: Callable[[Printed], None], stream: Stream) -> io.TextIOWrapper:
    """Return a stream for a worker: what a model prints is sent line by line and shown by the main process."""
    sending = io.BufferedWriter(_Sending(send, stream))
    return io.TextIOWrapper(sending, encoding="utf-8", errors="backslashreplace", line_buffering=True)


class Board:
    """Shows the current work of all workers in one line."""

    def __init__(self, progress: Watcher) -> None:
        self._progress = progress
        self._texts: dict[int, str] = {}
        self._finished = 0
        self._lock, self._shown = Lock(), ExitStack()

    def open(self) -> None:
        """Start to show the line."""
        self._shown.enter_context(self._progress.follow(self.line))

    def close(self) -> None:
        """Remove the line."""
        self._shown.close()

    def show(self, worker: int, said: Said | Printed) -> None:
        """Show a message of a worker."""
        if isinstance(said, Printed):
            print(said.text, end="", flush=True, file=sys.stderr if said.stream == "stderr" else None)
        elif said.keep:
            self._progress.note(said.text)
        else:
            with self._lock:
                self._texts[worker] = said.text

    def begin(self, worker: int, text: str) -> None:
        """Show which stage a worker begins."""
        self.show(worker, Said(text))

    def end(self, worker: int) -> None:
        """Count the stage of a worker, which is done or has failed."""
        with self._lock:
            self._texts.pop(worker, None)
            self._finished += 1

    def line(self) -> str:
        """Return how many stages are done and what is being worked on; nothing where nothing is."""
        with self._lock:
            at_work = [text for _, text in sorted(self._texts.items())]
            return " | ".join([f"stages done: {self._finished}", *at_work]) if at_work else ""
