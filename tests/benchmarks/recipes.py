"""Which recipe of fine-tuning preserves heatmaps most, at what accuracy: ResNet-20 on CIFAR-10.

python -m tests.benchmarks.recipes --folder FOLDER [--images N] [--test-images N] [--controls N]
    [--recipes NAME ...] [--json]

Every recipe takes equal steps at equal learning rate: one epoch on the first N training images. Weights and images are
those of the folder that EDGECHECK_DATA names. A run that was stopped goes on in the same folder. Prints a Markdown
table with a row per recipe and network.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import Any

METHODS = ("grad-cam", "grad-cam++", "ablation-cam")
# Each differs from another one in few settings, so that the table tells what each setting does.
RECIPES = """
  statistics: {epochs: 0, recalibrate_batchnorm: 2048}
  frozen: {freeze_batchnorm_statistics: true}
  frozen-distilled-maps: {freeze_batchnorm_statistics: true, distill: 0.9, preserve: {weight: 20}}
  maps: {preserve: {weight: 20}}
  augmented: {crop: 4, flip: true}
  augmented-distilled-maps: {crop: 4, flip: true, distill: 0.9, preserve: {weight: 20}}
  augmented-distilled-maps-60: {crop: 4, flip: true, distill: 0.9, preserve: {weight: 60}}
  all: {freeze_batchnorm_statistics: true, crop: 4, flip: true, distill: 0.9, preserve: {weight: 60}}
"""
NAMES = ["none", "paper", "preserve", *(line.split(":")[0].strip() for line in RECIPES.strip().splitlines())]
CONFIG = """
model: {{factory: 'edgecheck:resnet20', weights: {data}/weights/resnet20_akamaster.pt}}
data: {{dataset: cifar10, root: {data}/cifar10, train_limit: {images}, limit: {test_images}}}
preprocessing: {{range: [0, 1], mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]}}
explain: {{methods: [{methods}], pictures: 0}}
finetune: {{epochs: 1}}
recipes:{recipes}
controls: {controls}
variants:
  - {{criterion: l1, structure: unstructured, rate: [0.4, 0.6], recipe: [{names}]}}
  - {{criterion: l1, structure: filters, rate: 0.25, round_to: 8, recipe: [{names}]}}
measure: {{latency_budget_s: 0, rss: false}}
gate: {{require: any, criteria: [sp2ps.grad-cam >= 0.95, sp2ps.ablation-cam >= 0.90, accuracy_drop_pp <= 2]}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where the configuration and the run are kept")
    parser.add_argument("--images", type=int, default=5000, help="training images (%(default)s)")
    parser.add_argument("--test-images", type=int, default=10_000, help="(%(default)s)")
    parser.add_argument(
        "--controls", type=int, default=3, help="controls per recipe, each with its own seed (%(default)s)"
    )
    parser.add_argument("--recipes", nargs="+", default=NAMES, choices=NAMES, metavar="NAME", help="(all)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    options = parser.parse_args()
    report = measured(options)
    rows = list(table(report))
    print(json.dumps(rows, indent=2) if options.json else markdown(rows))


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """Write the configuration, run it, and return the report."""
    data = Path(os.environ["EDGECHECK_DATA"])
    options.folder.mkdir(parents=True, exist_ok=True)
    config, run = options.folder / "recipes.yaml", options.folder / "run"
    text = CONFIG.format(
        data=data,
        images=options.images,
        test_images=options.test_images,
        methods=", ".join(METHODS),
        recipes=RECIPES.rstrip(),
        controls=options.controls,
        names=", ".join(options.recipes),
    )
    config.write_text(text)
    command = [sys.executable, "-P", "-m", "edgecheck", "run", str(config), "--out", str(run), "--format", "json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if done.returncode > 1:  # 1: no variant passes, which is an answer
        raise SystemExit(done.returncode)
    report: dict[str, Any] = json.loads((run / "report.json").read_text())
    return report


def table(report: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a row per network and recipe: accuracy, its drop, and Sp2PS by method, of controls their mean."""
    values = {(one["variant"], one["metric"]): one["value"] for one in report["readings"]}
    groups: dict[tuple[str, str], list[str]] = {}
    for variant in report["variants"]:
        recipe = variant["recipe"] or "paper"
        network = "control" if variant["role"] == "control" else variant["name"].removesuffix(f"-{recipe}")
        if variant["role"] != "baseline":
            groups.setdefault((network, recipe), []).append(variant["name"])
    metrics = ["accuracy", "accuracy_drop_pp", *(f"sp2ps.{method}" for method in METHODS)]
    for (network, recipe), names in groups.items():
        taken = {metric: [values.get((name, metric)) for name in names] for metric in metrics}
        known = {metric: [number for number in of if number is not None] for metric, of in taken.items()}
        means = {metric: mean(of) if of else None for metric, of in known.items()}
        yield {"network": network, "recipe": recipe, "seeds": len(names), **means}


def markdown(rows: list[dict[str, Any]]) -> str:
    head = ["network", "recipe", "seeds", "accuracy", "drop (pp)", *(f"Sp2PS {method}" for method in METHODS)]
    lines = [head, ["---", "---", *["---:"] * (len(head) - 2)]]
    for row in rows:
        scores = [_text(row[f"sp2ps.{method}"], "{:.3f}") for method in METHODS]
        shown = [_text(row["accuracy"], "{:.2%}"), _text(row["accuracy_drop_pp"], "{:+.2f}"), *scores]
        lines.append([row["network"], row["recipe"], str(row["seeds"]), *shown])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _text(value: float | None, form: str) -> str:
    return "missing" if value is None else form.format(value)


if __name__ == "__main__":
    main()
