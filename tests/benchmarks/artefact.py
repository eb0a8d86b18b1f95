"""Heatmaps of ONNX files against passes of the same files for accuracy alone, in one run on the same images.

python -m tests.benchmarks.artefact [--json] [--images N] [--files NAME ...]

Both sides open their sessions once, before the clock starts, and preprocess every image; passes alternate, so that a
busy machine slows both. ResNet-20 and ResNet-8 use the real weights and images of the folder that EDGECHECK_DATA names,
if it does; the others have random weights, which cost as much time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # NumPy's share is measured on one thread too

import torch
from attrs import frozen

from edgecheck.attribution import engine
from edgecheck.attribution.source import ExplainedSubject
from edgecheck.attribution.table import default_methods
from edgecheck.config.plan import Preprocessing
from edgecheck.device.explain.source import opened
from edgecheck.device.runtime.ort import Options
from edgecheck.device.runtime.session import open_classifier
from edgecheck.images import ImageSet, preprocess
from edgecheck.lab.export import export
from edgecheck.lab.quantize import Calibration, quantize
from edgecheck.models.resnet_cifar import resnet8
from edgecheck.steps import Quantize
from tests.benchmarks.subjects import SUBJECTS, Subject

BATCH = engine.BATCH_SIZE
ROUNDS = 7
GOAL = 1.5  # on linear heads
CALIBRATION_IMAGES = 64


@frozen
class File:
    """A file to measure: what it is made of, and how many images a pass takes."""

    subject: Subject
    count: int
    int8: bool = False


MLPERF = Subject(resnet8, "s3", 32, 512, 8, "resnet8_mlperf_tiny.pt", preprocessing=Preprocessing(range=(0.0, 255.0)))
FILES = {
    "resnet20": File(SUBJECTS["resnet20"], 1024),
    "resnet20 int8": File(SUBJECTS["resnet20"], 1024, int8=True),
    "resnet8": File(MLPERF, 2048),
    "cifar10_cnn7": File(SUBJECTS["cifar10_cnn7"], 96),
    "mobilenet_v2": File(SUBJECTS["mobilenet_v2"], 64),
    "resnet18": File(SUBJECTS["resnet18"], 64),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON only")
    parser.add_argument(
        "--images", type=int, default=0, help="images a pass (default: 64 to 2048, as the file is fast)"
    )
    parser.add_argument("--files", nargs="+", choices=list(FILES), default=list(FILES), metavar="NAME")
    options = parser.parse_args()
    torch.set_num_threads(1)
    result: dict[str, Any] = {"threads": 1, "methods": default_methods(), "goal": GOAL, "files": {}}
    for name in options.files:
        with tempfile.TemporaryDirectory() as folder:
            result["files"][name] = measure(FILES[name], options.images, Path(folder))
        if not options.json:
            print(line(name, result["files"][name]), flush=True)
    if options.json:
        print(json.dumps(result, indent=2))
    sys.exit(any(found["ratio"] > GOAL for found in result["files"].values()))


def line(name: str, found: dict[str, Any]) -> str:
    return (
        f"{name}: {found['accuracy_images_s']:.0f} images/s for accuracy, {found['artefact_images_s']:.0f} with "
        f"{len(default_methods())} maps: {found['ratio']:.2f} times the time"
    )


def measure(file: File, images: int, folder: Path) -> dict[str, Any]:
    """Return the images a second of both sides, and the median of the ratios of neighbouring passes."""
    how, data = file.subject.preprocessing, file.subject.images(images or file.count)
    path = written(file, data, folder)
    classifier = open_classifier(path, Options())
    source = opened(ExplainedSubject(path), preprocess(data.images[:1], how))
    methods = default_methods()

    def accuracy() -> None:
        for start in range(0, len(data), BATCH):
            classifier.run(preprocess(data.images[start : start + BATCH], how)).argmax(axis=1)

    def maps() -> None:
        engine.explain(source, data, how, methods)

    accuracy(), maps()  # closed forms are checked on the first batches, which is part of no later pass
    passes = [(timed(accuracy), timed(maps)) for _ in range(ROUNDS)]
    alone, explained = (statistics.median(times) for times in zip(*passes, strict=True))
    return {
        "ratio": statistics.median(after / before for before, after in passes),
        "accuracy_images_s": len(data) / alone,
        "artefact_images_s": len(data) / explained,
        "images": len(data),
        "target": source.target_layer,
        "closed_form": source.ablation.closed,
    }


def written(file: File, data: ImageSet, folder: Path) -> Path:
    """Return the file of a network, quantized where that is asked."""
    path = folder / "float.onnx"
    export(file.subject.build(), path, (3, file.subject.side, file.subject.side))
    if not file.int8:
        return path
    few = ImageSet(data.images[:CALIBRATION_IMAGES], data.labels[:CALIBRATION_IMAGES], data.classes)
    quantize("int8", path, folder / "int8.onnx", Calibration(few, file.subject.preprocessing, Quantize()))
    return folder / "int8.onnx"


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
