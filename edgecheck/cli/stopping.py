"""Turns signals into exceptions, so that temporary folders are removed on the way out."""

from __future__ import annotations

import signal
import time
from types import FrameType

from edgecheck.errors import Stopped

# A terminal signals parent and child, and the parent forwards the signal: within this time, both are one request.
SAME_REQUEST_S = 1.0
# Native code and unfinished imports can swallow the exception: it is raised again after this time. Cleanup takes less.
SWALLOWED_S = 3.0


class Request:
    """The handler of SIGINT, SIGTERM and SIGHUP; `asked` is the received signal, or None."""

    def __init__(self) -> None:
        self.asked: int | None = None
        self._last = -SAME_REQUEST_S

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """Raise the exception that ends the work."""
        now = time.monotonic()
        if now - self._last < SAME_REQUEST_S:
            return
        self.asked, self._last = number, now
        signal.signal(signal.SIGALRM, self._again)
        signal.setitimer(signal.ITIMER_REAL, SWALLOWED_S)
        self._raise()

    def done(self) -> None:
        """Stop repeating the exception: the work has ended."""
        if self.asked is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _again(self, _number: int, _frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_REAL, SWALLOWED_S)
        self._raise()

    def _raise(self) -> None:
        assert self.asked is not None
        raise KeyboardInterrupt if self.asked == signal.SIGINT else Stopped(self.asked)


REQUEST = Request()
