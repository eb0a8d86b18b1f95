"""Compares two reports: what changed from one release, or one device, to another. Pure."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

from attrs import field, frozen

from edgecheck.errors import InputError, UsageError
from edgecheck.gate.leniency import PASSING
from edgecheck.records import HOST, Report, Status, Variant
from edgecheck.registry import nearest
from edgecheck.release.change import Comparison, Flips, Moved, Side, Turned, VariantChange
from edgecheck.release.moving import common, gated_metrics, moved
from edgecheck.release.settings import limits, obstacles, policies, settings
from edgecheck.text import plain

Pair = tuple[str, str]


@frozen
class Asked:
    """How two runs are compared.

    Attributes:
        runs: how the user named them.
        devices: the device of each whose readings are compared.
        renamed: names of variants in the second run, by those in the first, where they differ.
        anyway: whether runs are compared that are not comparable.
        unverified: whether runs are compared whose files do not match their report.
    """

    runs: Pair
    devices: Pair = (HOST, HOST)
    renamed: Mapping[str, str] = field(factory=dict)
    anyway: bool = False
    unverified: bool = False


@frozen
class Paired:
    """The images that flip, by the names of a variant in both runs; else the reason why there are none."""

    flips: Mapping[Pair, Flips]
    missing: Mapping[Pair, str]


def check(before: Report, after: Report, asked: Asked) -> None:
    """Refuse what cannot be compared.

    Raises:
        InputError: images, preprocessing, classes or outputs differ, and the user did not ask to compare them anyway.
        UsageError: a run has no readings of a device.
    """
    for report, run, device in zip((before, after), asked.runs, asked.devices, strict=True):
        known = [HOST, *report.devices]
        if device not in known:
            raise UsageError(f"--device {device}: {run} has no readings of it; it has {', '.join(known)}")
    found = obstacles(before, after)
    if found and not asked.anyway:
        told = "; ".join(f"{one.what}: {one.before} and {one.after}" for one in found)
        raise InputError(
            f"{asked.runs[0]} and {asked.runs[1]}: not comparable: {plain(told)}; add --anyway to compare them"
        )


def pairs(before: Report, after: Report, renamed: Mapping[str, str]) -> list[Pair]:
    """Return the names of the variants of both runs: baselines, those of equal names, and those that were renamed.

    Raises:
        UsageError: a run has no variant of a name in `renamed`.
        InputError: the runs have no candidate in common.
    """
    first, second = ({one.name: one for one in report.variants} for report in (before, after))
    for name, known in (*((one, first) for one in renamed), *((one, second) for one in renamed.values())):
        if name not in known:
            raise UsageError(f"--map: no variant {plain(name)!r}{nearest(name, known)}")
    found = [(name, renamed.get(name, name)) for name in first if renamed.get(name, name) in second]
    taken = {new for old, new in renamed.items() if old != new}
    kept = [(old, new) for old, new in found if old in renamed or new not in taken]
    if not any(first[old].role == "candidate" for old, _ in kept):
        raise InputError("the runs have no variant in common: say which belong together with --map OLD=NEW")
    return kept


def compare(before: Report, after: Report, asked: Asked, matched: Sequence[Pair], paired: Paired) -> Comparison:
    """Return what changed.

    Args:
        before: the first report.
        after: the second report.
        asked: how to compare them.
        matched: from `pairs`.
        paired: the images that flip.
    """
    same_baseline = any(
        paired.flips[pair].equal for pair in matched if pair in paired.flips and _is_baseline(before, pair[0])
    )
    removed, added = (_alone(report, {pair[at] for pair in matched}) for at, report in enumerate((before, after)))
    return Comparison(
        before=_side(before, asked, 0),
        after=_side(after, asked, 1),
        obstacles=obstacles(before, after),
        settings=settings(before, after, asked.devices),
        policy=policies(before.policy, after.policy),
        limits=limits(before.policy, after.policy),
        variants=[_variant_change(before, after, pair, asked, paired, same_baseline) for pair in matched],
        removed=removed,
        lost=[name for name in removed if before.statuses.get(name) in PASSING],
        added=added,
        unverified=[
            f"{run}: {phrase}"
            for run, report in zip(asked.runs, (before, after), strict=True)
            for phrase in report.unverified
        ],
    )


def _is_baseline(report: Report, name: str) -> bool:
    return _variant(report, name).role == "baseline"


def _alone(report: Report, matched: Container[str]) -> list[str]:
    return [one.name for one in report.variants if one.role == "candidate" and one.name not in matched]


def _side(report: Report, asked: Asked, at: int) -> Side:
    return Side(
        run=asked.runs[at],
        device=asked.devices[at],
        created=report.created,
        version=report.tool.version,
        passed=report.passed,
        recommended=report.recommendation.variant,
    )


def _variant(report: Report, name: str) -> Variant:
    return next(one for one in report.variants if one.name == name)


def _variant_change(
    before: Report, after: Report, names: Pair, asked: Asked, paired: Paired, same_baseline: bool
) -> VariantChange:
    first, second = _variant(before, names[0]), _variant(after, names[1])
    flips = paired.flips.get(names)
    return VariantChange(
        before=first.name,
        after=second.name,
        role=second.role,
        status_before=before.statuses.get(first.name),
        status_after=after.statuses.get(second.name),
        same_file=first.sha256 == second.sha256 if first.sha256 and second.sha256 else None,
        moved=_moved(before, after, names, asked.devices, flips, same_baseline),
        turned=_turned(before, after, names),
        flips=flips,
        unpaired=paired.missing.get(names, ""),
    )


def _moved(
    before: Report, after: Report, names: Pair, devices: Pair, flips: Flips | None, same_baseline: bool
) -> list[Moved]:
    gated, found = gated_metrics(before, after), []
    for metric in common(before, after, names, devices):
        first, second = before.value(names[0], metric, devices[0]), after.value(names[1], metric, devices[1])
        asked_for = any((metric, device) in gated for device in devices)
        if first and second and (one := moved((first, second), asked_for, flips, same_baseline)):
            found.append(one)
    return found


def _turned(before: Report, after: Report, names: Pair) -> list[Turned]:
    """Return the criteria whose verdict changed, by metric, device and operator: limits may have changed as well."""
    first, second = _verdicts(before, names[0]), _verdicts(after, names[1])
    return [
        Turned(f"{name} {op}", first.get((name, op)), second.get((name, op)))
        for name, op in {**first, **second}
        if first.get((name, op)) != second.get((name, op))
    ]


def _verdicts(report: Report, variant: str) -> dict[tuple[str, str], Status]:
    return {(one.name, one.op): one.status for one in report.verdicts_of(variant)}
