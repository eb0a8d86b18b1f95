"""Why each variant but the recommended one is not the one to ship: a line each."""

from __future__ import annotations

from collections.abc import Iterator

from edgecheck.gate.leniency import PASSING
from edgecheck.gate.margins import failing
from edgecheck.gate.recommend import gains
from edgecheck.records import Report, Variant, on_host
from edgecheck.report import reasons
from edgecheck.report.format import format_reading
from edgecheck.report.table import candidates
from edgecheck.report.terminal import misses
from edgecheck.text import plain


def others(report: Report) -> Iterator[tuple[Variant, str]]:
    """Yield each variant that is not recommended, with its reasons: what it misses, or what is better than it."""
    for variant in candidates(report):
        if variant.name != report.recommendation.variant:
            told = [*_missed(report, variant), *_passed_over(report, variant)]
            yield variant, "; ".join(told)


def _missed(report: Report, variant: Variant) -> Iterator[str]:
    """Yield `drop +68.61 pp > 2 pp` for each criterion that is not met, those that fail the variant first."""
    failed = failing(report, variant.name)
    for verdict in [*failed, *(one for one in reasons.unmet(report, variant.name) if one not in failed)]:
        yield misses.told(report, verdict)


def _passed_over(report: Report, variant: Variant) -> Iterator[str]:
    """Yield why a variant that passes is not recommended."""
    if report.statuses.get(variant.name) not in PASSING:
        return
    baseline, chosen = report.variants[0].name, report.recommendation.variant
    names = filter(None, (variant.name, baseline, chosen))
    compared = [reading for name in names for reading in report.readings_of(name)]
    taken = {(one.variant, one.metric): one for one in on_host(compared)}
    if not gains(variant.name, baseline, taken):
        yield "passes, but is neither smaller nor faster than the baseline"
    elif chosen:
        own, best = (taken.get((name, "size.bytes")) for name in (variant.name, chosen))
        if own and best and (own.value or 0) > (best.value or 0):
            yield f"passes, but is larger than {plain(chosen)}: {format_reading(own)}, not {format_reading(best)}"
        else:
            yield f"passes, but {plain(chosen)} is recommended before it"
