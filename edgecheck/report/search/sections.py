"""The sections of a search's page: what was found, why nothing smaller passes, the frontier, and the path."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from edgecheck.gate.leniency import counts_as
from edgecheck.metrics import METRICS
from edgecheck.records import HOST, Attempt, Report, Search, Verdict
from edgecheck.report import reasons
from edgecheck.report.format import MISSING, format_actual, format_count, format_exact, format_resolved, format_value
from edgecheck.report.page import Heading, Section, Table
from edgecheck.report.search.chart import charts
from edgecheck.report.search.words import OBJECTIVES, OUTCOMES, SMALLER, measured, share, why

_TWO_HALVES = (
    "The test images were divided into two halves by the seed. Variants were tried on the first half; one of them was "
    "judged once on the second. Of many variants that are tried on the same images, the best one looks better than "
    "it is, so only the second half counts."
)
_SMALLER = (
    "What was tried beyond the one found, on the first half of the images. A variant that fails on accuracy is not "
    "explained."
)
NEXT_ON_DEVICE = "`edgecheck bundle`, `device run` and `merge`"
_FRONTIER = (
    "One branch holds the variants that differ in their pruning rate alone. A branch is left where none of its "
    "variants can be smaller than the smallest that has passed so far."
)
_RATES = (
    "Each layer stands for those that lose filters with it. sensitivity.html shows what happens when one of them alone "
    "is pruned; layers of similar sensitivity share a rate."
)


def decision(search: Search, report: Report) -> str:
    """Return what to ship and why, in words."""
    return " ".join(filter(None, choice(search, report)))


def choice(search: Search, report: Report) -> tuple[str, str]:
    """Return what to ship, in one sentence, and what it depends on."""
    name, what = search.judged, OBJECTIVES[search.minimize]
    if search.found is None:
        return "Keep the baseline: no variant passes.", _none_found(search, report)
    if report.passed and report.recommendation.variant is None:
        return "Keep the baseline.", f"{name} passes on both halves, and is neither smaller nor faster on the second."
    images = format_count(report.subject.images, "image")
    if report.passed:
        size = share(_attempt(search, search.found).value, search.baseline)
        passes = f"It passes on {images} that the search did not use."
        return f"Ship {name}: {size} the {what} of the baseline.", passes
    missed = [one for one in reasons.unmet(report, name or "") if counts_as(report.policy, one) == "fail"]
    if devices := dict.fromkeys(one.device for one in missed if one.status == "MISSING" and one.device != HOST):
        return f"Not decided: {', '.join(devices)} has not measured {name}.", f"See {NEXT_ON_DEVICE}."
    why_not = "; ".join(reasons.sentence(report, one) for one in missed)
    return (
        f"Do not ship {name}: it fails on the {images} that the search did not use.",
        f"It passed on those of the search ({why_not}). Search with more test images, or with limits that leave a "
        "margin.",
    )


def _none_found(search: Search, report: Report) -> str:
    """Return why the search found nothing."""
    nearest = _attempt(search, search.judged)
    if report.passed:
        what = OBJECTIVES[search.minimize]
        return f"{nearest.variant} passes, without less {what} than the baseline ({_tried(search)})."
    missed = (reasons.sentence(report, one) for one in reasons.unmet(report, nearest.variant))
    return f"{_tried(search)}. Nearest: {nearest.variant}, {why(nearest) or next(missed, '')}."


def heading(search: Search, report: Report) -> Heading:
    """Return the head of the page."""
    said, told = choice(search, report)
    tone = "PASS" if said.startswith("Ship") else "WARN" if report.passed else "FAIL"
    stopped = f"The search ended early: {search.stopped}." if search.stopped else ""
    return Heading(f"{report.subject.name}: search", said, " ".join(filter(None, [told, stopped])), tone)


def sections(search: Search, report: Report) -> Iterator[Section]:
    """Yield the sections of the page: what was tried first, and how it was found last."""
    yield Section("What was tried", text=[_tried(search) + "."], charts=list(charts(search)))
    yield Section("Both halves of the test images", text=[_TWO_HALVES], tables=[_both(search, report)])
    if smaller := _smaller(search):
        titles = ["variant", search.minimize, "of the baseline", "why not"]
        rows = [[one.variant, _value(search, one), share(one.value, search.baseline), why(one)] for one in smaller]
        yield Section(
            f"Why nothing {SMALLER[search.minimize]} passes", text=[_SMALLER], tables=[Table(titles, rows, words=1)]
        )
    if rates := _rates(search, report):
        yield Section("Rates of the layers", text=[_RATES], tables=[Table(["layer", "rate"], rates)], folded=True)
    yield Section("Frontier of each branch", text=[_FRONTIER], tables=[_frontier(search)], folded=True)
    yield Section("Path", text=[f"{_tried(search)}, in this order."], tables=[_path(search)], folded=True)
    command = shlex.join(search.command or [])
    yield Section("How this was made", command=command, points=list(_conditions(search, report)), folded=True)


def _rates(search: Search, report: Report) -> list[list[str]]:
    """Return the layers of the variant that was judged with their own rates, the least pruned first; empty without."""
    steps = [variant.pruning for variant in report.variants if variant.name == search.judged]
    own = next((step.rates for step in steps if step and step.rates), {})
    return [[layer, format_exact(rate, "fraction")] for layer, rate in sorted(own.items(), key=lambda pair: pair[1])]


def _both(search: Search, report: Report) -> Table:
    """Return the criteria with the values on both halves, those of the gate that only the report judges included."""
    name = search.judged or ""
    first = {(one.metric, one.op, one.device): one for one in _attempt(search, name).verdicts}
    rows = []
    for verdict in reasons.verdicts_of(report, name):
        before = first.get((verdict.metric, verdict.op, verdict.device))
        rows.append([verdict.name, f"{verdict.op} {format_resolved(verdict)}", _judged(before), _judged(verdict)])
    images = format_count(search.images, "image"), format_count(report.subject.images, "image")
    return Table([name, "limit", f"searched, {images[0]}", f"judged, {images[1]}"], rows)


def _judged(verdict: Verdict | None) -> str:
    if verdict is None:
        return MISSING
    return f"{format_actual(verdict)} {verdict.status}" if verdict.actual is not None else verdict.status


def _smaller(search: Search) -> list[Attempt]:
    """Return the attempts with a smaller value than the one found or judged, the nearest in size first."""
    least = _attempt(search, search.found).value if search.found else search.baseline
    others = [one for one in search.attempts if one.variant != search.judged]
    known = [one for one in others if one.value is not None and least is not None and one.value < least]
    return sorted(known, key=lambda one: -(one.value or 0.0))


def _frontier(search: Search) -> Table:
    rows = []
    for branch in search.branches:
        tried = [one for one in search.attempts if one.branch == branch.label]
        best = _attempt(search, branch.smallest) if branch.smallest else None
        failing = [one for one in tried if one.outcome != "passes"]
        first = max(failing, key=lambda one: one.value or 0.0, default=None)
        rows.append(
            [
                branch.label,
                f"{len(tried)} of {branch.variants}",
                share(best.value, search.baseline) if best else MISSING,
                best.variant if best else MISSING,
                f"{first.variant}: {why(first)}" if first else branch.note or MISSING,
            ]
        )
    heading = ["branch", "tried", "of the baseline", "smallest that passes", "largest that does not"]
    return Table(heading, rows, words=2)


def _path(search: Search) -> Table:
    asked = dict.fromkeys(verdict.metric for one in search.attempts for verdict in one.verdicts)
    metrics = list(dict.fromkeys(["accuracy", *asked]))
    rows = [
        [
            one.variant,
            OUTCOMES[one.outcome],
            _value(search, one),
            *(measured(one, metric) for metric in metrics),
            why(one),
        ]
        for one in search.attempts
    ]
    return Table(["variant", "outcome", search.minimize, *metrics, "reason"], rows, words=1)


def _value(search: Search, attempt: Attempt) -> str:
    return format_value(attempt.value, METRICS[search.minimize].unit)


def _tried(search: Search) -> str:
    return f"{len(search.attempts)} of {format_count(search.space, 'variant')} tried"


def _attempt(search: Search, name: str | None) -> Attempt:
    return next(one for one in search.attempts if one.variant == name)


def _conditions(search: Search, report: Report) -> Iterator[str]:
    yield f"Seed {search.seed}; {format_count(search.images, 'test image')} to search on"
    yield f"Data: {report.subject.dataset}"
    undecided = sum(one.outcome == "undecided" for one in search.attempts)
    if undecided:
        yield f"Undecided: {format_count(undecided, 'variant')}, which gave the search no direction"
    passing = sum(one.outcome == "passes" for one in search.attempts)
    yield f"{passing} of {len(search.attempts)} attempts pass; verdicts on the second half: " + ", ".join(
        f"{name} {status}" for name, status in report.statuses.items()
    )
