"""The report as a comment on a pull request or the summary of a CI step (GitHub-flavoured Markdown).

The decision and the variants are visible, the rest is folded. The page has a limited length.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from edgecheck.gate.margins import failing, shortfall
from edgecheck.records import Report, Variant
from edgecheck.report import cases, decision, provenance, reasons
from edgecheck.report.cutting import Block, fitted
from edgecheck.report.format import MISSING, format_reading
from edgecheck.report.markdown_sections import folded
from edgecheck.report.markup import table_row, told
from edgecheck.report.table import candidates, verdict_word

MOST_BYTES = 60_000  # GitHub refuses a comment of more than 65,536 characters, and a job may add some of its own
MOST_ROWS = 20  # variants in the first table
NEXT = "What to try next, the cheapest first"
SUMMARY = ("variant", "verdict", "worst criterion", "size", "latency")
RULE = ("---", "---", "---", "---:", "---:")


def render(report: Report) -> str:
    """Return the decision, the variants, what to try next, and folded the criteria, measurements and warnings.

    The text has at most `MOST_BYTES` in UTF-8. Where something is cut, it says how much.
    """
    return "\n".join(fitted(list(_blocks(report)), MOST_BYTES)) + "\n"


def _blocks(report: Report) -> Iterator[Block]:
    yield Block((), before=_decision(report))
    yield from _variants(report)
    yield from _list("Waived", _waived(report))
    yield from _list(NEXT, map(told, reasons.advice(report)))
    yield from folded(report)
    if made := "; ".join(f"{name} {fact}" for name, fact in provenance.facts(report)):
        yield Block((), before=("", f"<sub>{told(made)}</sub>"))


def _decision(report: Report) -> Iterator[str]:
    decided = decision.decide(report)
    yield f"### {told(decided.headline)}"
    yield from ("", f"{told(decided.gate)} {told(decided.reason)}".rstrip())
    for text in reasons.unverified(report):
        yield from ("", f"**{told(text)}**")


def _variants(report: Report) -> Iterator[Block]:
    """Yield a table of the recommended variant, those that fail, the nearest to passing first, then the others."""
    order = sorted(candidates(report), key=lambda variant: _rank(report, variant))
    if order:
        shown = [table_row(_cells(report, variant)) for variant in order[:MOST_ROWS]]
        yield Block(shown, "variants", ("", table_row(SUMMARY), table_row(RULE)), _others(report, order[MOST_ROWS:]))


def _rank(report: Report, variant: Variant) -> tuple[int, int, float]:
    if variant.name == report.recommendation.variant:
        return 0, 0, 0.0
    failed = failing(report, variant.name)
    return (1 if failed else 2), sum(one.actual is None for one in failed), shortfall(failed)


def _cells(report: Report, variant: Variant) -> Iterator[str]:
    yield told(variant.name)
    yield f"**{verdict_word(report, variant)}**"
    yield told(decision.worst(report, variant.name))
    yield told(_both(decision.relative_size(report, variant.name), _value(report, variant, "size.bytes")))
    yield told(_both(_value(report, variant, "latency.ratio"), _value(report, variant, "latency.p50_s")))


def _value(report: Report, variant: Variant, metric: str) -> str:
    text = format_reading(report.value(variant.name, metric))
    return "" if text == MISSING else text


def _both(ratio: str, value: str) -> str:
    """Return `0.52x (19.4 MB)`, or as much of it as there is."""
    return f"{ratio} ({value})" if ratio and value else ratio or value or MISSING


def _others(report: Report, variants: Iterable[Variant]) -> Iterator[str]:
    """Yield how many variants the table leaves out, by verdict."""
    words = [verdict_word(report, variant) for variant in variants]
    if words:
        counts = ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))
        yield from ("", f"... and {len(words):,} more variants: {counts}.")


def _waived(report: Report) -> Iterator[str]:
    for variant in candidates(report):
        for case in cases.of_variant(report, variant.name):
            if case.kind == "waived":
                yield told(f"{case.variant}: {case.text}")


def _list(title: str, items: Iterable[str]) -> Iterator[Block]:
    """Yield a visible list with a title; nothing if it is empty."""
    if lines := [f"- {item}" for item in items]:
        yield Block(lines, before=("", f"**{title}**", ""))
