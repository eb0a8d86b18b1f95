"""What changed between two runs, as a listing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgecheck.metrics import family_of
from edgecheck.records import HOST, Criterion, Reading, to_dict
from edgecheck.release.change import Comparison, Difference, Limit, Moved, Side, VariantChange
from edgecheck.release.failing import Failure, candidates
from edgecheck.report.format import (
    MISSING,
    format_count,
    format_criterion,
    format_integer,
    format_reading,
)
from edgecheck.report.listing import Listing
from edgecheck.report.provenance import moment
from edgecheck.report.release.change_words import format_change
from edgecheck.text import listed

# Beside the gated metrics: what a release is asked for first.
ALWAYS = ("accuracy", "size.bytes", "latency.ratio")
OF_DEVICES = ("latency.p50_s",)  # on the same device it differs by the session
IMAGES_NAMED = 10  # of those that flipped; the JSON format has all
COLUMNS = ["variant", "metric", "finding", "before", "after", "change", "95 % interval\nof the change"]
INTERVALS = (
    "Intervals: of accuracy from the same images in both runs (paired); of other metrics from the intervals of both "
    "readings, as if independent. Better and worse: the whole interval says so, of latency by more than 5 % as well; "
    "without an interval only sizes and counts, by more than 1 %."
)
SESSIONS = (
    "Latency comes from two sessions: another load, temperature or clock moves it as well. Only latency.ratio is "
    "relative to the baseline of the same session."
)


def listing(comparison: Comparison, failures: Sequence[Failure] = (), every: bool = False) -> Listing:
    """Return the comparison as a table with notes.

    Args:
        comparison: the comparison.
        failures: what `--fail-on` found.
        every: whether to show all metrics that both runs have, not only those of the gate.
    """
    always = ALWAYS if comparison.before.device == comparison.after.device else (*ALWAYS, *OF_DEVICES)
    shown = [
        (one, metric)
        for one in comparison.variants
        for metric in one.moved
        if every or metric.gated or metric.metric in always
    ]
    rows = [_row(one, metric) for one, metric in shown if every or metric.difference]
    equal = len(shown) - len(rows)
    data = {**to_dict(comparison), "failures": [to_dict(one) for one in failures]}
    notes = [f"{format_count(equal, 'reading')} equal in both runs (--all shows them)"] if equal else []
    return Listing(_title(comparison), COLUMNS, rows, data, [*notes, *_notes(comparison, failures)], text_columns=3)


def _title(comparison: Comparison) -> str:
    told = f"{_name(comparison.before)} compared with {_name(comparison.after)}"
    if comparison.unverified:
        told = f"NOT VERIFIED (--unverified): {listed(comparison.unverified)}. {told}"
    if comparison.obstacles:
        told = f"NOT COMPARABLE (--anyway): {_differences(comparison.obstacles)}. {told}"
    return told


def _name(side: Side) -> str:
    return side.run if side.device == HOST else f"{side.run} on {side.device}"


def _row(one: VariantChange, metric: Moved) -> list[str]:
    unit = metric.unit
    change = format_change(metric.difference, unit)
    interval = MISSING
    if metric.low is not None and metric.high is not None:
        interval = f"{format_change(metric.low, unit)} .. {format_change(metric.high, unit)}"
        interval += " paired" if metric.basis == "paired" else ""
    values = (format_reading(Reading(one.after, metric.metric, value, unit)) for value in (metric.before, metric.after))
    finding = metric.finding if metric.finding in ("better", "worse") else ""
    return [variant_name(one), metric.metric, finding, *values, change, interval]


def variant_name(one: VariantChange) -> str:
    """Return the name of a variant, or both where it was renamed."""
    return one.after if one.before == one.after else f"{one.before} -> {one.after}"


def _notes(comparison: Comparison, failures: Sequence[Failure]) -> Iterator[str]:
    yield from (_side(side) for side in (comparison.before, comparison.after))
    yield from _outcome(comparison)
    for one in comparison.variants:
        yield from _verdicts(one)
        yield from _flips(one)
    yield from _unpaired(comparison)
    for title, names in (("only in the first run", comparison.removed), ("only in the second run", comparison.added)):
        if names:
            yield f"{title}: {', '.join(names)}"
    yield from (_limit(one) for one in comparison.limits)
    yield from (f"policy, {_difference(one)}" for one in comparison.policy)
    if comparison.settings:
        yield f"measured under other conditions: {_differences(comparison.settings)}"
    yield INTERVALS
    if any(family_of(metric.metric) == "latency" for one in comparison.variants for metric in one.moved):
        yield SESSIONS
    yield from (f"--fail-on: {sentence(one)}" for one in failures)


def _side(side: Side) -> str:
    made = f", made {moment(side.created)}" if side.created else ""
    return f"{_name(side)}: edgecheck {side.version}{made}; gate {'PASS' if side.passed else 'FAIL'}; {_ships(side)}"


def _ships(side: Side) -> str:
    return f"ship {side.recommended}" if side.recommended else "keep the baseline"


def _outcome(comparison: Comparison) -> Iterator[str]:
    before, after = comparison.before, comparison.after
    if before.recommended != after.recommended:
        yield f"recommendation changed: {_ships(before)} -> {_ships(after)}"
    if any(one.role == "baseline" and one.same_file is False for one in comparison.variants):
        yield "the baseline is another file: accuracy drops, agreement and Sp2PS are relative to another network"
    if not any(one.turned or one.status_before != one.status_after for one in candidates(comparison)):
        yield "no verdict changed"


def _verdicts(one: VariantChange) -> Iterator[str]:
    turned = [f"{each.criterion}: {each.before or MISSING} -> {each.after or MISSING}" for each in one.turned]
    if one.role == "candidate" and (turned or one.status_before != one.status_after):
        whole = f"{variant_name(one)}: {one.status_before or MISSING} -> {one.status_after or MISSING}"
        yield f"{whole} ({'; '.join(turned)})" if turned else whole


def _flips(one: VariantChange) -> Iterator[str]:
    name = variant_name(one)
    if one.flips is None:
        return
    if one.flips.equal:
        same = ", the same file" if one.same_file else ""
        yield f"{name}: right on the same images of {format_integer(one.flips.images)}{same}"
    else:
        broken, repaired = (_images(places) for places in (one.flips.broken, one.flips.repaired))
        yield f"{name}: of {format_integer(one.flips.images)} images, newly broken {broken}; repaired {repaired}"


def _unpaired(comparison: Comparison) -> Iterator[str]:
    """Yield each reason why images could not be compared, with the variants that it holds for."""
    names: dict[str, list[str]] = {}
    for one in comparison.variants:
        if one.flips is None:
            names.setdefault(one.unpaired, []).append(variant_name(one))
    yield from (f"newly broken images are unknown of {', '.join(of)}: {reason}" for reason, of in names.items())


def _images(places: Sequence[int]) -> str:
    return f"{len(places)} (images {listed(places, IMAGES_NAMED)})" if places else "none"


def _limit(one: Limit) -> str:
    first, second = (_criterion(asked) for asked in (one.before, one.after))
    return f"criterion changed: {first} -> {second}"


def _criterion(asked: Criterion | None) -> str:
    if asked is None:
        return "none"
    return format_criterion(asked) + (" warn" if asked.level == "warn" else "")


def _differences(differences: Sequence[Difference]) -> str:
    return "; ".join(map(_difference, differences))


def _difference(one: Difference) -> str:
    return f"{one.what}: {one.before or MISSING} -> {one.after or MISSING}"


def sentence(failure: Failure) -> str:
    """Return the reason for an exit code 1 in words."""
    match failure.kind:
        case "new-flips":
            return f"{failure.variant}: {format_count(failure.images, 'image')} newly broken"
        case "worse":
            return f"{failure.variant}: {failure.metric} is worse"
        case "unmeasured":
            return f"{failure.variant}: {failure.metric} was judged before, and is MISSING now"
        case "verdict-lost":
            return f"{failure.variant}: passed before, and does not now"
        case _:
            return f"{failure.variant}: passed before, and is missing now"
