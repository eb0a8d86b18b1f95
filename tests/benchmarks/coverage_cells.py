"""What a cell of the coverage table measures of one network. Started by `tests.benchmarks.coverage`, in a process.

python -m tests.benchmarks.coverage_cells NETWORK SIDE FOLDER CELL ...

Each cell prints one line of JSON. The first cell leaves the network's file in the folder, and later ones read it there.
"""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from attrs import frozen
from numpy.typing import NDArray
from torch import nn

from edgecheck.attribution.engine import maps_of, refused
from edgecheck.attribution.explanation import float32
from edgecheck.attribution.source import ExplainedSubject, MapSource
from edgecheck.config.plan import ModelSpec, Preprocessing
from edgecheck.device.explain.source import opened
from edgecheck.device.model import graph
from edgecheck.device.runtime.session import open_classifier
from edgecheck.images import ImageSet, head, preprocess
from edgecheck.lab.cam import reference
from edgecheck.lab.cam.split import split
from edgecheck.lab.cam.twin import TwinSource
from edgecheck.lab.export import export
from edgecheck.lab.prune import prune, uncompressed
from edgecheck.lab.quantize import Calibration, quantize
from edgecheck.lab.subjects import build
from edgecheck.score import cam
from edgecheck.score.compare import CamFile, Scoring, compare_images
from edgecheck.steps import PruneStep, Quantize
from edgecheck.text import error_line
from tests.benchmarks.peers import dead_channels, params
from tests.device.exports import macs
from tests.lab.prune.networks import randomized

METHODS = ["grad-cam", "grad-cam++", "ablation-cam", "recipro-cam"]
IMAGES = 4
CALIBRATION_IMAGES = 16
CLOSE = 1e-4  # of the largest logit or of 1 for logits, absolute for heatmaps
ROUNDING = 3  # times what float32 itself moves the twin's heatmaps, where these are that sensitive
PRUNE = PruneStep("l1", "filters", "layer", 0.3)
HOW = Preprocessing(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])


@frozen
class Cell:
    """One cell: `yes`, `part` or `no`, what was measured, and the reason where it is not `yes`."""

    state: str
    figure: str = ""
    reason: str = ""


@frozen(eq=False)
class Network:
    """A network filled with random numbers, and images for it."""

    model: nn.Module
    images: ImageSet
    folder: Path

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.images.shape

    @property
    def pixels(self) -> NDArray[np.float32]:
        return preprocess(self.few.images, HOW)

    @property
    def few(self) -> ImageSet:
        return head(self.images, IMAGES)

    @property
    def file(self) -> Path:
        return self.folder / "model.onnx"

    def twin(self) -> TwinSource:
        target = split(self.model, torch.from_numpy(self.pixels[:2]))
        return TwinSource(self.model, target.split, target.name)

    def artefact(self, name: str = "model.onnx") -> MapSource:
        return opened(ExplainedSubject(self.folder / name), self.pixels)


def network(name: str, side: int, folder: Path) -> Network:
    """Return the network with randomized weights, BatchNorm statistics included, and noise for images."""
    torch.manual_seed(0)
    pixels = np.random.default_rng(0).integers(0, 256, (CALIBRATION_IMAGES, side, side, 3), dtype=np.uint8)
    images = ImageSet(pixels, np.zeros(CALIBRATION_IMAGES, np.int64), ("none",))
    model = randomized(build(ModelSpec(name)))
    settle(model, torch.from_numpy(preprocess(images.images, HOW)))
    return Network(model, images, folder)


@torch.no_grad()
def settle(model: nn.Module, pixels: torch.Tensor) -> None:
    """Keep the numbers of deep networks in the range of trained ones, without making any of them 0 or 1.

    BatchNorm statistics become those of the images, changed at random: with others, logits grow to 1e8 and hold
    rounding alone. What a fresh network fills with one number, such as LayerNorm or layer scales of 1e-6, is drawn at
    random.
    """
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        if parameter.numel() > 1 and parameter.min() == parameter.max():
            low, high = (0.5, 1.5) if parameter.any() else (-0.1, 0.1)
            parameter.uniform_(low, high, generator=generator)
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [module.momentum for module in norms]
    for module in norms:
        module.reset_running_stats()
        module.momentum = None  # the mean over what comes: the statistics of these images
        module.train()  # not the whole network: some have further heads while they are trained
    model(pixels)
    model.eval()
    for module, momentum in zip(norms, momenta, strict=True):
        module.momentum = momentum
        if module.running_mean is not None and module.running_var is not None:
            spread = module.running_var.sqrt()
            module.running_mean += 0.1 * spread * torch.randn(spread.shape, generator=generator)
            module.running_var *= torch.empty_like(spread).uniform_(0.7, 1.4, generator=generator)


def exported(subject: Network) -> Cell:
    """The file runs and gives the logits of the network."""
    export(subject.model, subject.file, subject.shape)
    return same_logits(subject.model, subject.file, subject.pixels)


def same_logits(model: nn.Module, file: Path, pixels: NDArray[np.float32]) -> Cell:
    with torch.no_grad():
        expected = model(torch.from_numpy(pixels)).numpy()
    moved = np.abs(open_classifier(file).run(pixels) - expected).max() / max(1.0, float(np.abs(expected).max()))
    return Cell("yes", f"{moved:.0e}") if moved <= CLOSE else Cell("no", reason=f"logits differ by {moved:.1e}")


def counts(subject: Network) -> Cell:
    """The multiply-adds of the file are those that torch counts of the network."""
    found, peer = graph.count(subject.file, subject.shape), macs(subject.model, subject.shape)
    if found.unsupported:
        return Cell("part", millions(found.macs), f"not counted: {', '.join(found.unsupported)}")
    if found.macs != peer:
        return Cell("part", millions(found.macs), f"torch counts {millions(peer)} of the network")
    return Cell("yes", millions(found.macs))


def millions(value: int) -> str:
    return f"{value / 1e6:,.0f} M"


def twin_maps(subject: Network) -> Cell:
    """The network can be explained, and its Grad-CAM is that of the `grad-cam` package."""
    source = subject.twin()
    maps = heatmaps(source, subject, METHODS)
    if empty := [method for method, values in maps.items() if not values.any()]:
        return Cell("no", reason=f"no positive map by {', '.join(empty)}")
    if source.target_layer not in dict(subject.model.named_modules()):
        return Cell("yes", "not compared")  # the package explains modules only
    peer = reference.explain(subject.model, subject.few, HOW, ["grad-cam"], source.target_layer).maps["grad-cam"]
    apart = float(np.abs(cam.heatmaps(peer, subject.shape[1:]) - maps["grad-cam"]).max())
    if apart <= CLOSE:
        return Cell("yes", f"{apart:.0e}")
    return Cell("part", f"{apart:.0e}", f"`grad-cam` explains {source.target_layer} in another way")


def heatmaps(
    source: MapSource, subject: Network, methods: list[str], classes: NDArray[np.int64] | None = None
) -> dict[str, NDArray[np.float64]]:
    answer = source.answer(subject.pixels)
    chosen = float32(answer.logits).argmax(axis=1) if classes is None else classes
    found = maps_of(answer, chosen, methods)
    return {method: cam.heatmaps(float32(maps), subject.shape[1:]) for method, maps in found.items()}


def artefact_maps(subject: Network) -> Cell:
    """The heatmaps of the file are those of the network, by all methods that its tail allows."""
    file, twin = subject.artefact(), subject.twin()
    why = refused(file, METHODS)
    methods = [method for method in METHODS if method not in why]
    classes = float32(twin.answer(subject.pixels).logits).argmax(axis=1)
    theirs = heatmaps(twin, subject, methods, classes)
    apart = furthest(heatmaps(file, subject, methods, classes), theirs)
    reason = f"no {', '.join(why)}: {next(iter(why.values()))}" if why else ""
    if apart > CLOSE:
        rounding = furthest(heatmaps(double_twin(subject), subject, methods, classes), theirs)
        told = f"float32 rounding alone moves the twin's heatmaps by {rounding:.0e}"
        if apart > ROUNDING * rounding:
            return Cell("no", f"{apart:.0e}", told)
        reason = f"{told}; {reason}" if reason else told
    return Cell("part" if why else "yes", f"{apart:.0e}", reason)


def furthest(some: dict[str, NDArray[np.float64]], others: dict[str, NDArray[np.float64]]) -> float:
    return max(float(np.abs(some[method] - others[method]).max()) for method in others)


class Double(TwinSource):
    """A twin that computes in float64."""

    def answer(self, inputs: NDArray[np.float32]) -> Any:
        return super().answer(inputs.astype(np.float64))  # type: ignore[arg-type]


def double_twin(subject: Network) -> TwinSource:
    model = copy.deepcopy(subject.model).double()
    target = split(model, torch.from_numpy(subject.pixels[:2]).double())
    return Double(model, target.split, target.name)


def int8(subject: Network) -> Cell:
    """The network quantizes, and the int8 file is explained: mean Sp2PS of its maps against those of the float file."""
    quantize("int8", subject.file, subject.folder / "int8.onnx", Calibration(subject.images, HOW, Quantize()))
    open_classifier(subject.folder / "int8.onnx").run(subject.pixels)
    sides = [subject.artefact("int8.onnx"), subject.artefact()]
    method = "grad-cam" if all("gradients" in side.gives for side in sides) else "ablation-cam"
    classes = float32(sides[1].answer(subject.pixels).logits).argmax(axis=1)
    files = []
    for side in sides:
        answer = side.answer(subject.pixels)
        maps = {method: float32(maps_of(answer, classes, [method])[method])}
        files.append(CamFile(maps, float32(answer.logits), classes))
    scoring = Scoring(subject.shape[1:], pe_like=False)
    scores = compare_images("int8", method, *(file.cams(method) for file in files), subject.few.labels, scoring).sp2ps
    if not np.isfinite(scores).all():
        return Cell("no", reason="heatmaps are not finite")
    return Cell("yes", f"{scores.mean():.2f}")


def pruned(subject: Network) -> Cell:
    """Removing filters leaves a network that runs and exports; removing dead channels moves no logit."""
    example = torch.zeros(1, *subject.shape)
    found = prune(uncompressed(subject.model), PRUNE, example, 0)
    export(found.model, subject.folder / "pruned.onnx", subject.shape)
    if (cell := same_logits(found.model, subject.folder / "pruned.onnx", subject.pixels)).state == "no":
        return cell
    dead = dead_channels(subject.model, example, torch.from_numpy(subject.pixels), PRUNE.rate, 0)
    if dead["moved"] > CLOSE * dead["scale"]:
        return Cell("no", reason=f"removing dead channels moves logits of {dead['scale']:.0f} by {dead['moved']:.1e}")
    left = params(found.model, example)[0] / params(subject.model, example)[0]
    return Cell("yes", f"{left:.2f}")


CELLS: dict[str, Callable[[Network], Cell]] = {
    "export": exported,
    "counts": counts,
    "twin maps": twin_maps,
    "artefact maps": artefact_maps,
    "int8": int8,
    "filter pruning": pruned,
}


NEED_THE_FILE = ("counts", "artefact maps", "int8")


def attempt(subject: Network, name: str) -> Cell:
    """Return what a cell measures; an exception is a result like any other."""
    try:
        if name in NEED_THE_FILE and not subject.file.is_file():
            export(subject.model, subject.file, subject.shape)
        return CELLS[name](subject)
    except Exception as error:
        return Cell("no", reason=error_line(error).replace(f"{subject.folder}/", ""))


def main(arguments: list[str]) -> None:
    name, side, folder, *cells = arguments
    torch.set_num_threads(1)
    with redirect_stdout(sys.stderr):
        subject = network(name, int(side), Path(folder))
    for cell in cells:
        with redirect_stdout(sys.stderr):
            measured = attempt(subject, cell)
        print(json.dumps({"cell": cell, **attrs.asdict(measured)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
