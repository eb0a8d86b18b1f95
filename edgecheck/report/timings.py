"""The duration of each stage of a run."""

from __future__ import annotations

from edgecheck.records import Report
from edgecheck.report.format import format_value

# Descriptions of the stages, by their kinds.
STAGES = {
    "data": "reading test images",
    "corrupt": "corrupting test images",
    "make": "saving the baseline",
    "target": "finding the target layer",
    "groups": "finding what can be pruned alone",
    "layers": "finding what can be quantized alone",
    "rank": "ranking what to prune",
    "prune": "pruning",
    "finetune": "fine-tuning",
    "recalibrate": "re-estimating BatchNorm statistics",
    "change": "other steps on the network",
    "export": "export to ONNX",
    "quantize": "quantization",
    "convert": "other steps on the file",
    "trial": "first run of a file, with limits",
    "locate": "finding the target layer in the file",
    "predict": "predictions",
    "suspect": "trying other preprocessings",
    "saturation": "check for saturated int8 sums",
    "count": "counts",
    "profile": "profile of layers and memory",
    "placement": "execution providers of the nodes",
    "explain": "heatmaps",
    "similarity": "comparing heatmaps",
    "chance": "chance level of the heatmaps",
    "anchors": "heatmaps of copies with random parameters",
    "pictures": "pictures of heatmaps",
    "latency": "latency",
    "energy": "energy",
}


def rows(report: Report) -> list[tuple[str, str, str]]:
    """Return (stage, time, share of the total) of each stage, the longest first, and the total."""
    whole = sum(report.seconds.values())
    spent = [(STAGES.get(name, name), seconds) for name, seconds in report.seconds.items()]
    return [
        (text, format_value(seconds, "s"), format_value(seconds / whole if whole else 0.0, "fraction"))
        for text, seconds in [*spent, ("all stages", whole)]
    ]


def lines(report: Report) -> list[str]:
    """Return the rows as lines of aligned text; a reused stage counts with the time it took when computed."""
    table = rows(report)
    wide, long = (max(len(row[column]) for row in table) for column in (0, 1))
    return [f"{text:<{wide}}  {time:>{long}}  {share:>8}" for text, time, share in table]
