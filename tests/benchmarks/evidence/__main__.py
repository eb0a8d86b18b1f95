"""When does a verdict mean something? Planted harm against benign variation, scored by edgecheck itself.

python -m tests.benchmarks.evidence --folder FOLDER [--subjects NAME ...] [--seeds N] [--only make] [--json]

Three subjects: `digits`, and `resnet8` and `resnet20` on CIFAR-10, whose weights and images are in the folder that
EDGECHECK_DATA names. Files and scores are kept in FOLDER: a run that was stopped goes on. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.benchmarks.evidence import harm, making
from tests.benchmarks.evidence.strengths import STRENGTHS
from tests.benchmarks.evidence.subjects import Subject, subjects
from tests.benchmarks.evidence.variants import variants

SEEDS = {"digits": 3}  # they cost seconds; the others have two


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where files and scores are kept")
    parser.add_argument("--subjects", nargs="+", default=list(STRENGTHS), choices=list(STRENGTHS), metavar="NAME")
    parser.add_argument("--seeds", type=int, help="seeds per kind and setting (2; digits 3)")
    parser.add_argument("--only", choices=["make"], help="make the files and measure the hidden harm; score nothing")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    options = parser.parse_args()
    for name in options.subjects:
        make(subjects()[name], options)


def make(subject: Subject, options: argparse.Namespace) -> None:
    """Make the files of a subject and measure their hidden harm."""
    folder = options.folder / subject.name
    making.make_baseline(subject, folder)
    held_out = harm.hidden(subject.hidden(), subject.preprocessing)
    harm.errors(folder / making.BASELINE, held_out)
    for variant in variants(options.seeds or SEEDS.get(subject.name, 2)):
        start = time.monotonic()
        errors = harm.errors(making.make(variant, subject, folder), held_out)
        told = " ".join(f"{name} {rate:.1%}" for name, rate in errors.items())
        print(f"{subject.name} {variant.name} ({time.monotonic() - start:.0f} s): {told}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
