"""Whether a search finds what looking at every variant finds, and how many variants it makes: digits.

python -m tests.benchmarks.search [--rates RATE ...] [--epochs N] [--folder FOLDER] [--json]

Both judge on the same half of the test images. The exhaustive run makes every variant of the space; the search reuses
nothing of it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from attrs import evolve

from edgecheck.config import reader
from edgecheck.config.branches import branches, narrowed
from edgecheck.config.plan import Half, Plan
from edgecheck.config.variants import Settings
from edgecheck.gate.leniency import PASSING
from edgecheck.pipeline.executors.serial import Serial
from edgecheck.pipeline.run import run
from edgecheck.pipeline.search import Tools, search
from edgecheck.pipeline.store import Store
from edgecheck.progress import Silent
from edgecheck.search.budget import Budget

RATES = [step / 20 for step in range(1, 20)]  # as without a search: section
CONFIG = """
model: {{factory: 'edgecheck:digits_cnn', weights: {weights}}}
data: {{dataset: digits}}
explain: {{methods: [grad-cam, ablation-cam], pictures: 0}}
finetune: {{epochs: {epochs}}}
search: {{rate: {rates}}}
measure: {{latency_budget_s: 0, rss: false}}
gate: {{criteria: {criteria}}}
"""
GATES = {
    "paper": ["sp2ps.grad-cam >= 0.95", "sp2ps.ablation-cam >= 0.90", "accuracy_drop_pp <= 2"],
    "looser": ["sp2ps.grad-cam >= 0.85", "sp2ps.ablation-cam >= 0.85", "accuracy_drop_pp <= 2"],
    "accuracy": ["accuracy_drop_pp <= 1"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", nargs="+", type=float, default=RATES, metavar="RATE", help="(%(default)s)")
    parser.add_argument("--epochs", type=int, default=2, help="of fine-tuning (%(default)s)")
    parser.add_argument("--folder", type=Path, help="where the runs are kept, so that they can go on")
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        found = measured(options, options.folder or Path(scratch))
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for gate, row in found["gates"].items():
        made = f"{row['made']} of {found['space']} variants made, {row['share']:.0%}"
        print(f"{gate}: exhaustive {row['exhaustive']}, search {row['search']}; {made}")


def measured(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return the answers of both, by gate."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: dict[str, Any] = {}
    space = 0
    for gate, criteria in GATES.items():
        plan = plan_of(options, folder, criteria)
        specs = {spec.name: spec for one in branches(plan.search, Settings.of(plan)) for spec in one.specs}
        space = len(specs)
        smallest = exhaustive(evolve(narrowed(plan, list(specs.values())), half=Half(plan.seed, "first")), folder)
        began = time.perf_counter()
        store = Store(folder / f"search-{gate}")
        with store.attempt():
            record, report = search(plan, store, Budget(), Tools(lambda: Serial(Silent()), Silent()))
        rows[gate] = {
            "exhaustive": smallest,
            "search": record.found,
            "same": smallest == record.found,
            "made": len(record.attempts),
            "share": len(record.attempts) / space,
            "passes_on_the_other_half": report.passed,
            "seconds": time.perf_counter() - began,
        }
        print(f"{gate}: {rows[gate]}", file=sys.stderr)
    return {"space": space, "gates": rows}


def plan_of(options: argparse.Namespace, folder: Path, criteria: list[str]) -> Plan:
    weights = Path(reader.__file__).parents[2] / "models" / "digits_cnn.safetensors"
    text = CONFIG.format(weights=weights, epochs=options.epochs, rates=options.rates, criteria=criteria)
    return reader.parse(text, folder / "edgecheck.yaml", {})


def exhaustive(plan: Plan, folder: Path) -> str | None:
    """Make every variant, once for all gates, and return the smallest that passes."""
    report = run(plan, Store(folder / "exhaustive"), Silent())
    sizes = {one.name: report.value(one.name, "size.bytes") for one in report.variants}
    baseline = sizes["baseline"]
    assert baseline is not None
    passing = {
        name: reading.value
        for name, status in report.statuses.items()
        if status in PASSING and (reading := sizes[name]) is not None and reading.value is not None
    }
    smaller = {name: value for name, value in passing.items() if value < (baseline.value or 0.0)}
    return min(smaller, key=lambda name: smaller[name], default=None)


if __name__ == "__main__":
    main()
