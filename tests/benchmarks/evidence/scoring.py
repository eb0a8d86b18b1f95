"""Score files with the product: `edgecheck check` on each split, with the heatmaps of the files themselves."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from edgecheck.config import reader
from edgecheck.pipeline.check import Given, check
from edgecheck.pipeline.store import Store
from edgecheck.progress import Progress
from edgecheck.records import Report
from tests.benchmarks.evidence.making import BASELINE
from tests.benchmarks.evidence.variants import Split, Variant

# The gate of the configuration plays no part: reports are judged by profiles afterwards.
CONFIG = """
data: {{dataset: npz, root: '{split}.npz'{limit}}}
explain: {{methods: [grad-cam, grad-cam++, ablation-cam], pictures: 0}}
corruption: [{corruptions}]
measure: {{latency_budget_s: 0, rss: false}}
"""
# Of the 1,000 test images in hand, the first ones; digits have 360 and all are scored.
LIMITS = {"resnet8": 500, "resnet20": 500}
# The severities at which the baselines still work.
CORRUPTIONS = ("gaussian-noise-1", "contrast-1", "brightness-3", "jpeg-3")
SCORES = "scores"  # the folder of the run folders, one per split


def on_hand(variants: Iterable[Variant], split: Split) -> list[Variant]:
    """Return the variants scored on a split: those planted there, and on every split all benign ones and controls.

    The planted splits move heatmaps by themselves: harm is compared with benign variation on the same split.
    """
    return [variant for variant in variants if variant.label != "harmful" or variant.split == split]


def score(folder: Path, split: Split, variants: Iterable[Variant], progress: Progress) -> Report:
    """Measure the files of a folder on a split; what was measured before is not measured again."""
    place = folder / SCORES / split
    place.mkdir(parents=True, exist_ok=True)
    plan = reader.parse(_config(folder.name, split), folder / "evidence.yaml", {})
    given = [Given("baseline", "baseline", folder / BASELINE)]
    for variant in on_hand(variants, split):
        role = "control" if variant.label == "control" else "candidate"
        given.append(Given(variant.name, role, folder / f"{variant.name}.onnx"))
    with Store(place).attempt() as store:
        return check(plan, given, store, progress)


def _config(subject: str, split: Split) -> str:
    limit = f", limit: {LIMITS[subject]}" if subject in LIMITS else ""
    return CONFIG.format(split=split, limit=limit, corruptions=", ".join(CORRUPTIONS))
