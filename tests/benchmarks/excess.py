"""What pruning costs under corruption beyond what it costs on clean images, with and without fine-tuning: ResNet-20.

python -m tests.benchmarks.excess --folder FOLDER [--images N] [--test-images N] [--seeds N] [--json]

A run per seed, which seeds fine-tuning and noise: L1 pruning of weights, untrained (recipe none) and after one epoch
on the first N training images (recipe paper), beside a control of the same epoch. Weights and images are those of the
folder that EDGECHECK_DATA names. A run that was stopped goes on in the same folder. Prints a Markdown table with a row
per network and corruption. An excess error is the mean over images and seeds, with the 95 % bootstrap interval over the
images, each with its mean over the seeds; the lowest and the highest seed follow.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edgecheck import images, stats
from edgecheck.pipeline.stages.predict import load_logits
from edgecheck.score.excess import Answers, excess_errors

CORRUPTIONS = ("gaussian-noise-3", "gaussian-noise-5", "defocus-blur-3", "contrast-3", "jpeg-3")
BASELINE, CONTROL = "baseline", "control"
NETWORKS = (
    CONTROL,
    *(f"l1-unstructured-{rate}{recipe}" for rate in ("0.20", "0.40") for recipe in ("-none", "")),
)
CONFIG = """
model: {{factory: 'edgecheck:resnet20', weights: {data}/weights/resnet20_akamaster.pt}}
data: {{dataset: cifar10, root: {data}/cifar10, train_limit: {images}, limit: {test_images}}}
preprocessing: {{range: [0, 1], mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]}}
explain: {{methods: []}}
corruption: [{corruptions}]
finetune: {{epochs: 1}}
variants:
  - {{criterion: l1, structure: unstructured, rate: [0.2, 0.4], recipe: [none, paper]}}
measure: {{latency_budget_s: 0, rss: false}}
gate: {{require: any, criteria: [excess_error_pp.gaussian-noise-3 <= control + 1, accuracy_drop_pp <= 2]}}
seed: {seed}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where the configurations and the runs are kept")
    parser.add_argument("--images", type=int, default=5000, help="training images (%(default)s)")
    parser.add_argument("--test-images", type=int, default=10_000, help="(%(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="(%(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    options = parser.parse_args()
    runs = [measured(options, seed) for seed in range(options.seeds)]
    rows = list(table(runs))
    print(json.dumps(rows, indent=2) if options.json else markdown(rows))


def measured(options: argparse.Namespace, seed: int) -> Path:
    """Write the configuration of a seed, run it, and return the run folder."""
    data = Path(os.environ["EDGECHECK_DATA"])
    options.folder.mkdir(parents=True, exist_ok=True)
    config, run = options.folder / f"seed{seed}.yaml", options.folder / f"seed{seed}"
    config.write_text(
        CONFIG.format(
            data=data,
            images=options.images,
            test_images=options.test_images,
            corruptions=", ".join(CORRUPTIONS),
            seed=seed,
        )
    )
    command = [sys.executable, "-P", "-m", "edgecheck", "run", str(config), "--out", str(run), "--format", "json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if done.returncode > 1:  # 1: no variant passes, which is an answer
        raise SystemExit(done.returncode)
    return run


def table(runs: list[Path]) -> Iterator[dict[str, Any]]:
    """Yield a row per network and corruption: accuracies, and excess errors beside the baseline and the control."""
    for network in NETWORKS:
        for corruption in CORRUPTIONS:
            own = [answers(run, network, corruption) for run in runs]
            row: dict[str, Any] = {"network": network, "corruption": corruption}
            row |= {"accuracy": float(np.mean([one.clean for one in own]))}
            row |= {"corrupted": float(np.mean([one.corrupted for one in own]))}
            before = [answers(run, BASELINE, corruption) for run in runs]
            row |= {"baseline_corrupted": float(np.mean([one.corrupted for one in before]))}
            for other in (BASELINE, CONTROL):
                beside = [answers(run, other, corruption) for run in runs]
                row[f"excess_pp_{other}"] = summary(own, beside) if network != other else None
            yield row


def answers(run: Path, network: str, corruption: str) -> Answers:
    """Return which images a file of a run classifies correctly, clean and corrupted."""
    labels = images.load_npz(run / "data.npz").labels
    files = (run / network / "logits.npz", run / network / f"logits-{corruption}.npz")
    clean, corrupted = (load_logits(file).argmax(axis=1) == labels for file in files)
    return Answers(clean, corrupted)


def summary(variant: list[Answers], reference: list[Answers]) -> dict[str, float]:
    """Return the mean excess error in percentage points, its interval over the images, and the range of the seeds."""
    by_seed = np.array([100.0 * excess_errors(own, other) for own, other in zip(variant, reference, strict=True)])
    low, high = stats.mean_interval(by_seed.mean(axis=0))
    seeds = by_seed.mean(axis=1)
    return {
        "mean": float(by_seed.mean()),
        "low": low,
        "high": high,
        "lowest_seed": float(seeds.min()),
        "highest_seed": float(seeds.max()),
    }


def markdown(rows: list[dict[str, Any]]) -> str:
    head = ["network", "corruption", "accuracy", "corrupted", "baseline, corrupted"]
    head += ["excess error (pp) beside the baseline", "beside the control"]
    lines = [head, ["---", "---", *["---:"] * (len(head) - 2)]]
    for row in rows:
        shares = [f"{100 * row[name]:.2f} %" for name in ("accuracy", "corrupted", "baseline_corrupted")]
        excess = [_text(row[f"excess_pp_{other}"]) for other in (BASELINE, CONTROL)]
        lines.append([row["network"], row["corruption"], *shares, *excess])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _text(found: dict[str, float] | None) -> str:
    if found is None:
        return ""
    interval = f"{found['low']:+.2f}..{found['high']:+.2f}"
    return f"{found['mean']:+.2f} ({interval}; seeds {found['lowest_seed']:+.2f}..{found['highest_seed']:+.2f})"


if __name__ == "__main__":
    main()
