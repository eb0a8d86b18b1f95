"""The page of a sweep as sections of text, tables and pictures, which each renderer writes in its own way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrs import field, frozen

from edgecheck.metrics import CAM_METHODS
from edgecheck.records import Report, Variant
from edgecheck.report import reasons
from edgecheck.report.format import describe_runs, format_reading, format_value
from edgecheck.report.marks import Chart, floor, value
from edgecheck.report.sweep import paper
from edgecheck.report.sweep.drops import drops
from edgecheck.report.sweep.findings import findings, floors
from edgecheck.report.sweep.front import front
from edgecheck.report.table import candidates, controls, rows


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
    points: list[str] = field(factory=list)
    tables: list[Table] = field(factory=list)
    charts: list[Chart] = field(factory=list)
    pictures: list[Picture] = field(factory=list)


def sections(
    report: Report, command: str, curves: Sequence[Chart], drifts: Sequence[Chart], grids: Sequence[Picture]
) -> Iterator[Section]:
    """Yield the page, section by section; one for which nothing was measured is left out."""
    yield Section("How it was made", points=list(_conditions(report)), text=[f"`{command}`"] if command else [])
    yield Section("Results", text=[reasons.DRIFT], tables=[results(report)], charts=list(curves))
    if said := list(floors(report)):
        yield Section("The noise floor", text=[_controls(report)], points=said)
    if said := list(findings(report)):
        yield Section("What the figures say", points=said)
    yield _front(report)
    if any(drops(report, method, "sp2ps") for method in CAM_METHODS):
        yield Section(
            "Beside the paper's tables 1 to 3", text=[_OTHER], tables=list(_beside(report)), charts=list(drifts)
        )
    if grids:
        yield Section("Heatmaps over the pruning rate", pictures=list(grids))
    if report.warnings:
        yield Section("Warnings", points=list(report.warnings))


def results(report: Report) -> Table:
    """Return a row a model: rate reached, accuracy, Sp2PS with its distance from the floor, latency and size."""
    heading = ["variant", "rate reached", "accuracy", "drop"]
    heading += [f"Sp2PS {method}" for method in CAM_METHODS]
    heading += ["latency ratio", "size", "MACs"]
    return Table(heading, [_row(report, variant) for variant in rows(report)])


def _row(report: Report, variant: Variant) -> list[str]:
    reached = variant.effective_rate if variant.role == "candidate" else None
    return [
        variant.name,
        format_value(reached, "fraction") if reached is not None else "",
        *(format_reading(report.value(variant.name, metric)) for metric in ("accuracy", "accuracy_drop_pp")),
        *(_score(report, variant, f"sp2ps.{method}") for method in CAM_METHODS),
        *(format_reading(report.value(variant.name, metric)) for metric in ("latency.ratio", "size.bytes", "macs")),
    ]


def _score(report: Report, variant: Variant, metric: str) -> str:
    """Return a score and, of a candidate, how far it lies from the noise floor."""
    found, ground = value(report, variant, metric), floor(report, metric)
    text = format_reading(report.value(variant.name, metric))
    if found is None or ground is None or variant.role != "candidate":
        return text
    return f"{text} ({found - ground.mean:+.3f})"


def _conditions(report: Report) -> Iterator[str]:
    subject, environment = report.subject, report.environment
    yield f"Model: {subject.model}, weights {subject.weights_sha256[:12]}"
    where = subject.dataset.partition(" (")[0]  # each reader has it in a place of their own
    yield f"Data: {where}, test split, {subject.images:,} images, fingerprint {subject.data_sha256[:12]}"
    yield f"Preprocessing: {subject.preprocessing}"
    yield f"Fine-tuning: {subject.finetune}; seed {subject.seed}"
    yield f"Heatmaps: of {subject.target_layer or 'no layer'}, class {subject.class_explained}, SAM {subject.sam}"
    ways = [
        environment.cpu,
        f"threads: {environment.intra_op_threads}",
        environment.provider,
        describe_runs(environment),
    ]
    yield f"Machine: {', '.join(filter(None, ways))}"


def _controls(report: Report) -> str:
    count = len(controls(report))
    what = f"{count} controls, each by its own seed" if count > 1 else "one control"
    advice = "" if count > 1 else " More (`controls: 3`) show how far the floor itself is uncertain."
    return f"The control is the baseline with the same fine-tuning and no pruning; here {what}.{advice}"


_OTHER = (
    "The paper's figures are of its own CIFAR-10 network and its own training; they stand here to compare shapes, not "
    "values. Drops of scores in percent, of accuracy in percentage points, rising by the accuracy drop."
)


def _beside(report: Report) -> Iterator[Table]:
    for method in CAM_METHODS:
        own, pe_like = drops(report, method, "sp2ps"), drops(report, method, "pe_like")
        yield Table(
            [method, *(str(place) for place in range(1, max(len(own), len(paper.SP2PS_DROP[method])) + 1))],
            [
                _numbers("accuracy drop", [x for x, _ in own]),
                _numbers("Sp2PS drop", [y for _, y in own]),
                _numbers("PE-like drop", [y for _, y in pe_like]),
                _numbers("paper: accuracy drop", paper.ACCURACY_DROP_PP[method]),
                _numbers("paper: Sp2PS drop", paper.SP2PS_DROP[method]),
                _numbers("paper: accuracy drop (PE)", paper.PE_ACCURACY_DROP_PP),
                _numbers("paper: PE drop", paper.PE_DROP[method]),
            ],
        )


def _numbers(name: str, values: Sequence[float]) -> list[str]:
    return [name, *(f"{number:.2f}" for number in values)]


def _front(report: Report) -> Section:
    """Say which candidates no other beats, and by what they were compared."""
    kept, used = front(report, candidates(report))
    names = ", ".join(objective.metric for objective in used)
    text = (
        f"No other variant is at least as good on all of {names} and better on one. Latencies within 5 % and sizes "
        "within 1 % count as equal."
        if kept
        else "No variant has the readings that it takes."
    )
    table = Table(
        ["variant", *(objective.metric for objective in used)],
        [[v.name, *(format_reading(report.value(v.name, objective.metric)) for objective in used)] for v in kept],
    )
    return Section("Pareto front", text=[text], tables=[table] if kept else [])
