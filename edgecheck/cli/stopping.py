"""A signal that asks for an end, as an exception, so that temporary folders are removed on the way out."""

from __future__ import annotations

import signal
import time
from types import FrameType

from edgecheck.errors import Stopped

# A terminal sends a signal to parent and child, and the parent passes it on: within this time it is the same request.
SAME_REQUEST_S = 1.0
# Native code and half-done imports can swallow the exception: then it is raised again. Cleaning up takes less.
SWALLOWED_S = 3.0


class Request:
    """The handler of SIGINT, SIGTERM and SIGHUP; `asked` is the signal that came, until then None."""

    def __init__(self) -> None:
        self.asked: int | None = None
        self._last = -SAME_REQUEST_S

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """Raise what unwinds the work."""
        now = time.monotonic()
        if now - self._last < SAME_REQUEST_S:
            return
        self.asked, self._last = number, now
        signal.signal(signal.SIGALRM, self._again)
        signal.setitimer(signal.ITIMER_REAL, SWALLOWED_S)
        self._raise()

    def done(self) -> None:
        """Raise nothing any more: the work has ended."""
        if self.asked is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _again(self, _number: int, _frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_REAL, SWALLOWED_S)
        self._raise()

    def _raise(self) -> None:
        assert self.asked is not None
        raise KeyboardInterrupt if self.asked == signal.SIGINT else Stopped(self.asked)


REQUEST = Request()
