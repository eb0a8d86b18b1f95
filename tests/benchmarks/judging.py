"""How long `gate` and `report` take on a saved run of 100 variants.

python -m tests.benchmarks.judging RUN [--json] [--variants N]

RUN is a finished run, such as that of `edgecheck demo`; its variants are copied under other names, with their files and
digests, until there are N. All commands run in processes of their own, as a user starts them. The peer in the same run
reads the report and hashes the files that `gate` hashes, with Python's json and hashlib: less cannot be done.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median

from attrs import evolve

from edgecheck.days import today
from edgecheck.gate.judgement import judged
from edgecheck.pipeline import reporting, saved
from edgecheck.records import Report, Variant
from tests.benchmarks.merge import edgecheck, seconds

REPEATS = 5
PEER = """
import hashlib, json, pathlib, sys
run = pathlib.Path(sys.argv[1])
report = json.loads((run / "report.json").read_text())
for name in report["evidence"]:
    hashlib.sha256((run / name).read_bytes()).hexdigest()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--json", action="store_true", help="print JSON only")
    parser.add_argument("--variants", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        told = measured(options.run, Path(folder), options.variants)
    print(json.dumps(told, indent=2) if options.json else told)


def measured(run: Path, folder: Path, variants: int) -> dict[str, float]:
    many = folder / "run"
    copied(run, many, variants)
    gate = median(edgecheck("gate", many) for _ in range(REPEATS))
    again = median(edgecheck("report", many, "--out", folder / "again") for _ in range(REPEATS))
    peer = median(seconds([sys.executable, "-I", "-c", PEER, str(many)]) for _ in range(REPEATS))
    pages = {name: (folder / "again" / name).stat().st_size for name in ("report.html", "report.md")}
    times = {"gate_s": gate, "report_s": again, "peer_s": peer}
    return {**times, "gate_over_peer": gate / peer, "report_over_peer": again / peer, **pages}


def copied(run: Path, out: Path, variants: int) -> None:
    """Write a run with copies of the candidates of another one."""
    shutil.copytree(run, out)
    report = saved.read(run)
    sources = [variant for variant in report.variants if variant.role == "candidate"]
    for number in range(variants - len(sources)):
        source = sources[number % len(sources)]
        report = with_copy(report, source, f"{source.name}-copy{number}")
        shutil.copytree(out / source.name, out / f"{source.name}-copy{number}")
    reporting.write(judged(report, report.policy, today()), out)


def with_copy(report: Report, source: Variant, name: str) -> Report:
    def moved(path: str) -> str:
        return path.replace(f"{source.name}/", f"{name}/", 1)

    assert source.file is not None
    variant = evolve(
        source,
        name=name,
        file=moved(source.file),
        pictures=list(map(moved, source.pictures)),
        warnings=[evolve(one, variant=name) for one in source.warnings],
    )
    evidence = {moved(path): digest for path, digest in report.evidence.items() if path.startswith(f"{source.name}/")}
    return evolve(
        report,
        variants=[*report.variants, variant],
        readings=[*report.readings, *(evolve(one, variant=name) for one in report.readings_of(source.name))],
        similarities=[
            *report.similarities,
            *(evolve(one, variant=name) for one in report.similarities_of(source.name)),
        ],
        evidence=report.evidence | evidence,
    )


if __name__ == "__main__":
    main()
