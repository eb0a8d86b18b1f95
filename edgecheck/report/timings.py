"""The duration of each stage of a run."""

from __future__ import annotations

from edgecheck.records import Report
from edgecheck.report.format import format_value

# Descriptions of the stages, by their names in the run folder.
STAGES = {
    "data": "reading test images",
    "target": "finding the target layer",
    "prune": "ranking and pruning",
    "make": "fine-tuning",
    "export": "export to ONNX",
    "quantize": "quantization",
    "trial": "first run of a file, with limits",
    "predict": "predictions",
    "saturation": "check for saturated int8 sums",
    "count": "counts, layers and memory",
    "explain": "heatmaps",
    "similarity": "comparing heatmaps",
    "pictures": "pictures of heatmaps",
    "latency": "latency",
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
