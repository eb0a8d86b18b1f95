"""The sections of a sweep's page, with text, tables and pictures, for all formats."""

from __future__ import annotations

import re
from collections.abc import Iterator

from attrs import field, frozen

from edgecheck.gate.floor import Floor
from edgecheck.gate.recommend import MEANINGFUL_LATENCY_SHARE, MEANINGFUL_SIZE_SHARE
from edgecheck.records import Report, Variant
from edgecheck.report import anchors, reasons
from edgecheck.report.chart_style import Chart, value
from edgecheck.report.floors import floor
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
from edgecheck.report.methods import methods
from edgecheck.report.page import PictureFile, Section, Table
from edgecheck.report.series import series
from edgecheck.report.sweep import paper
from edgecheck.report.sweep.drops import PERCENT, drops
from edgecheck.report.sweep.findings import findings, floors
from edgecheck.report.sweep.front import front
from edgecheck.report.table import candidates, rows, verdict_word


@frozen
class Drawn:
    """The charts and pictures of the page: the Pareto front, curves over the rate, drops, and grids of heatmaps."""

    pareto: list[Chart] = field(factory=list)
    curves: list[Chart] = field(factory=list)
    drops: list[Chart] = field(factory=list)
    grids: list[PictureFile] = field(factory=list)


_COMPARED = (
    "One trained network, the baseline, was compressed in several ways. Each result is a variant: weights or filters "
    "were pruned (removed), the rest was trained further (fine-tuned), and some files may have been quantized (stored "
    "in fewer bits).",
    "Every variant is compared with the baseline on the same test images: accuracy, the pixels that its answers depend "
    "on (heatmaps), latency for one image, and file size. Sp2PS measures the similarity of two networks' heatmaps: it "
    f"is 1 where both depend on the same pixels. {reasons.DRIFT}",
    "The control is the baseline with the same fine-tuning and no pruning. Pruning does not cause the changes that the "
    "control shows: they are the noise floor. Compare each variant with it.",
)
_WAYS = (
    "The compared methods and their pruning rates. In brackets: all layers were ranked together (global), or each "
    "layer lost the same share (layer)."
)
_COLUMNS = (
    "Accuracy drop: the baseline's accuracy minus the variant's, in percentage points (pp). In brackets after an "
    "Sp2PS: its difference from the control's. Latency ratio: the variant's median time over the baseline's; below 1x "
    "is faster. MACs: multiply-adds for one image."
)
_OTHER = (
    "The paper measured its own CIFAR-10 network, with its own training, at six increasing pruning rates. Compare the "
    "shape of the curves, not the values. The drop of a score is 1 minus the score. The paper's PE-score comes from "
    "another source with other accuracy drops; the PE-like score here uses a rule of edgecheck's own."
)
_HEATMAPS = (
    "The pixels that the network's answer depends on, from red (most) to blue (least), over the image. Each row is one "
    "pruning method: the image, the heatmaps of the baseline and the control, then those of the variants by increasing "
    "rate."
)


def sections(report: Report, command: str, drawn: Drawn) -> Iterator[Section]:
    """Yield the sections of the page, what to choose first; a section without measurements is left out."""
    yield _choose(report, drawn.pareto)
    yield Section("Results", text=[_COLUMNS, reasons.SOURCES], tables=[results(report)], charts=drawn.curves)
    if said := list(findings(report)):
        yield Section("Findings", points=said)
    if warnings := reasons.warnings(report):
        yield Section("Warnings", points=warnings)
    if said := list(floors(report)):
        yield Section("The noise floor", text=[_controls(floor(report, "accuracy"))], points=said, folded=True)
    if report.anchors:
        yield Section(anchors.TITLE, text=[anchors.MEANING], tables=[_scale(report)], folded=True)
    if drawn.grids:
        yield Section("Heatmaps over the pruning rate", text=[_HEATMAPS], pictures=drawn.grids, folded=True)
    if tables := list(_beside(report)):
        title = "Compared with the paper's tables 1 to 3"
        yield Section(title, text=[_OTHER], tables=tables, charts=drawn.drops, folded=True)
    if notes := reasons.notes(report):
        yield Section("Notes", points=notes, folded=True)
    yield Section("What is compared", text=[*_COMPARED, _WAYS], points=list(_ways(report)), folded=True)
    yield Section("How this was made", command=command, points=list(_conditions(report)), folded=True)


def _ways(report: Report) -> Iterator[str]:
    for variant in candidates(report):
        if variant.pruning is None:
            yield f"{variant.name}: not pruned"
    for one in series(report):
        yield f"{one.label}: {', '.join(format_exact(rate, 'fraction') for rate, _ in one.points)}"


def results(report: Report) -> Table:
    """Return one row per model: actual rate, accuracy, Sp2PS with its difference from the floor, latency and size."""
    heading = ["variant", "rate reached", "accuracy", "accuracy drop"]
    heading += [f"Sp2PS {method}" for method in methods(report)]
    heading += ["latency ratio", "size", "MACs"]
    return _without_empty(Table(heading, [_row(report, variant) for variant in rows(report)]))


def _without_empty(table: Table) -> Table:
    """Remove the columns that are empty in every row."""
    kept = [place for place, cells in enumerate(zip(*table.rows, strict=True)) if set(cells) - {"", MISSING}]
    return Table([table.heading[place] for place in kept], [[row[place] for place in kept] for row in table.rows])


def _row(report: Report, variant: Variant) -> list[str]:
    reached = variant.effective_rate if variant.role == "candidate" else None
    return [
        variant.name,
        format_value(reached, "fraction") if reached is not None else "",
        *(format_reading(report.value(variant.name, metric)) for metric in ("accuracy", "accuracy_drop_pp")),
        *(_score(report, variant, f"sp2ps.{method}") for method in methods(report)),
        *(format_reading(report.value(variant.name, metric)) for metric in ("latency.ratio", "size.bytes")),
        format_value(value(report, variant, "macs"), "count"),
    ]


def _score(report: Report, variant: Variant, metric: str) -> str:
    """Return a score and, for a candidate, its difference from the noise floor."""
    score, ground = value(report, variant, metric), floor(report, metric, variant.recipe)
    text = format_reading(report.value(variant.name, metric))
    if score is None or ground is None or variant.role != "candidate":
        return text
    return f"{text} ({format_difference(score - ground.mean, 'score')})"


def _controls(ground: Floor | None) -> str:
    if ground is not None and ground.n > 1:
        return f"{ground.n} controls were made, each with its own seed. The floor is their mean."
    return "One control was made. Several (`controls: 3`) show the uncertainty of the floor itself."


def _scale(report: Report) -> Table:
    """Return one row per method, with the intervals in brackets."""
    told = [
        [name, *(f"{one.text} ({one.beside})" if one.beside else one.text for one in cells)]
        for name, cells in anchors.rows(report)
    ]
    return Table(anchors.titles(report), told)


def _choose(report: Report, charts: list[Chart]) -> Section:
    """Return the section on the Pareto front: its candidates and the metrics compared."""
    pareto = front(report, candidates(report))
    names = [objective.metric for objective in pareto.objectives]
    text = [_on_the_front(", ".join(names)) if pareto.kept else "No variant has all the readings needed."]
    if pareto.left_out and pareto.kept:
        others = ", ".join(variant.name for variant in pareto.left_out)
        text.append(f"Not compared, since a reading is missing: {others}.")
    rows = [
        [one.name, verdict_word(report, one), *(format_reading(report.value(one.name, metric)) for metric in names)]
        for one in pareto.kept
    ]
    tables = [Table(["variant", "verdict", *names], rows)] if rows else []
    return Section("Best trade-offs: the Pareto front", text=text, tables=tables, charts=charts)


def _on_the_front(names: str) -> str:
    latency, size = (format_exact(share, "fraction") for share in (MEANINGFUL_LATENCY_SHARE, MEANINGFUL_SIZE_SHARE))
    return (
        "Every variant that is not in this table is dominated: another one is better on at least one of "
        f"{names} and worse on none. Latencies within {latency} and sizes within {size} count as equal."
    )


def _beside(report: Report) -> Iterator[Table]:
    """Yield one table per attribution method: the variants of this sweep, then the paper's figures, if any."""
    for method in methods(report):
        own = [row for variant in candidates(report) if (row := _drops_of(report, variant, method))]
        if own:
            heading = [method, "accuracy drop", "Sp2PS drop", "accuracy drop (PE)", "PE drop"]
            yield Table(heading, [*own, *_papers(method)])


def _drops_of(report: Report, variant: Variant, method: str) -> list[str]:
    """Return the row of a variant; an empty list if its Sp2PS or accuracy is missing."""
    sp2ps = drops(report, method, "sp2ps", [variant])
    if not sp2ps:
        return []
    others = [_drop(*pair) for pair in drops(report, method, "pe_like", [variant])] or [(MISSING, MISSING)]
    return [variant.name, *_drop(*sp2ps[0]), *others[0]]


def _drop(accuracy: float, score: float) -> tuple[str, str]:
    return format_value(accuracy, "pp"), format_value(score / PERCENT, "fraction")


def _papers(method: str) -> Iterator[list[str]]:
    if method not in paper.SP2PS_DROP:
        return
    own = zip(paper.ACCURACY_DROP_PP[method], paper.SP2PS_DROP[method], strict=True)
    others = zip(paper.PE_ACCURACY_DROP_PP, paper.PE_DROP[method], strict=True)
    for place, (sp2ps, (accuracy, share)) in enumerate(zip(own, others, strict=True), start=1):
        pe_score = format_exact(share / PERCENT, "fraction")
        yield [f"paper, rate {place}", *_drop(*sp2ps), format_value(accuracy, "pp"), pe_score]


def _conditions(report: Report) -> Iterator[str]:
    subject, environment = report.subject, report.environment
    yield f"Model: {subject.model}, weights {subject.weights_sha256[:12]}"
    where = re.sub(r" \(.*\)", "", subject.dataset)  # without the folder, which differs between readers
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
    yield "Hashes of all files, and all readings: report.json"
