"""Heatmaps of a whole set of images: one forward through the body, one forward and one backward through the tail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from attrs import field, frozen
from numpy.typing import NDArray
from torch import Tensor, nn

from edgecheck.errors import ModelError
from edgecheck.images import ImageSet, preprocess
from edgecheck.lab.cam.ablate import Ablation, Pass
from edgecheck.lab.cam.head import Head, read_head
from edgecheck.lab.cam.method import METHODS, Evidence, Method
from edgecheck.lab.cam.split import Split, split
from edgecheck.lab.cam.trace import reason
from edgecheck.plan import Preprocessing
from edgecheck.progress import Progress, Silent
from edgecheck.registry import lookup

BATCH_SIZE = 32  # large enough to keep the cores busy, small enough for 224 px feature maps in memory


@frozen(eq=False)
class Explanation:
    """The coarse maps of N images and what they explain.

    Attributes:
        maps: method -> float32 `(N, h, w)`, ReLU(sum_k w_k A_k) at the target layer's own resolution.
        logits: float32 `(N, classes)`.
        classes: int64 `(N,)`, the class explained.
        target_layer: the name of the layer, see `edgecheck.lab.cam.trace`.
        warnings: what a reader of the maps should know.
    """

    maps: dict[str, NDArray[np.float32]]
    logits: NDArray[np.float32]
    classes: NDArray[np.int64]
    target_layer: str
    warnings: list[str] = field(factory=list)


def explain(
    model: nn.Module,
    data: ImageSet,
    how: Preprocessing,
    methods: Sequence[str],
    target_layer: str | None = None,
    classes: NDArray[np.int64] | None = None,
    progress: Progress | None = None,
    batch_size: int = BATCH_SIZE,
) -> Explanation:
    """Return the maps of all images under each method; the model is left as it was found.

    Args:
        model: a network that takes float32 `(N, C, H, W)` and gives logits `(N, classes)`.
        data: the images, at the size the network takes.
        how: from pixels to what the network takes.
        methods: names in `METHODS`.
        target_layer: a dotted module name, or a function's output as `features.norm5+relu`; None for the default.
        classes: the class to explain per image `(N,)`; None for the model's own arg-max.
        progress: told of the batches.
        batch_size: images at once.

    Raises:
        ConfigError: unknown method.
        ModelError: a network that does not take the images, whose output is not finite logits `(N, classes)`, that has
            no such target layer, or fewer classes than are to be explained.
    """
    chosen = {name: lookup(METHODS, name, "CAM method") for name in methods}
    with _evaluating(model):
        example = _inputs(model, data, how, slice(0, min(2, len(data))))
        _check_output(model, example, classes)
        target = split(model, example, target_layer)
        engine = _Engine(target.split, read_head(model, target.split), chosen)
        starts = range(0, len(data), batch_size)
        results = []
        for start in (progress or Silent()).track(starts, "explaining", len(starts)):
            batch = slice(start, start + batch_size)
            wanted = None if classes is None else torch.from_numpy(np.asarray(classes[batch], dtype=np.int64))
            results.append(engine.run(_inputs(model, data, how, batch), wanted))
    return _joined(results, target.name, target.warnings)


@frozen(eq=False)
class _Result:
    """One batch, explained."""

    maps: dict[str, Tensor]
    logits: Tensor
    classes: Tensor


class _Engine:
    """Explains batches with one network, cut once."""

    def __init__(self, parts: Split, head: Head, methods: dict[str, Method]) -> None:
        self.parts, self.head, self.methods = parts, head, methods
        self.ablation = Ablation(head, parts.tail)

    def run(self, inputs: Tensor, classes: Tensor | None) -> _Result:
        """Explain `(N, C, H, W)` inputs, as their own arg-max or as `classes` `(N,)`."""
        with torch.no_grad():
            activations, others = self.parts.body(inputs)
        activations = activations.detach().requires_grad_()
        with torch.enable_grad():
            staged, passing = self.head.prefix(activations, *others)
            logits = self.head.rest(staged, *passing)
            classes = logits.argmax(dim=1) if classes is None else classes.to(logits.device)
            explained = logits.gather(1, classes[:, None])[:, 0]
            gradients, slopes = torch.autograd.grad(explained.sum(), (activations, staged), materialize_grads=True)
        batch = Pass(activations.detach(), others, staged.detach(), slopes, classes, explained.detach())
        evidence = Evidence(batch.activations, gradients, batch.logits, lambda: self.ablation.drops(batch))
        maps = {name: _map(method(evidence), batch.activations) for name, method in self.methods.items()}
        return _Result(maps, logits.detach(), classes)


def _map(weights: Tensor, activations: Tensor) -> Tensor:
    """Return ReLU(sum_k w_k A_k), `(N, h, w)`."""
    return (weights * activations).sum(dim=1).relu()


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Put every module in eval mode, and back into its own mode afterwards."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def _inputs(model: nn.Module, data: ImageSet, how: Preprocessing, batch: slice) -> Tensor:
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    return torch.from_numpy(preprocess(data.images[batch], how)).to(device)


@torch.no_grad()
def _check_output(model: nn.Module, example: Tensor, classes: NDArray[np.int64] | None) -> None:
    name, shape = type(model).__name__, tuple(example.shape[1:])
    try:
        output = model(example)
    except Exception as error:  # a user's forward can raise anything at all
        raise ModelError(f"{name} cannot take images of shape (C, H, W) = {shape}: {reason(error)}") from error
    if not isinstance(output, Tensor) or output.ndim != 2 or len(output) != len(example):
        found = tuple(output.shape) if isinstance(output, Tensor) else f"a {type(output).__name__}"
        raise ModelError(f"{name} gives {found} for {len(example)} images, but a classifier gives logits (N, classes)")
    if classes is not None and classes.max() >= output.shape[1]:
        raise ModelError(f"class {classes.max()} is to be explained, but {name} has only {output.shape[1]} classes")


def _joined(results: list[_Result], target_layer: str, warnings: list[str]) -> Explanation:
    logits = torch.cat([result.logits for result in results]).float().cpu().numpy()
    broken = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    if len(broken):
        raise ModelError(
            f"the model gives logits that are no finite numbers on {len(broken)} of {len(logits)} images, "
            f"first on image {broken[0]}: look for NaN or inf in its weights"
        )
    maps = {
        name: torch.cat([result.maps[name] for result in results]).float().cpu().numpy() for name in results[0].maps
    }
    classes = torch.cat([result.classes for result in results]).cpu().numpy()
    return Explanation(
        maps, logits, classes, target_layer, [*warnings, *_emptied(maps), *_pointless(maps, target_layer)]
    )


def _pointless(maps: dict[str, NDArray[np.float32]], target_layer: str) -> list[str]:
    """Return a warning where the maps have one pixel: such a map highlights nothing, whatever its value."""
    if all(stack[0].size > 1 for stack in maps.values()):
        return []
    return [f"the maps of {target_layer!r} are 1x1 and highlight nothing: name an earlier layer (explain.target_layer)"]


def _emptied(maps: dict[str, NDArray[np.float32]]) -> list[str]:
    """Set maps with anything that is no finite number to zero, and return a warning for each method that has some."""
    warnings = []
    for name, stack in maps.items():
        broken = ~np.isfinite(stack).all(axis=(1, 2))
        stack[broken] = 0
        if broken.any():
            warnings.append(f"{int(broken.sum())} {name} maps were not finite and count as all zero")
    return warnings
