"""The next thing to try for one variant, by what it misses: a rule of thumb, and said to be one."""

from __future__ import annotations

from edgecheck.gate.leniency import PASSING
from edgecheck.gate.margins import failing
from edgecheck.gate.preconditions import from_heatmaps
from edgecheck.metrics import family_of
from edgecheck.records import Report, Variant, Verdict
from edgecheck.text import plain

_LATENCY = ("latency", "energy")
_SIZE = ("size", "params", "memory", "macs", "flops")


def next_step(report: Report, variant: Variant) -> str:
    """Return what to try next with a candidate; "" for baseline and controls, and where nothing is known to help."""
    if variant.role != "candidate":
        return ""
    if report.statuses.get(variant.name) in PASSING:
        return _passes(report, variant)
    return next((step for verdict in failing(report, variant.name) if (step := _step(variant, verdict))), "")


def _passes(report: Report, variant: Variant) -> str:
    chosen = report.recommendation.variant
    if chosen == variant.name:
        return "none: this is the variant to ship"
    return f"none needed: it passes; {plain(chosen)} is recommended before it" if chosen else ""


def _step(variant: Variant, verdict: Verdict) -> str:
    if verdict.status == "MISSING":
        return f"measure what is missing: {plain(verdict.reason)}" if verdict.reason else ""
    if verdict.status == "INCONCLUSIVE":
        return "measure longer: set measure.latency_budget_s higher, on an idle machine"
    if from_heatmaps(verdict.metric):
        return _maps(variant)
    family = family_of(verdict.metric)
    if family in _LATENCY:
        return _faster(variant)
    if family in _SIZE:
        return "" if variant.quantization else "quantize it too: `quantization: int8` stores a weight in one byte"
    if family == "parity":
        return "export the twin again: the file must compute what the twin does"
    return _labels(variant)


def _maps(variant: Variant) -> str:
    if variant.finetuning and not variant.trained_map:
        return "fine-tune by `recipe: preserve`, which trains to keep the heatmaps, or prune less"
    return "prune less, or leave the layers that drift most alone: `edgecheck sensitivity` names them"


def _faster(variant: Variant) -> str:
    pruning = variant.pruning
    if pruning and pruning.structure == "unstructured":
        return "remove whole filters instead: zeros do not make a file faster under ONNX Runtime"
    if pruning and pruning.round_to == 1:
        return "keep channels in multiples of 8 (`round_to: 8`), or prune more"
    return ""


def _labels(variant: Variant) -> str:
    if variant.quantization and not variant.pruning:
        return "leave the layers that lose most in float: `edgecheck blame` names them"
    if variant.pruning and not variant.finetuning:
        return "fine-tune it (`recipe: paper` or `preserve`), or prune less"
    return "prune less, or fine-tune longer with the augmentation of the training"
