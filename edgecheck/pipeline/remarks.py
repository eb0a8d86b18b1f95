"""What the readings together say that no single one does: each a line with its advice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgecheck.gate.floor import floor as floor_of
from edgecheck.records import Policy, Reading, Variant
from edgecheck.report.format import describe_floor, format_criterion, format_reading

# A baseline that is right less than this many times as often as a guess was most likely fed wrongly.
GUESSING = 2.0
# MACs that fell by less than this promise no gain.
FEWER_MACS = 0.95
INTEGERS = ("int8", "uint8", "int4", "uint4")


def remarks(variants: Sequence[Variant], readings: Sequence[Reading], policy: Policy, classes: int) -> Iterator[str]:
    """Yield what a reader should know before trusting verdicts and limits."""
    taken = {(r.variant, r.metric): r for r in readings}
    by_role = {role: [v.name for v in variants if v.role == role] for role in ("baseline", "candidate")}
    for name in by_role["baseline"]:
        yield from _guessing(taken.get((name, "accuracy")), classes)
        yield from _no_faster(name, by_role["candidate"], taken)
    yield from _failed_controls(variants, readings)
    yield from _slow_integers([v for v in variants if v.role == "candidate"], taken)
    yield from _below_floor(variants, readings, policy)


def _failed_controls(variants: Sequence[Variant], readings: Sequence[Reading]) -> Iterator[str]:
    values = {v.name: [r.value for r in readings if r.variant == v.name] for v in variants if v.role == "control"}
    failed = [name for name, found in values.items() if found and all(value is None for value in found)]
    if failed:
        yield f"{', '.join(failed)} could not be made: the noise floor is that of the other controls, if there are any"


def _slow_integers(candidates: Sequence[Variant], taken: dict[tuple[str, str], Reading]) -> Iterator[str]:
    slow = []
    for variant in candidates:
        whole = sum(variant.weight_bytes.values())
        integers = sum(size for kind, size in variant.weight_bytes.items() if kind in INTEGERS)
        ratio = taken.get((variant.name, "latency.ratio"))
        if whole and integers > whole / 2 and ratio and (ratio.low or 0) > 1:
            slow.append(f"{variant.name} ({format_reading(ratio)})")
    if slow:
        yield (
            f"int8, yet slower than the baseline: {', '.join(slow)}. This processor lacks fast integer kernels for "
            "such layers, or they are too small to repay the conversion: see `edgecheck layers`, measure on the target"
        )


def _guessing(accuracy: Reading | None, classes: int) -> Iterator[str]:
    if accuracy and accuracy.value is not None and classes > GUESSING and accuracy.value < GUESSING / classes:
        yield (
            f"the baseline is right on {format_reading(accuracy)} of the images, little more than a guess among "
            f"{classes} classes: check preprocessing (range, mean, std), labels and weights before trusting any verdict"
        )


def _below_floor(variants: Sequence[Variant], readings: Sequence[Reading], policy: Policy) -> Iterator[str]:
    """Only a limit written as a number can lie there by mistake; one relative to the control is meant to."""
    for criterion in policy.criteria:
        metric, asked_for_more = criterion.metric, criterion.op in (">=", ">") and criterion.offset is None
        floor = floor_of(variants, readings, metric)
        if metric.startswith("sp2ps.") and asked_for_more and floor and floor.mean < criterion.limit:
            yield (
                f"{format_criterion(criterion)} lies above the noise floor: the control, not pruned at all, reaches "
                f"{describe_floor(metric, floor)} after the same fine-tuning; fine-tune more gently, or judge against "
                f"that floor, as `{metric} {criterion.op} control - 0.02` does"
            )


def _no_faster(baseline: str, names: Sequence[str], taken: dict[tuple[str, str], Reading]) -> Iterator[str]:
    whole = taken.get((baseline, "macs"))
    slow = []
    for name in names:
        macs, ratio = taken.get((name, "macs")), taken.get((name, "latency.ratio"))
        share = macs.value / whole.value if whole and macs and whole.value and macs.value is not None else 1.0
        if ratio and share < FEWER_MACS and (ratio.low or 0) > 1:
            slow.append(f"{name} ({format_reading(ratio)})")
    if slow:
        yield (
            f"fewer MACs, yet slower: {', '.join(slow)}. Vector units dislike channel counts that are no multiple of 8 "
            "or 16: try another rate, and measure on the target"
        )
