"""How long `merge` and then `gate` take on three devices and 20 variants.

python -m tests.benchmarks.merge [--json] [--devices N] [--variants N]

The run folder is made up of the small network of the tests, once per variant with other weights; each device's result
is that of this machine under another name. Both commands run in processes of their own, as a user starts them. The peer
in the same run is `python -c "import onnxruntime, matplotlib.pyplot"`, most of what both import.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import attrs

from edgecheck.device.bundle import result as results
from tests.device.bundle import small_run

REPEATS = 3
PEER = [sys.executable, "-P", "-c", "import onnxruntime, matplotlib.pyplot"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON only")
    parser.add_argument("--devices", type=int, default=3)
    parser.add_argument("--variants", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        told = measured(Path(folder), options.devices, options.variants)
    print(json.dumps(told, indent=2) if options.json else told)


def measured(folder: Path, devices: int, variants: int) -> dict[str, float]:
    small_run.write(folder)
    candidates = [str(small_run.network(folder / f"c{n}.onnx", noise=0.01 * n, seed=n)) for n in range(1, variants + 1)]
    words = ["check", "--baseline", folder / "a.onnx", "--data", folder / "data.npz", "--time-budget", "0.05"]
    words += [word for file in candidates for word in ("--candidate", file)]
    run, bundle, first = folder / "run", folder / "b.zip", folder / "d0.json"
    edgecheck(*words, "--out", run)
    edgecheck("bundle", run, "--out", bundle, "--images", "20", "--time-budget", "0.05")
    edgecheck("device", "run", bundle, "--out", first, "--name", "d0")
    files = [first, *(renamed(first, f"d{n}") for n in range(1, devices))]
    gate = [word for n in range(devices) for word in ("--gate", f"latency.p50_s@d{n} <= 1 s")]
    merging = median(edgecheck("merge", run, *files, "--replace") for _ in range(REPEATS))
    judging = median(edgecheck("gate", run, *gate) for _ in range(REPEATS))
    peer = median(seconds(PEER) for _ in range(REPEATS))
    both = merging + judging
    return {"merge_s": merging, "gate_s": judging, "both_s": both, "peer_s": peer, "both_over_peer": both / peer}


def renamed(file: Path, name: str) -> Path:
    """Write the result of a device as that of another one."""
    result = results.read(file)
    readings = [attrs.evolve(reading, device=name) for reading in result.readings]
    other = attrs.evolve(result, name=name, readings=readings)
    path = file.with_name(f"{name}.json")
    path.write_text(results.to_text(other))
    return path


def edgecheck(*words: object) -> float:
    return seconds([sys.executable, "-P", "-m", "edgecheck", *map(str, words)])


def seconds(command: list[str]) -> float:
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        raise SystemExit(done.stderr)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
