"""A report as a model card: Markdown with the front matter of the Hugging Face Hub.

https://huggingface.co/docs/hub/model-cards describes the fields, `model-index` among them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import StringIO
from typing import Any

from attrs import evolve

from edgecheck.records import HOST, Report, Variant
from edgecheck.release.attestation import judged, passing
from edgecheck.report import reasons
from edgecheck.report.compression import compression
from edgecheck.report.format import MISSING, describe_cpu, format_integer, format_interval, format_reading
from edgecheck.report.markup import escape, table_row
from edgecheck.report.provenance import facts
from edgecheck.report.release.published import data_kind, model_name
from edgecheck.text import plain

TASK = "image-classification"
YAML_WIDTH = 1_000_000  # no line is folded: a folded one could begin with the mark that ends the front matter
# What the Hub knows as metrics of this task; all other readings are in the table below.
HUB_METRICS = {"accuracy": "accuracy"}
SHOWN = ("accuracy", "accuracy_drop_pp", "latency.p50_s", "latency.ratio", "size.bytes", "params.graph", "macs")


def render(report: Report) -> str:
    """Return the card of the passing files; if none passes, of all that were judged, and it says so."""
    shown = passing(report) or judged(report)
    return "\n".join([*_front(report, shown), *_body(report, shown)]).rstrip() + "\n"


def _front(report: Report, shown: Sequence[Variant]) -> Iterator[str]:
    from ruamel.yaml import YAML

    yaml, page = YAML(typ="safe", pure=True), StringIO()
    yaml.default_flow_style, yaml.allow_unicode, yaml.width = False, False, YAML_WIDTH
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.dump(_metadata(report, shown), page)
    yield from ("---", page.getvalue().rstrip("\n"), "---", "")


def _metadata(report: Report, shown: Sequence[Variant]) -> dict[str, Any]:
    kinds = {"pruned": any(one.pruning for one in shown), "quantized": any(one.quantization for one in shown)}
    return {
        "library_name": "onnx",
        "pipeline_tag": TASK,
        "tags": ["onnx", "edgecheck", *(kind for kind, is_kind in kinds.items() if is_kind)],
        "metrics": list(HUB_METRICS.values()),
        "model-index": _index(report, shown),
    }


def _index(report: Report, shown: Sequence[Variant]) -> list[dict[str, Any]]:
    """Return one model with a metric per file: the Hub's library reads the results of the first model alone."""
    metrics = [
        {"type": known, "value": taken.value, "name": f"{known} of {plain(one.name)}"}
        for one in shown
        for metric, known in HUB_METRICS.items()
        if (taken := report.value(one.name, metric)) and taken.value is not None
    ]
    kind, subject = data_kind(report), report.subject
    dataset = {
        "type": kind,
        "name": f"{kind}, {format_integer(subject.images)} test images",
        "revision": plain(subject.data_sha256),
    }
    results = [{"task": {"type": TASK}, "dataset": dataset, "metrics": metrics}] if metrics else []
    return [{"name": plain(subject.name), "results": results}]


def _body(report: Report, shown: Sequence[Variant]) -> Iterator[str]:
    yield from (f"# {escape(report.subject.name)}", "")
    yield from (f"Compressed image classifiers for ONNX Runtime, measured and judged by {_tool(report)}.", "")
    if not passing(report):
        yield from ("**No file passes the gate: do not deploy any of them.**", "")
    yield from (f"**Recommendation:** {escape(reasons.recommendation(report))}", "")
    yield from ("## Files", "", *_files(report, shown), "")
    yield from ("## Evaluation", "", *_readings(report, shown), "")
    yield from ("## Gate", "", f"{escape(reasons.rule(report))}.", "")
    yield from (*(f"- {escape(reasons.asked(report, one))}" for one in report.policy.criteria), "")
    yield from ("## Limitations", "", *_limitations(report, shown), "")
    yield from ("## How this was measured", "", *_provenance(report))


def _tool(report: Report) -> str:
    return f"{escape(report.tool.name)} {escape(report.tool.version)}"


def _files(report: Report, shown: Sequence[Variant]) -> Iterator[str]:
    yield table_row(("file", "verdict", "made by", "SHA-256"))
    yield table_row(("---",) * 4)
    for one in shown:
        cells = (one.name, report.statuses.get(one.name, MISSING), compression(one), one.sha256 or MISSING)
        yield table_row(map(escape, cells))


def _readings(report: Report, shown: Sequence[Variant]) -> Iterator[str]:
    """Yield a table with a column per file: what the gate asks for on the host, and what a reader looks for first."""
    gated = [one.metric for one in report.policy.criteria if one.device == HOST]
    yield table_row(("metric", *(escape(one.name) for one in shown)))
    yield table_row(("---", *("---:" for _ in shown)))
    for metric in dict.fromkeys((*gated, *SHOWN)):
        taken = [report.value(one.name, metric) for one in shown]
        if not any(taken):
            continue
        cells = []
        for each in taken:
            interval = format_interval(each)
            cells.append(escape(format_reading(each) + (f" ({interval})" if interval != MISSING else "")))
        yield table_row((escape(metric), *cells))


def _limitations(report: Report, shown: Sequence[Variant]) -> Iterator[str]:
    names = {one.name for one in shown}
    yield f"- {escape(reasons.DRIFT)}"
    for one in shown:
        for verdict in reasons.unmet(report, one.name):
            yield f"- {escape(one.name)}: {verdict.status} {escape(reasons.sentence(report, verdict))}"
    of_these = evolve(report, variants=list(shown), withheld=[one for one in report.withheld if one.variant in names])
    yield from (f"- {escape(warning)}" for warning in reasons.warnings(of_these))


def _provenance(report: Report) -> Iterator[str]:
    subject, machine = report.subject, report.environment
    count = f"{format_integer(subject.images)} in {len(subject.classes)} classes"
    told = {
        "model": model_name(report),
        "test images": f"{count}, {data_kind(report)}, SHA-256 {subject.data_sha256}",
        "preprocessing": f"{subject.preprocessing}, SHA-256 {subject.preprocessing_sha256}",
        "seed": str(subject.seed),
        "CPU": f"{describe_cpu(machine)}, {machine.provider}, intra-op threads: {machine.intra_op_threads}",
        "versions": ", ".join(f"{name} {version}" for name, version in machine.versions.items()),
        "revision": subject.revision or "",
        "configuration": f"SHA-256 {subject.config_sha256}" if subject.config_sha256 else "",
        **{name: fact for name, fact in facts(report) if name == "made"},
    }
    yield from (f"- {name}: {escape(fact)}" for name, fact in told.items() if fact)
