"""When does a verdict mean something? Planted harm against benign variation, scored by edgecheck itself.

python -m tests.benchmarks.evidence --folder FOLDER [--subjects NAME ...] [--seeds N] [--only make] [--json]
    [--figure FILE] [--criteria METRIC ...] [--gates FILE ...]

Three subjects: `digits`, and `resnet8` and `resnet20` on CIFAR-10, whose weights and images are in the folder that
EDGECHECK_DATA names. Files and scores are kept in FOLDER: a run that was stopped goes on. Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecheck.progress import Silent
from edgecheck.records import Report
from tests.benchmarks.evidence import harm, making, scoring
from tests.benchmarks.evidence.strengths import STRENGTHS
from tests.benchmarks.evidence.subjects import Subject, subjects
from tests.benchmarks.evidence.variants import SPLITS, Split, Variant, variants

if TYPE_CHECKING:
    from tests.benchmarks.evidence.observed import Form

Made = tuple[list[Variant], dict[str, dict[str, float]]]  # variants, and hidden errors by their names

SEEDS = {"digits": 3}  # they cost seconds; the others have two


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where files and scores are kept")
    parser.add_argument("--subjects", nargs="+", default=list(STRENGTHS), choices=list(STRENGTHS), metavar="NAME")
    parser.add_argument("--seeds", type=int, help="seeds per kind and setting (2; digits 3)")
    parser.add_argument("--only", choices=["make"], help="make the files and measure the hidden harm; score nothing")
    parser.add_argument(
        "--criteria",
        nargs="+",
        default=[],
        metavar="METRIC[:control]",
        help="readings of a gate whose limits are chosen on all subjects; with `:control`, relative to the controls",
    )
    parser.add_argument(
        "--gates", nargs="+", type=Path, default=[], metavar="FILE", help="gates to judge by, beside the profiles"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="write the figure, .svg or .png")
    options = parser.parse_args()
    known = subjects()
    made = {name: make(known[name], options) for name in options.subjects}
    if not options.only:
        told = analysed(made, options)
        if options.figure:
            from tests.benchmarks.evidence.figure import draw

            draw(told, options.figure)
        print(as_json(told) if options.json else _tables(told))


def make(subject: Subject, options: argparse.Namespace) -> Made:
    """Make the files of a subject; return its variants and their hidden errors."""
    folder = options.folder / subject.name
    making.make_baseline(subject, folder)
    held_out = harm.hidden(subject.hidden(), subject.preprocessing)
    every = variants(options.seeds or SEEDS.get(subject.name, 2))
    errors = {}
    for variant in every:
        start = time.monotonic()
        errors[variant.name] = harm.errors(making.make(variant, subject, folder), held_out)
        told = " ".join(f"{name} {rate:.1%}" for name, rate in errors[variant.name].items())
        say(f"{subject.name} {variant.name} ({time.monotonic() - start:.0f} s): {told}")
    return every, errors


def analysed(made: Mapping[str, Made], options: argparse.Namespace) -> dict[str, Any]:
    """Score all files and return the results."""
    from tests.benchmarks.evidence.analysis import results
    from tests.benchmarks.evidence.observed import Observed, values_of

    reports = {name: score(options.folder / name, every) for name, (every, _) in made.items()}
    observed = [Observed(name, every, values_of(reports[name]), errors) for name, (every, errors) in made.items()]
    criteria = [_criterion(text) for text in options.criteria]
    return results(observed, list(reports.values()), criteria, options.gates)


def _criterion(text: str) -> tuple[str, Form]:
    metric, _, relative = text.partition(":")
    return metric, "to control" if relative == "control" else "absolute"


def score(folder: Path, every: list[Variant]) -> dict[Split, Report]:
    """Return the report of each split."""
    reports: dict[Split, Report] = {}
    for split in SPLITS:
        start = time.monotonic()
        reports[split] = scoring.score(folder, split, every, Silent())
        files = len(reports[split].variants)
        say(f"{folder.name}, {split}: {files} files scored in {time.monotonic() - start:.0f} s")
    return reports


def _tables(told: dict[str, Any]) -> str:
    from tests.benchmarks.evidence.table import markdown

    return markdown(told)


def as_json(told: Any) -> str:
    """Return results as JSON, which has no NaN: what could not be computed is null."""
    return json.dumps(_without_nan(told), indent=1)


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def say(text: str) -> None:
    """Print progress."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
