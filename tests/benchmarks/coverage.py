"""Which networks does the product take? Six cells a network, each measured in a process with a time limit.

python -m tests.benchmarks.coverage [--networks NAME ...] [--folder FOLDER] [--out FILE] [--json]

Cells that are in the folder already are not measured again, so that a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from signal import Signals

from edgecheck.atomic import write_text

LIMIT_S = 120.0  # a cell
CELLS = ("export", "counts", "twin maps", "artefact maps", "int8", "filter pruning")
SIDE = 128
# Built for one size: transformers, and heads whose pooling would enlarge a smaller map.
WHOLE = ("alexnet", "vgg11_bn", "levit_128s", "deit_tiny_patch16_224")
WHOLE_SIDE = 224
TORCHVISION = """
alexnet vgg11_bn squeezenet1_0 squeezenet1_1 resnet18 resnet50 resnext50_32x4d densenet121 googlenet inception_v3
shufflenet_v2_x0_5 mobilenet_v2 mobilenet_v3_small mobilenet_v3_large mnasnet0_5 efficientnet_b0 efficientnet_v2_s
regnet_x_400mf regnet_y_400mf convnext_tiny
"""
TIMM = """
resnet10t resnet26d skresnet18 ghostnet_100 repghostnet_050 mobilenetv3_small_050 lcnet_050 tinynet_e efficientnet_lite0
mixnet_s spnasnet_100 rexnet_100 hrnet_w18_small dla34 repvgg_a0 mobileone_s0 regnetx_002 regnety_002 ese_vovnet19b_dw
edgenext_xx_small mobilevit_xxs convnext_atto poolformer_s12 levit_128s deit_tiny_patch16_224
"""
NETWORKS = [
    f"{library}:{name}" for library, names in [("torchvision", TORCHVISION), ("timm", TIMM)] for name in names.split()
]
MARKS = {"yes": "yes", "part": "partly", "no": "no"}

Row = dict[str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=NETWORKS, metavar="NAME")
    parser.add_argument("--folder", type=Path, help="where cells are kept (default: a temporary folder)")
    parser.add_argument("--out", type=Path, default=Path("models/coverage.md"), help="the page (%(default)s)")
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds a cell may take (%(default)g)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="networks at a time (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the cells as JSON too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        kept = Kept((options.folder or Path(scratch)) / "cells.jsonl")
        with ThreadPoolExecutor(options.jobs) as pool:
            list(pool.map(lambda name: measure(name, kept, options.limit), options.networks))
    rows = [row for row in kept.rows if row["network"] in options.networks]
    write_text(options.out, page(options.networks, rows))
    if options.json:
        print(json.dumps(rows, indent=2))


class Kept:
    """The cells measured so far, one line of JSON each."""

    def __init__(self, path: Path) -> None:
        self.path, self.lock = path, threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self.rows: list[Row] = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []

    def missing(self, network: str) -> list[str]:
        there = {row["cell"] for row in self.rows if row["network"] == network}
        return [cell for cell in CELLS if cell not in there]

    def add(self, row: Row) -> None:
        with self.lock:
            self.rows.append(row)
            with self.path.open("a") as file:
                file.write(json.dumps(row) + "\n")
        print(f"{row['network']}, {row['cell']}: {row['state']} {row['figure']} {row['reason']}", file=sys.stderr)


def measure(network: str, kept: Kept, limit_s: float) -> None:
    """Measure the missing cells of a network; a process that crashes or takes too long costs its cell alone."""
    with tempfile.TemporaryDirectory() as folder:
        while cells := kept.missing(network):
            before = len(cells)
            for row in answered(network, cells, Path(folder), limit_s):
                kept.add({"network": network, **row})
            if len(kept.missing(network)) == before:
                raise RuntimeError(f"{network}: no cell was measured")


def answered(network: str, cells: Sequence[str], folder: Path, limit_s: float) -> Iterator[Row]:
    """Yield what a process says of each cell; of the one that it does not survive, how it ended."""
    side = WHOLE_SIDE if network.partition(":")[2] in WHOLE else SIDE
    command = [sys.executable, "-m", "tests.benchmarks.coverage_cells", network, str(side), str(folder), *cells]
    with (folder / "stderr.txt").open("w+") as errors:
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=one_thread())
        assert child.stdout is not None
        for cell in cells:
            late = threading.Event()
            timer = threading.Timer(limit_s, lambda child=child, late=late: (late.set(), child.kill()))
            timer.start()
            line = child.stdout.readline()
            timer.cancel()
            timer.join()
            if not line:
                child.wait()
                errors.seek(0)
                yield {
                    "cell": cell,
                    "state": "no",
                    "figure": "",
                    "reason": ending(child, late.is_set(), limit_s, errors),
                }
                return
            yield json.loads(line)
        child.wait()


def one_thread() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def ending(child: subprocess.Popen[str], late: bool, limit_s: float, errors: Iterable[str]) -> str:
    if late:
        return f"takes longer than {limit_s:g} s"
    if child.returncode < 0:
        return f"crashes ({Signals(-child.returncode).name})"
    return ([line.strip() for line in errors if line.strip()] or ["ends without a word"])[-1]


def page(networks: Sequence[str], rows: Sequence[Row]) -> str:
    """Return the table, and the reasons below it."""
    cells = {(row["network"], row["cell"]): row for row in rows}
    reasons: list[str] = []
    lines = []
    for network in networks:
        shown = [text(cells[network, cell], reasons) for cell in CELLS]
        lines.append(f"| {network} | {' | '.join(shown)} |")
    full = sum(all(cells[network, cell]["state"] == "yes" for cell in CELLS) for network in networks)
    sums = [f"{sum(cells[network, cell]['state'] == 'yes' for network in networks)}" for cell in CELLS]
    return HEADER.format(
        count=len(networks),
        full=full,
        limit=f"{LIMIT_S:g}",
        side=SIDE,
        whole=", ".join(WHOLE),
        whole_side=WHOLE_SIDE,
        versions=", ".join(f"{name} {version(name).partition('+')[0]}" for name in PACKAGES),
        names=" | ".join(CELLS),
        rule=" | ".join("---" for _ in CELLS),
        sums=" | ".join(sums),
    ) + "\n".join([*lines, "", *(f"{place}. {reason}" for place, reason in enumerate(reasons, 1)), ""])


def text(row: Row, reasons: list[str]) -> str:
    """Return a cell: its state, the figure, and the number of its reason."""
    shown = " ".join(part for part in (MARKS[row["state"]], row["figure"]) if part)
    if not row["reason"]:
        return shown
    if row["reason"] not in reasons:
        reasons.append(row["reason"])
    return f"{shown} [{reasons.index(row['reason']) + 1}]"


PACKAGES = ("torch", "torchvision", "timm", "onnx", "onnxruntime", "grad-cam")
HEADER = """# Which networks edgecheck takes

Measured by `python -m tests.benchmarks.coverage` with {versions}.
All six cells are *yes* for {full} of {count} networks.

Networks have random weights, and BatchNorm statistics of noise that are changed at random. They see noise of {side} px
({whole}: {whole_side} px). The figures show that
the parts fit together, not how well a trained network survives compression. A cell gets at most {limit} s.

- **export**: ONNX Runtime gives the logits of the network; the largest difference, relative to the largest logit
- **counts**: the multiply-adds of the file are those that PyTorch counts of the network
- **twin maps**: Grad-CAM, Grad-CAM++, Ablation-CAM and ReciproCAM of the network; the largest difference between
  Grad-CAM and that of the `grad-cam` package. The package explains modules only: a function's output is not compared.
- **artefact maps**: the same maps from the file; the largest difference from the network's
- **int8**: the file can be quantized, run and explained; mean Sp2PS of its Grad-CAM (of Ablation-CAM, where there are
  no gradients) against that of the float file
- **filter pruning**: 30 % of each layer's filters by L1 norm; the share of parameters that is left. The pruned network
  gives the same logits as its file, and removing channels made dead by hand moves no logit.

| network | {names} |
| --- | {rule} |
| *yes* | {sums} |
"""


if __name__ == "__main__":
    main()
