"""Can edgecheck be made to pass what it must not, to lose work, to hang, or to fail without saying why?

python -m tests.benchmarks.faults [--json] [--only KIND [--case N]] [--short] [--workers N]

Kills: SIGKILL of `edgecheck run` and `edgecheck sweep` at random moments, then the same command until it completes: the
report must be that of a run left in peace, apart from what a clock decides. Malformed: ONNX files, npz archives, YAML,
reports, images, weights and command lines, seeded: each is accepted or refused in one line, within a minute and 4 GiB.
Integrity: named ways of tampering, of stale work and of gates that mean nothing: none may end in a PASS. Environment:
planted code, factories that end the process, full and read-only disks, two runs in one folder, signals.

`--only reports --case 17` carries out one case again and prints what came of it.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before the first import of torch: the same bits everywhere, and forks are safe

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.faults import campaign
from tests.benchmarks.faults.material import Material
from tests.benchmarks.faults.outcomes import Outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON only")
    parser.add_argument("--only", choices=list(campaign.KINDS), action="append", help="kinds of cases; repeatable")
    parser.add_argument("--case", type=int, action="append", help="numbers of cases of the one kind; repeatable")
    parser.add_argument("--short", action="store_true", help="the few cases that the tests run")
    parser.add_argument("--workers", type=int, default=campaign.WORKERS, help="processes that work at once")
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        outcomes = run(Path(folder), options)
    result = campaign.summary(outcomes, time.monotonic() - began)
    print(json.dumps(result, indent=2) if options.json else page(result))


def run(folder: Path, options: argparse.Namespace) -> list[Outcome]:
    """Carry out the chosen cases; what is not as it should be is told at once on stderr."""
    kinds = options.only or list(campaign.KINDS)
    numbers = {kind: options.case or _numbers(kind, options.short) for kind in kinds}
    material = Material(folder / "material")
    campaign.prepare(numbers, material)
    outcomes = []
    for outcome in campaign.carry_out(campaign.jobs(numbers, material, folder / "cases"), options.workers):
        outcomes.append(outcome)
        if options.case or not outcome.good:
            told = f"{outcome.kind} {outcome.number}: {outcome.verdict}: {outcome.name}: {outcome.detail}"
            print(told[:1000].encode("ascii", "backslashreplace").decode(), file=sys.stderr, flush=True)
    return sorted(outcomes, key=lambda o: (list(campaign.KINDS).index(o.kind), o.number))


def _numbers(kind: str, short: bool) -> list[int]:
    found = campaign.KINDS[kind]
    return list(found.short) if short else list(range(found.count))


def page(result: dict) -> str:
    """Return the counts as lines of text."""
    return "\n".join(f"{name}: {json.dumps(value)}" for name, value in result.items() if name != "skipped")


if __name__ == "__main__":
    main()
