"""The page of a sweep as sections of text, tables and pictures, which each renderer writes in its own way."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from attrs import field, frozen

from edgecheck.gate.floor import Floor
from edgecheck.gate.judge import MEANINGFUL_LATENCY_SHARE, MEANINGFUL_SIZE_SHARE
from edgecheck.metrics import CAM_METHODS
from edgecheck.records import Report, Variant
from edgecheck.report import reasons
from edgecheck.report.chart_style import Chart, floor, value
from edgecheck.report.format import (
    MISSING,
    describe_cpu,
    describe_runs,
    format_count,
    format_difference,
    format_exact,
    format_reading,
    format_value,
)
from edgecheck.report.series import series
from edgecheck.report.sweep import paper
from edgecheck.report.sweep.drops import PERCENT, drops
from edgecheck.report.sweep.findings import findings, floors
from edgecheck.report.sweep.front import front
from edgecheck.report.table import candidates, rows

_COMPARED = (
    "One trained network, the baseline, was made smaller in several ways. Each result is a variant: weights or filters "
    "were pruned (taken away), what is left was trained on for a while (fine-tuned), and some files may have been "
    "quantized (stored in fewer bits).",
    "Every variant is compared with the baseline on the same test images: how often it is right (accuracy), which "
    "pixels it decides by (heatmaps), how long one image takes (latency), and how large its file is. Sp2PS says how "
    f"alike two networks' heatmaps are, 1 where both look at the same pixels. {reasons.DRIFT}",
    "The control is the baseline with the same fine-tuning and nothing pruned. What moves there is not moved by "
    "pruning: it is the noise floor that every variant is to be seen against.",
)
_WAYS = (
    "The ways, each with its pruning rates; in brackets, whether all layers were ranked together (global) or each gave "
    "the same share (layer):"
)
_COLUMNS = (
    "Accuracy drop: the baseline's accuracy minus the variant's, in percentage points (pp). In brackets behind an "
    "Sp2PS: how far it lies from the control's. Latency ratio: the variant's median time over the baseline's, below 1x "
    "is faster. MACs: multiply-adds for one image."
)
_QUANTIZED = (
    "A quantized file has no heatmaps of its own, so its Sp2PS is missing: the float variant it was made from shows "
    "what pruning did to the heatmaps, not what quantization did."
)
_OTHER = (
    "The paper's figures are of its own CIFAR-10 network and its own training, at six rising pruning rates; they stand "
    "here to compare shapes, not values. Drop of a score: 1 minus it. The paper takes its PE-score from another "
    "source, with accuracy drops of its own; ours is PE-like, by a rule of our own."
)
_HEATMAPS = (
    "The pixels that the network's answer depends on, red most and blue least, laid over the image. A row a way of "
    "pruning: the image, the baseline's heatmap, the control's, then those of the variants by rising rate."
)


@frozen
class Table:
    """Rows under a heading; the first column is text, the others are numbers."""

    heading: list[str]
    rows: list[list[str]]


@frozen
class Picture:
    """A PNG beside the page: its path from there, and what it shows."""

    file: str
    caption: str


@frozen
class Section:
    """A heading and what stands under it, in this order."""

    title: str
    text: list[str] = field(factory=list)
    command: str = ""
    points: list[str] = field(factory=list)
    tables: list[Table] = field(factory=list)
    charts: list[Chart] = field(factory=list)
    pictures: list[Picture] = field(factory=list)


def sections(
    report: Report, command: str, curves: Sequence[Chart], drifts: Sequence[Chart], grids: Sequence[Picture]
) -> Iterator[Section]:
    """Yield the page, section by section; one for which nothing was measured is left out."""
    yield Section("What is compared", text=[*_COMPARED, _WAYS], points=list(_ways(report)))
    quantized = [_QUANTIZED] if any(variant.quantization for variant in report.variants) else []
    yield Section("Results", text=[_COLUMNS, *quantized], tables=[results(report)], charts=list(curves))
    if said := list(floors(report)):
        yield Section("The noise floor", text=[_controls(floor(report, "accuracy"))], points=said)
    if said := list(findings(report)):
        yield Section("What the figures say", points=said)
    yield _front(report)
    if grids:
        yield Section("Heatmaps over the pruning rate", text=[_HEATMAPS], pictures=list(grids))
    if tables := list(_beside(report)):
        yield Section("Beside the paper's tables 1 to 3", text=[_OTHER], tables=tables, charts=list(drifts))
    if warnings := reasons.warnings(report):
        yield Section("Warnings", points=warnings)
    yield Section("How it was made", command=command, points=list(_conditions(report)))


def _ways(report: Report) -> Iterator[str]:
    for variant in candidates(report):
        if not variant.criterion:
            yield f"{variant.name}: not pruned"
    for one in series(report):
        yield f"{one.label}: {', '.join(format_exact(rate, 'fraction') for rate, _ in one.points)}"


def results(report: Report) -> Table:
    """Return a row a model: rate reached, accuracy, Sp2PS with its distance from the floor, latency and size."""
    heading = ["variant", "rate reached", "accuracy", "accuracy drop"]
    heading += [f"Sp2PS {method}" for method in CAM_METHODS]
    heading += ["latency ratio", "size", "MACs"]
    return _without_empty(Table(heading, [_row(report, variant) for variant in rows(report)]))


def _without_empty(table: Table) -> Table:
    """Leave out the columns in which no row says anything."""
    kept = [place for place, cells in enumerate(zip(*table.rows, strict=True)) if set(cells) - {"", MISSING}]
    return Table([table.heading[place] for place in kept], [[row[place] for place in kept] for row in table.rows])


def _row(report: Report, variant: Variant) -> list[str]:
    reached = variant.effective_rate if variant.role == "candidate" else None
    return [
        variant.name,
        format_value(reached, "fraction") if reached is not None else "",
        *(format_reading(report.value(variant.name, metric)) for metric in ("accuracy", "accuracy_drop_pp")),
        *(_score(report, variant, f"sp2ps.{method}") for method in CAM_METHODS),
        *(format_reading(report.value(variant.name, metric)) for metric in ("latency.ratio", "size.bytes")),
        format_value(value(report, variant, "macs"), "count"),
    ]


def _score(report: Report, variant: Variant, metric: str) -> str:
    """Return a score and, of a candidate, how far it lies from the noise floor."""
    found, ground = value(report, variant, metric), floor(report, metric)
    text = format_reading(report.value(variant.name, metric))
    if found is None or ground is None or variant.role != "candidate":
        return text
    return f"{text} ({format_difference(found - ground.mean, 'score')})"


def _controls(ground: Floor | None) -> str:
    if ground is not None and ground.n > 1:
        return f"Here {ground.n} controls were made, each by its own seed; the floor is their mean."
    return "Here one control was made. More (controls: 3) show how far the floor itself is uncertain."


def _front(report: Report) -> Section:
    """Say which candidates no other beats, and by what they were compared."""
    found = front(report, candidates(report))
    names = [objective.metric for objective in found.objectives]
    text = [_on_the_front(", ".join(names)) if found.kept else "No variant has the readings that it takes."]
    if found.left_out and found.kept:
        text.append(f"Not compared, for want of a reading: {', '.join(variant.name for variant in found.left_out)}.")
    table = Table(
        ["variant", *names],
        [[v.name, *(format_reading(report.value(v.name, metric)) for metric in names)] for v in found.kept],
    )
    return Section("Pareto front", text=text, tables=[table] if found.kept else [])


def _on_the_front(names: str) -> str:
    latency, size = (format_exact(share, "fraction") for share in (MEANINGFUL_LATENCY_SHARE, MEANINGFUL_SIZE_SHARE))
    return (
        "The variants to choose among: whatever else was tried is beaten by another, which is better on at least one "
        f"of {names} and worse on none. Latencies within {latency} and sizes within {size} count as equal."
    )


def _beside(report: Report) -> Iterator[Table]:
    """Yield a table a CAM method: our variants, then the paper's six rates."""
    for method in CAM_METHODS:
        own = [row for variant in candidates(report) if (row := _drops_of(report, variant, method))]
        if own:
            heading = [method, "accuracy drop", "Sp2PS drop", "accuracy drop (PE)", "PE drop"]
            yield Table(heading, [*own, *_papers(method)])


def _drops_of(report: Report, variant: Variant, method: str) -> list[str]:
    """Return the row of a variant; empty where its Sp2PS or accuracy is missing."""
    found = drops(report, method, "sp2ps", [variant])
    if not found:
        return []
    others = [_drop(*pair) for pair in drops(report, method, "pe_like", [variant])] or [(MISSING, MISSING)]
    return [variant.name, *_drop(*found[0]), *others[0]]


def _drop(accuracy: float, score: float) -> tuple[str, str]:
    return format_value(accuracy, "pp"), format_value(score / PERCENT, "fraction")


def _papers(method: str) -> Iterator[list[str]]:
    own = zip(paper.ACCURACY_DROP_PP[method], paper.SP2PS_DROP[method], strict=True)
    others = zip(paper.PE_ACCURACY_DROP_PP, paper.PE_DROP[method], strict=True)
    for place, (sp2ps, (accuracy, share)) in enumerate(zip(own, others, strict=True), start=1):
        pe_score = format_exact(share / PERCENT, "fraction")
        yield [f"paper, rate {place}", *_drop(*sp2ps), format_value(accuracy, "pp"), pe_score]


def _conditions(report: Report) -> Iterator[str]:
    subject, environment = report.subject, report.environment
    yield f"Model: {subject.model}, weights {subject.weights_sha256[:12]}"
    where = re.sub(r" \(.*\)", "", subject.dataset)  # each reader has it in a place of their own
    yield f"Data: {where}, {format_count(subject.images, 'image')}, fingerprint {subject.data_sha256[:12]}"
    yield f"Preprocessing: {subject.preprocessing}"
    yield f"Fine-tuning: {subject.finetune}; seed {subject.seed}"
    if subject.target_layer:
        how = f"class explained: {subject.class_explained}, SAM: {subject.sam}"
        yield f"Heatmaps: of layer {subject.target_layer}, {how}"
    threads = format_count(environment.intra_op_threads, "thread")
    ways = [describe_cpu(environment), threads, environment.provider, describe_runs(environment)]
    yield f"Machine: {', '.join(filter(None, ways))}"
    software = {report.tool.name: report.tool.version, "Python": environment.python, **environment.versions}
    yield f"Software: {', '.join(f'{name} {version}' for name, version in software.items())}"
    yield "Hashes of all files and every single reading: report.json"
