"""The verdicts in words: why a run did not pass, and the recommendation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgecheck.gate.floor import absolute, several_recipes
from edgecheck.gate.leniency import PASSING
from edgecheck.gate.trained_maps import seen
from edgecheck.metrics import METRICS, DecidedBy, compares_maps
from edgecheck.records import Criterion, Policy, Report, Similarity, Status, Variant, Verdict, Withheld, on, on_host
from edgecheck.report import anchors, decision, devices, diagnostics
from edgecheck.report.floors import floor as floor_of
from edgecheck.report.format import (
    MISSING,
    describe_floor,
    format_actual,
    format_criterion,
    format_integer,
    format_interval,
    format_measured,
    format_reading,
    format_resolved,
    format_share,
)
from edgecheck.report.table import candidates, rows
from edgecheck.text import plain

DRIFT = (
    "A low Sp2PS is explanation drift: the answers of variant and baseline depend on different pixels. It does not "
    "mean that the explanation is worse."
)
ZEROS = (
    "Unstructured pruning sets weights to zero and keeps all shapes. Under ONNX Runtime that changes neither file size "
    "nor latency; only the compressed (zlib) size shrinks."
)

_DECIDED: dict[DecidedBy, str] = {"interval": "95 % interval", "point": "measured value"}

# Headings of two lines, because columns are narrow.
MAPS = (("maps", "from"), ("class", "differs"), ("all-zero", "maps"), ("explained", "logit < 0"), ("parity", "max_abs"))
FIDELITY = ("lowest", "fidelity")
SOURCES = "Maps from: twin, the PyTorch module behind a file; artefact, the ONNX file itself."
FIDELITY_IS = (
    "Fidelity: Sp2PS of a quantized file against its own float file, for the class that the float file predicts."
)


def verdicts_of(report: Report, variant: str) -> list[Verdict]:
    """Return the verdicts of one variant, in the order of the gate."""
    return report.verdicts_of(variant)


def unmet(report: Report, variant: str) -> list[Verdict]:
    """Return the verdicts of one variant that are not PASS."""
    return [verdict for verdict in verdicts_of(report, variant) if verdict.status != "PASS"]


def missed(report: Report, variant: str, metric: str, device: str) -> str:
    """Return the status of the first criterion on a metric and device that is not PASS; "" if there is none."""
    about = (one for one in unmet(report, variant) if (one.metric, one.device) == (metric, device))
    return next((verdict.status for verdict in about), "")


def asked(report: Report, criterion: Criterion) -> str:
    """Return `sp2ps.grad-cam >= 0.95`, or `sp2ps.grad-cam >= control - 0.02 (0.942)`, with its value in this run."""
    relative = criterion.relative_to
    if not relative or (relative == "control" and several_recipes(report.variants)):
        return format_criterion(criterion)
    fixed, _ = absolute(criterion, report.variants, on(criterion.device, report.readings))
    return format_criterion(criterion) + (f" ({format_measured(fixed.metric, fixed.limit)})" if fixed else "")


def sentence(report: Report, verdict: Verdict) -> str:
    """Return `sp2ps.grad-cam 0.912 (twin), limit >= 0.95, noise floor 0.962: reason`."""
    facts = [_measured(report, verdict), f"limit {verdict.op} {format_resolved(verdict)}", _floor(report, verdict)]
    reason = f": {plain(verdict.reason)}" if verdict.reason else ""
    return ", ".join(filter(None, facts)) + reason


def _floor(report: Report, verdict: Verdict) -> str:
    """Return the noise floor for a comparison of heatmaps and for limits relative to it; "" for other metrics."""
    recipe = _variant(report, verdict.variant).recipe
    floor = floor_of(report, verdict.metric, recipe, verdict.device)
    asked_for = compares_maps(verdict.metric) or verdict.relative_to == "control"
    return f"noise floor {describe_floor(verdict.metric, floor)}" if floor and asked_for else ""


def _measured(report: Report, verdict: Verdict) -> str:
    """Return the metric and its value, with the interval if the verdict is inconclusive."""
    if verdict.actual is None:
        return verdict.name
    reading = report.value(verdict.variant, verdict.metric, verdict.device)
    interval = format_interval(reading)
    beside = f" ({interval})" if verdict.status == "INCONCLUSIVE" and interval != MISSING else ""
    about = [plain(reading.source)] if reading and reading.source else []
    about += ["trained"] if seen(verdict.metric, _variant(report, verdict.variant)) else []
    source = f" ({', '.join(about)})" if about else ""
    external = f" ({devices.EXTERNAL})" if devices.is_external(report, verdict.device) else ""
    return f"{verdict.name} {format_actual(verdict)}{source}{external}{beside}"


def _variant(report: Report, name: str) -> Variant:
    return next((one for one in report.variants if one.name == name), Variant(name, "candidate"))


def deciding(policy: Policy) -> str:
    """Return a sentence on how the criteria of a policy are decided: by value or by interval."""
    if policy.decide is not None:
        return f"Every criterion is decided by its {_DECIDED[policy.decide]}."
    names = {criterion.name for criterion in policy.criteria if METRICS[criterion.metric].decided_by == "interval"}
    if not names:
        return f"Every criterion is decided by its {_DECIDED['point']}."
    return f"{', '.join(sorted(names))}: decided by the {_DECIDED['interval']}; the others by the {_DECIDED['point']}."


def outcome(report: Report) -> Status:
    """Return the verdict on the whole run."""
    return "PASS" if report.passed else "FAIL"


def rule(report: Report) -> str:
    """Return the outcome of the run in a sentence, with the exit code."""
    judged = candidates(report)
    passing = sum(report.statuses.get(variant.name) in PASSING for variant in judged)
    asked = "every variant" if report.policy.require == "all" else "at least one variant"
    doubt = " (NOT VERIFIED: see the warnings)" if report.unverified else ""
    told = f"{passing} of {len(judged)} variants pass{decision.waived(report)}; the gate asks for {asked}"
    return f"{told}: exit code {report.exit_code}{doubt}"


def recommendation(report: Report) -> str:
    """Return `ship NAME: reason`, or the reason to keep the baseline."""
    advice = report.recommendation
    if advice.variant is None:
        return plain(advice.reason) or "keep the baseline"
    return f"ship {plain(advice.variant)}" + (f": {plain(advice.reason)}" if advice.reason else "")


def warnings(report: Report) -> list[str]:
    """Return the warnings of the run, then those of variants, equal ones once with all names."""
    kept_back = diagnostics.by_name((one.variant, withheld(one)) for one in report.withheld)
    of_variants = diagnostics.of_variants(report, "warning")
    return [*unverified(report), *diagnostics.of_run(report, "warning"), *kept_back, *of_variants]


def notes(report: Report) -> list[str]:
    """Return the notes on the run, then those on its variants."""
    return [*diagnostics.of_run(report, "note"), *diagnostics.of_variants(report, "note")]


def advice(report: Report) -> list[str]:
    """Return what to try next, the cheapest first."""
    return diagnostics.of_run(report, "advice")


def unverified(report: Report) -> list[str]:
    """Return the overridden digest mismatches in one line; an empty list if there are none."""
    mismatches = "; ".join(map(plain, report.unverified))
    return [f"NOT VERIFIED, judged anyway (--unverified): {mismatches}"] if mismatches else []


def withheld(one: Withheld) -> str:
    """Return why the heatmap scores of a variant are not shown."""
    return f"Sp2PS, PE-like score and degenerate share are withheld: {one.reason}"


def heatmap_titles(report: Report) -> list[tuple[str, str]]:
    """Return `MAPS`, and that of fidelity where a file is quantized."""
    quantized = any(_fidelity(report, variant) != MISSING for variant in report.variants)
    return [*MAPS, *([FIDELITY] if quantized else [])]


def heatmap_rows(report: Report) -> Iterator[tuple[str, list[str]]]:
    """Yield the name of each variant with heatmaps or parity, and its cells under `heatmap_titles`."""
    titles = heatmap_titles(report)
    for variant in rows(report) if report.similarities or report.withheld else []:
        similarities = similarities_of(report, variant.name)
        parity = format_reading(report.value(variant.name, "parity.max_abs"))
        facts = [MISSING] * 4
        if similarities:
            worst, negative = max(map(degenerate, similarities)), max(one.negative_logits for one in similarities)
            source = plain(similarities[0].source)
            facts = [source, differing(similarities[0]), format_integer(worst), format_integer(negative)]
        if similarities or parity != MISSING:
            yield plain(variant.name), [*facts, parity, _fidelity(report, variant)][: len(titles)]


def heatmap_words(report: Report) -> list[str]:
    """Return what the columns of `heatmap_rows` mean, and the figures of float files beside those of quantized ones."""
    quantized = FIDELITY in heatmap_titles(report)
    scale = [anchors.MEANING] if report.anchors else []
    return [DRIFT, *scale, SOURCES, *([FIDELITY_IS] if quantized else []), *float_figures(report, rows(report))]


def float_figures(report: Report, variants: Sequence[Variant]) -> list[str]:
    """Return `NAME: Sp2PS grad-cam 0.91, the float file OTHER has 0.92 (by the twin)` of each quantized variant."""
    lines = []
    for variant in variants:
        scores = [
            (one, report.value(variant.name, f"sp2ps.{one.method}")) for one in similarities_of(report, variant.name)
        ]
        parts = [f"{plain(one.method)} {format_reading(r)}, {plain(r.note)}" for one, r in scores if r and r.note]
        if parts:
            lines.append(f"{plain(variant.name)}: Sp2PS {'; '.join(parts)}")
    return lines


def fidelity_of(report: Report, similarity: Similarity) -> str:
    """Return the fidelity of a quantized file by the method of a similarity; nothing for others."""
    reading = report.value(similarity.variant, f"fidelity.{similarity.method}")
    return format_reading(reading) if reading and reading.source else MISSING


def _fidelity(report: Report, variant: Variant) -> str:
    """Return the lowest fidelity of a quantized file; nothing for others, whose maps no quantization moved."""
    taken = [r for r in on_host(report.readings_of(variant.name)) if r.metric.startswith("fidelity.")]
    measured = [r for r in taken if r.value is not None and r.source]
    return format_reading(min(measured, key=lambda r: r.value or 0.0)) if measured else MISSING


def baseline_parity(report: Report) -> list[tuple[str, str]]:
    """Return the parity of the baseline's file and its twin, on which every Sp2PS depends, under names."""
    names = [variant.name for variant in report.variants if variant.role == "baseline"]
    metrics = ("parity.max_abs", "parity.agreement")
    return [(f"{metric} of {name}", format_reading(report.value(name, metric))) for name in names for metric in metrics]


def similarities_of(report: Report, variant: str) -> list[Similarity]:
    """Return the heatmap comparisons of one variant, one per CAM method."""
    return report.similarities_of(variant)


def differing(similarity: Similarity) -> str:
    """Return the number and share of images on which variant and baseline predict different classes."""
    return format_share(similarity.n - similarity.n_agreeing, similarity.n)


def degenerate(similarity: Similarity) -> int:
    """Return the number of image pairs in which at least one heatmap is all zero."""
    return similarity.both_zero + similarity.one_zero


def unstructured(report: Report) -> bool:
    """Return whether any variant was pruned without changing its shape."""
    return any(v.pruning is not None and v.pruning.structure == "unstructured" for v in report.variants)
