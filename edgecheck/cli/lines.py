"""Progress as plain lines, for logs, pipes, and terminals that cannot move their cursor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from edgecheck.progress import Item, Size, Text
from edgecheck.report.format import format_duration, format_value

# Seconds between two lines about the same work. The end of a phase, such as an epoch, is printed after LEAST_S; other
# progress after MOST_S, to show that work continues.
LEAST_S, MOST_S = 10.0, 30.0
WHOLE_RATE = 10  # images/s above which no decimal is printed
WORTH_TELLING_S = 5.0  # no final line for shorter work

Say = Callable[[str], None]


class Lines:
    """Prints a line of progress at intervals.

    Args:
        say: prints a line.
        clock: monotonic seconds.
        thorough: whether the end of short work is printed, too.
    """

    def __init__(self, say: Say, clock: Callable[[], float] = time.monotonic, thorough: bool = False) -> None:
        self._print, self._clock, self._thorough = say, clock, thorough
        self.overall: Callable[[], str] = str  # how far all of the work is, said before each line; nothing by default

    def track(
        self, items: Iterable[Item], text: Text[Item], total: float | None, images: Size[Item] | None
    ) -> Iterator[Item]:
        """Yield `items`; print progress between them, and the total time at the end."""
        began = told = self._clock()
        done, current = 0.0, ""
        for item in items:
            previous, current = current, text if isinstance(text, str) else text(item)
            now = self._clock()
            if done and now - told >= (MOST_S if current == previous else LEAST_S):
                self._say(_line(previous, done, total, now - began, images is not None))
                told = now
            yield item
            done += images(item) if images else 1
        took_s = self._clock() - began
        if took_s >= LEAST_S or (self._thorough and done):
            self._say(f"{current}{_rate(done, took_s) if images else ''}, took {self._took(took_s)}")

    @contextmanager
    def busy(self, text: str) -> Iterator[None]:
        """Print a line at the start and at intervals, and the total time at the end."""
        self._say(text)
        began, over = self._clock(), Event()

        def beat() -> None:
            while not over.wait(MOST_S):
                self._say(f"{text}, {format_duration(self._clock() - began)} so far")

        with _beating(beat, over):
            yield
        took_s = self._clock() - began
        if took_s >= WORTH_TELLING_S or self._thorough:
            self._say(f"{text}, took {self._took(took_s)}")

    def _took(self, seconds: float) -> str:
        short = self._thorough and seconds < LEAST_S
        return format_value(seconds, "s") if short else format_duration(seconds)

    @contextmanager
    def follow(self, line: Callable[[], str]) -> Iterator[None]:
        """Print `line()` every LEAST_S where it has changed, and every MOST_S anyway."""
        over = Event()

        def beat() -> None:
            told, before = self._clock(), ""
            while not over.wait(LEAST_S):
                now, current = self._clock(), line()
                if current and (current != before or now - told >= MOST_S):
                    self._say(current)
                    told, before = now, current

        with _beating(beat, over):
            yield

    def _say(self, text: str) -> None:
        self._print(" ".join(filter(None, [self.overall(), text])))


@contextmanager
def _beating(beat: Callable[[], None], over: Event) -> Iterator[None]:
    """Run `beat` beside the block; `over` tells it to end."""
    thread = Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _line(text: str, done: float, total: float | None, elapsed_s: float, in_images: bool) -> str:
    """Return `training, epoch 3/10, 30 %, 512 images/s, 1:20 left`, without the parts that are unknown."""
    rate = _rate(done, elapsed_s) if in_images else ""
    if total is None:
        return f"{text}{rate}, {format_duration(elapsed_s)} so far"
    left_s = elapsed_s * max(0.0, total - done) / done
    return f"{text}, {100 * done / total:.0f} %{rate}, {format_duration(left_s)} left"


def _rate(images: float, seconds: float) -> str:
    per_second = images / seconds
    return f", {per_second:,.{0 if per_second >= WHOLE_RATE else 1}f} images/s"
