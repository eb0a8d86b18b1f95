"""What `compare --fail-on` asks for: images newly wrong, metrics that got worse, verdicts that were lost. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from attrs import frozen

from edgecheck.errors import InputError
from edgecheck.gate.leniency import PASSING
from edgecheck.registry import register
from edgecheck.release.change import Comparison, VariantChange

Kind = Literal["new-flips", "worse", "unmeasured", "verdict-lost", "removed"]


@frozen
class Failure:
    """A reason for the exit code 1: its kind, the variant, and the metric or criterion, or how many images flipped."""

    kind: Kind
    variant: str
    metric: str = ""
    images: int = 0


FAIL_ON: dict[str, Callable[[Comparison], Iterator[Failure]]] = {}


@register(FAIL_ON, "new-flips")
def new_flips(comparison: Comparison) -> Iterator[Failure]:
    """Yield the variants with images that the first run classifies correctly and the second does not.

    Raises:
        InputError: the images of a variant cannot be compared.
    """
    for one in candidates(comparison):
        if one.flips is None:
            raise InputError(f"{one.after}: --fail-on new-flips cannot be decided: {one.unpaired}")
        if one.flips.broken:
            yield Failure("new-flips", one.after, images=len(one.flips.broken))


@register(FAIL_ON, "regression")
def regression(comparison: Comparison) -> Iterator[Failure]:
    """Yield gated metrics that are worse beyond their interval, or not measured any more, and what `verdict` yields."""
    for one in candidates(comparison):
        yield from (
            Failure("worse", one.after, metric.metric)
            for metric in one.moved
            if metric.gated and metric.finding == "worse"
        )
        yield from (
            Failure("unmeasured", one.after, turned.criterion) for turned in one.turned if turned.after == "MISSING"
        )
    yield from verdict(comparison)


@register(FAIL_ON, "verdict")
def verdict(comparison: Comparison) -> Iterator[Failure]:
    """Yield the variants that passed and no longer do, or are gone."""
    for one in candidates(comparison):
        if one.status_before in PASSING and one.status_after not in PASSING:
            yield Failure("verdict-lost", one.after)
    yield from (Failure("removed", name) for name in comparison.lost)


def candidates(comparison: Comparison) -> list[VariantChange]:
    """Return the changes of candidates: a baseline or a control is not shipped."""
    return [one for one in comparison.variants if one.role == "candidate"]


def failures(comparison: Comparison, kinds: list[str]) -> list[Failure]:
    """Return the reasons for an exit code 1, each once; `kinds` are keys of `FAIL_ON`.

    Raises:
        InputError: one of the kinds cannot be decided.
    """
    return list(dict.fromkeys(failure for kind in kinds for failure in FAIL_ON[kind](comparison)))
