"""Bisection over pruning rates whose outcomes are nearly, but not always, monotone.

Both functions are generators: they yield the index of the rate to try next and are sent its outcome. So they can be
tested without a network, and many searches can share one executor.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Literal

Outcome = Literal["passes", "fails", "undecided", "unchanged"]
"""`undecided`: neither PASS nor FAIL, which gives no direction. `unchanged`: the rate removes nothing."""

PATIENCE = 3  # undecided outcomes after which more of them are to be expected

Bisection = Generator[int, Outcome, int | None]


def largest_passing(start: int, stop: int, known: Mapping[int, Outcome] | None = None) -> Bisection:
    """Find the largest index in `start..stop-1` that passes; the lowest is tried first.

    Where even the lowest fails, all higher ones are expected to fail, too. After the bisection the neighbour beyond the
    first failing index is tried, since outcomes are not always monotone; where it passes, the bisection goes on above
    it.

    Args:
        start: the first index.
        stop: the index after the last one.
        known: outcomes from before.

    Returns:
        The index, None if none passes.
    """
    outcomes = {index: outcome for index, outcome in (known or {}).items() if start <= index < stop}
    while (index := _next(start, stop, outcomes)) is not None:
        if sum(outcome == "undecided" for outcome in outcomes.values()) >= PATIENCE:
            break
        outcomes[index] = yield index
    return max((index for index, outcome in outcomes.items() if outcome == "passes"), default=None)


def _next(start: int, stop: int, outcomes: Mapping[int, Outcome]) -> int | None:
    """Return the index to try next; None where the search is over."""
    if not outcomes:
        return start if start < stop else None
    below = max((i for i, outcome in outcomes.items() if outcome in ("passes", "unchanged")), default=start - 1)
    above = min((i for i, outcome in outcomes.items() if outcome == "fails" and i > below), default=stop)
    between = [index for index in range(below + 1, above) if index not in outcomes]
    if between:
        return between[len(between) // 2]
    neighbour = above + 1
    return neighbour if neighbour < stop and neighbour not in outcomes else None


def first_holding(start: int, stop: int) -> Generator[int, bool, int]:
    """Find the smallest index in `start..stop-1` where something holds that holds from some index on.

    Returns:
        The index, `stop` if it holds nowhere.
    """
    while start < stop:
        middle = (start + stop) // 2
        holds = yield middle
        start, stop = (start, middle) if holds else (middle + 1, stop)
    return start
