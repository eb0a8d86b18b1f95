"""Heatmaps and scores against `grad-cam` and against plain forward passes, in one run on the same images.

python -m tests.benchmarks.cam [--json] [--images N] [--models NAME ...]

Ratios only mean something on a machine that does nothing else meanwhile. ResNet-20 uses the real weights and images of
the folder that EDGECHECK_DATA names, if it does; the others have random weights, which cost as much time.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from edgecheck.attribution.engine import maps_of
from edgecheck.attribution.explanation import float32
from edgecheck.config.plan import Preprocessing
from edgecheck.images import ImageSet, load_npz, preprocess, save_npz
from edgecheck.lab.cam import explain
from edgecheck.lab.cam.split import split
from edgecheck.lab.cam.twin import TwinSource
from edgecheck.score import cam
from edgecheck.score.compare import CamFile, Scoring, compare_images
from tests.benchmarks.subjects import SUBJECTS, Subject

THREADS = 2
METHOD_NAMES = ("grad-cam", "grad-cam++", "ablation-cam")
BATCH = 32
REPEATS = 5
# The package's Ablation-CAM takes seconds an image on the large networks.
PEER_SECONDS = 20.0
MEMORY_IMAGES = (1_000, 10_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON only")
    parser.add_argument("--images", type=int, default=0, help="images a model (default: 512 at 32 px, 96 at 224 px)")
    parser.add_argument("--models", nargs="+", choices=sorted(SUBJECTS), default=list(SUBJECTS))
    parser.add_argument("--memory-of", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    if options.memory_of:
        print(peak_bytes(options.memory_of))
        return
    result: dict = {"threads": THREADS, "models": {}}
    for name in options.models:
        result["models"][name] = measure(SUBJECTS[name], options.images)
        if not options.json:
            print(line(name, result["models"][name]), flush=True)
    result["memory_ratio_10x_images"] = memory_ratio()
    print(
        json.dumps(result, indent=2) if options.json else f"memory, 10x images: {result['memory_ratio_10x_images']:.3f}"
    )


def line(name: str, found: dict) -> str:
    methods = ", ".join(
        f"{method} {found[method]['speedup']:.1f}x (max difference {found[method]['max_abs_diff']:.1e})"
        for method in METHOD_NAMES
    )
    return f"{name}: {methods}; three maps and Sp2PS of a pair: {found['pair_over_forward']:.2f} x two forward passes"


def measure(subject: Subject, images: int) -> dict:
    """Everything about one network."""
    model, other, how = subject.build().eval(), subject.build().eval(), subject.preprocessing
    data = subject.images(images or subject.count)
    peer_model, peer_layer = subject.peer(model)
    found: dict = {}
    for method in METHOD_NAMES:
        found[method] = against_package(model, subject, peer_model, peer_layer, data, method)
    found["pair_over_forward"] = pair_over_forward(model, other, data, how, subject.target)
    return found


def against_package(
    model: nn.Module, subject: Subject, peer: nn.Module, layer: nn.Module, data: ImageSet, method: str
) -> dict:
    """One method, an image on average: the package on a batch of a few images, ours on batches of 32."""
    from pytorch_grad_cam import AblationCAM, GradCAM, GradCAMPlusPlus

    package = {"grad-cam": GradCAM, "grad-cam++": GradCAMPlusPlus, "ablation-cam": AblationCAM}[method]
    pixels = preprocess(data.images[:BATCH], subject.preprocessing)
    inputs = torch.from_numpy(pixels)
    few = inputs[: subject.peer_images] if method == "ablation-cam" else inputs
    target = split(model, inputs[:2], subject.target)
    source = TwinSource(model, target.split, target.name)
    # The package draws bars of its own.
    with contextlib.redirect_stderr(io.StringIO()), package(model=peer, target_layers=[layer]) as peer_cam:
        if method != "ablation-cam":
            peer_cam(few, None)
        shown, peer_times = None, []
        ours = [timed(lambda: maps_once(source, pixels, method)) for _ in range(2)][1:]
        began = time.perf_counter()
        while len(peer_times) < REPEATS and (not peer_times or time.perf_counter() - began < PEER_SECONDS):
            started = time.perf_counter()
            shown = peer_cam(few, None)
            peer_times.append(time.perf_counter() - started)
            ours.append(timed(lambda: maps_once(source, pixels, method)))
    maps = maps_once(source, pixels[: len(few)], method)
    ours_s, peer_s = statistics.median(ours) / len(inputs), statistics.median(peer_times) / len(few)
    difference = np.abs(cam.heatmaps(maps, (inputs.shape[2], inputs.shape[3])) - shown).max()
    return {
        "speedup": peer_s / ours_s,
        "max_abs_diff": float(difference),
        "ours_s": ours_s,
        "grad_cam_s": peer_s,
        "images": len(few),
    }


def maps_once(source: TwinSource, pixels: np.ndarray, method: str) -> np.ndarray:
    """The maps of one batch, each image's own arg-max explained."""
    answer = source.answer(pixels)
    return float32(maps_of(answer, float32(answer.logits).argmax(axis=1), [method])[method])


def pair_over_forward(model: nn.Module, other: nn.Module, data: ImageSet, how: Preprocessing, target: str) -> float:
    """Three maps and Sp2PS of two models, set-up included, over a plain forward pass of each on the same images."""
    ratios = []
    for _ in range(REPEATS):
        plain = timed(lambda: (forward(model, data, how), forward(other, data, how)))
        ratios.append(timed(lambda: pair(model, other, data, how, target)) / plain)
    return statistics.median(ratios)


@torch.no_grad()
def forward(model: nn.Module, data: ImageSet, how: Preprocessing) -> None:
    """The accuracy pass."""
    for start in range(0, len(data), BATCH):
        model(torch.from_numpy(preprocess(data.images[start : start + BATCH], how)))


def pair(model: nn.Module, other: nn.Module, data: ImageSet, how: Preprocessing, target: str) -> None:
    """What a run does with a baseline and a variant."""
    sides = []
    for side in (model, other):
        found = explain(side, data, how, METHOD_NAMES, target)
        sides.append(CamFile(found.maps, found.logits, found.classes))
    for method in METHOD_NAMES:
        scoring = Scoring(data.shape[1:], pe_like=False)
        compare_images("variant", method, sides[0].cams(method), sides[1].cams(method), data.labels, scoring)


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def memory_ratio() -> float:
    """Peak memory of a fresh process that explains and scores a pair of ResNet-20 on 10,000 images, over 1,000."""
    peaks = []
    for count in MEMORY_IMAGES:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "data.npz"
            pixels = np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
            save_npz(path, ImageSet(pixels, np.arange(count) % 10, tuple("0123456789")))
            command = [sys.executable, "-m", "tests.benchmarks.cam", "--memory-of", str(path)]
            peaks.append(int(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    return peaks[1] / peaks[0]


def peak_bytes(path: Path) -> int:
    subject = SUBJECTS["resnet20"]
    pair(subject.build().eval(), subject.build().eval(), load_npz(path), subject.preprocessing, subject.target)
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


if __name__ == "__main__":
    main()
