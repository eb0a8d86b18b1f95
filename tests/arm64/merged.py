"""`python -m tests.arm64.merged RUN DEVICE`: what is missing in a run that an emulated device was merged into."""

import json
import sys
from pathlib import Path

from edgecheck.records import Report, from_dict
from edgecheck.run_folder import REPORT

# Of every file, measured on the device itself; those that compare with the baseline only of the others.
ALONE = ("accuracy", "parity.max_abs", "latency.p50_s", "memory.rss_bytes")
COMPARED = ("agreement", "latency.ratio", "sp2ps.grad-cam")


def faults(report, device):
    """Yield what a merged report lacks, as text."""
    environment = report.environments.get(device)
    if not (environment and environment.emulated and environment.machine == "aarch64"):
        yield f"{device} is not recorded as an emulated aarch64: {environment}"
    if "torch" in (environment.versions if environment else {}):
        yield f"{device} has PyTorch"
    if not any(one.id == "machine-emulated" and one.device == device for one in report.warnings):
        yield f"no warning says that {device} is emulated"
    taken = {(one.variant, one.metric): one.value for one in report.readings if one.device == device}
    for variant in report.variants:
        for metric in (*ALONE, *(() if variant.role == "baseline" else COMPARED)):
            if taken.get((variant.name, metric)) is None:
                yield f"{variant.name} has no {metric} of {device}"
    judged = [one for one in report.verdicts if one.device == device]
    yield from (f"{one.variant}: {one.metric}@{device} is {one.status}" for one in judged if one.status == "MISSING")
    if not judged:
        yield f"nothing is judged on {device}"


if __name__ == "__main__":
    data = json.loads((Path(sys.argv[1]) / REPORT).read_text())
    found = list(faults(from_dict({key: value for key, value in data.items() if key != "seal"}, Report), sys.argv[2]))
    print("\n".join(found))
    sys.exit(bool(found))
