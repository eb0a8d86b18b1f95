"""The report as one self-contained HTML page for light and dark themes, screen and print; it needs no script."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from edgecheck.metrics import Metric, listed, listed_name
from edgecheck.records import Report, Similarity, Variant
from edgecheck.report import (
    anchors,
    charts,
    corruption,
    devices,
    diagnostics,
    flips,
    format,
    gallery,
    links,
    moved,
    others,
    palettes,
    provenance,
    reasons,
    signoff,
    svg,
    table,
    timings,
)
from edgecheck.report.chart_style import Chart
from edgecheck.report.class_names import class_name
from edgecheck.report.compression import compression
from edgecheck.report.decision import decide
from edgecheck.report.layers import layer_rows
from edgecheck.report.next_step import next_step
from edgecheck.text import plain

CLASSES_SHOWN = 10  # all classes of CIFAR-10, the worst classes of ImageNet
MOST_COLUMNS = 13  # fit 1,240 pixels
WORST_CLASSES = 3  # report.json has all
SCRIPTS = ("table.js", "gallery.js")
_CODE = re.compile(r"`([^`]+)`")


def render(
    report: Report,
    pictures: gallery.Pictures | None = None,
    drawn: Sequence[Chart] | None = None,
) -> str:
    """Return the page.

    Charts need matplotlib; without it, the page says so instead.

    Args:
        report: the report.
        pictures: WebP pictures by variant and name; without them, the gallery shows its text alone.
        drawn: its charts; None to draw them here.
    """
    shown = charts.charts(report) if drawn is None else drawn
    templates = environment()
    scripts = [source(templates, name) for name in SCRIPTS]
    return templates.get_template("report.html.j2").render(
        report=report,
        decision=decide(report),
        made=[*provenance.facts(report), *provenance.judgement(report), *provenance.revision(report)],
        others=list(others.others(report)),
        most_columns=MOST_COLUMNS,
        gallery=gallery.content(report, pictures or {}),
        charts=[(chart.title, chart.description, Markup(chart.svg)) for chart in shown],
        can_draw=svg.installed(),
        policy=content_security_policy(scripts),
        scripts=[Markup(script) for script in scripts],
    )


def source(templates: Environment, name: str) -> str:
    """Return a file beside the templates as it is."""
    assert templates.loader is not None
    return templates.loader.get_source(templates, name)[0].rstrip()


def content_security_policy(scripts: Sequence[str]) -> str:
    """Return a policy that allows nothing but inline styles, inlined pictures, and exactly these scripts."""
    hashes = [f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in scripts]
    allowed = f"script-src {' '.join(hashes)}; " if hashes else ""
    rest = "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    return f"default-src 'none'; {allowed}{rest}"


def code(text: str) -> Markup:
    """Return text, escaped, in which what stands between backticks is code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(plain(text)))))  # escaped before


def environment() -> Environment:
    """Return the template environment with the functions that templates call."""
    made = Environment(
        loader=PackageLoader("edgecheck.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    made.filters["code"] = code
    made.globals.update(
        anchors=anchors,
        devices=devices,
        diagnostics=diagnostics,
        flips=flips,
        format=format,
        links=links,
        moved=moved,
        next_step=next_step,
        palettes=palettes,
        reasons=reasons,
        table=table,
        timings=timings,
        glossary=glossary,
        corruption=corruption,
        worst_classes=worst_classes,
        class_name=class_name,
        cell_status=cell_status,
        class_rows=class_rows,
        layer_rows=layer_rows,
        compression=compression,
        provenance=provenance,
        signoff=signoff,
    )
    return made


def _finalize(value: Any) -> Any:
    """Replace characters that HTML does not allow; escaping follows."""
    return plain(value) if type(value) is str else value


def glossary(report: Report) -> list[Metric]:
    """Return the metrics that the report has readings of, or criteria on."""
    names = [*(one.metric for one in report.readings), *(one.metric for one in report.policy.criteria)]
    used = set(map(listed_name, names))
    return [metric for metric in listed() if metric.name in used]


def worst_classes(similarity: Similarity) -> list[tuple[str, float]]:
    """Return the classes with the lowest Sp2PS, the worst first."""
    return sorted(similarity.per_class.items(), key=lambda item: item[1])[:WORST_CLASSES]


def class_rows(report: Report, variant: Variant) -> list[tuple[str, float | None, float]]:
    """Return (class, baseline's accuracy, variant's accuracy) of the classes with the largest drop, the worst first."""
    before = report.variants[0].class_accuracy
    rows = [(name, before.get(name), share) for name, share in variant.class_accuracy.items()]
    return sorted(rows, key=lambda row: row[2] - (row[1] or 0.0))[:CLASSES_SHOWN]


def cell_status(report: Report, variant: Variant, column: table.Column) -> str:
    """Return the status of the first criterion that a cell does not meet; "" if it meets all."""
    return reasons.missed(report, variant.name, column.metric, column.device)
