"""The limit of a search: so much time, or so many variants."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from attrs import frozen

from edgecheck.errors import UsageError

_SECONDS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_FORM = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]+)\s*", re.ASCII)


@frozen
class Budget:
    """Seconds, or a number of variants; None is no limit."""

    seconds: float | None = None
    variants: int | None = None

    @classmethod
    def of(cls, text: str | None) -> Budget:
        """Read `2h`, `90m`, `45s` or `40 variants`.

        Raises:
            UsageError: another form, or nothing at all.
        """
        if text is None:
            return cls()
        matched = _FORM.fullmatch(text.lower())
        number, unit = (float(matched[1]), matched[2]) if matched else (0.0, "")
        if number and unit in _SECONDS:
            return cls(seconds=number * _SECONDS[unit])
        if number >= 1 and number.is_integer() and unit in ("variant", "variants"):
            return cls(variants=int(number))
        raise UsageError(f"--budget {text!r}: write a time such as 2h, 90m or 45s, or a number such as '40 variants'")

    def __str__(self) -> str:
        if self.seconds is not None:
            return f"{self.seconds:g} s"
        return f"{self.variants} variants" if self.variants is not None else "none"


class Spending:
    """What is left of a budget; the time runs from the start."""

    def __init__(self, budget: Budget, clock: Callable[[], float] = time.monotonic) -> None:
        self.budget, self._clock = budget, clock
        self._began, self._variants = clock(), 0

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._began

    @property
    def over(self) -> bool:
        """Whether the budget is spent."""
        limit = self.budget
        if limit.seconds is not None and self.seconds >= limit.seconds:
            return True
        return limit.variants is not None and self._variants >= limit.variants

    def count(self) -> None:
        """Note that one more variant is made."""
        self._variants += 1
