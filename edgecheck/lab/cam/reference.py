"""Heatmaps by the `grad-cam` package itself (pytorch_grad_cam 1.5), for those who want its numbers and not ours.

It differs from our engine where its own code does:

- Its Ablation-CAM sets a channel to zero only where the image's maps hold an exact zero as their minimum (behind a ReLU
  they nearly always do); elsewhere it sets the channel to the minimum - 1e7, and lower still from channel to channel.
- It explains the outputs of modules only; an operator that overwrites one in place changes what it sees.
- It takes the first call of a module that is called several times, ours takes the last.
- It runs the whole network for every ablated channel.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from attrs import evolve
from numpy.typing import NDArray
from pytorch_grad_cam import AblationCAM, GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM, ScoreCAM, XGradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from edgecheck.config.plan import Preprocessing
from edgecheck.errors import ModelError
from edgecheck.images import ImageSet, preprocess
from edgecheck.lab.cam import engine
from edgecheck.lab.cam.engine import BATCH_SIZE
from edgecheck.lab.cam.explanation import Explanation, emptied
from edgecheck.lab.compute import device_of
from edgecheck.progress import Progress, Silent
from edgecheck.registry import lookup

CLASSES: dict[str, type[Any]] = {
    "grad-cam": GradCAM,
    "grad-cam++": GradCAMPlusPlus,
    "ablation-cam": AblationCAM,
    "layer-cam": LayerCAM,
    "xgrad-cam": XGradCAM,
    "hires-cam": HiResCAM,
    "score-cam": ScoreCAM,
}


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
    """Return what `edgecheck.lab.cam.engine.explain` returns, with maps that the `grad-cam` package makes.

    The maps are its coarse ones, float32 `(N, h, w)`: after its ReLU, before it scales and resizes them. Logits,
    classes and the default target layer come from our engine.

    Args:
        model: a network that takes float32 `(N, C, H, W)` and gives logits `(N, classes)`; left as it was found.
        data: the images, at the size the network takes.
        how: from pixels to what the network takes.
        methods: names in `CLASSES`.
        target_layer: a dotted module name; None for the default.
        classes: the class to explain per image `(N,)`; None for the model's own arg-max.
        progress: told of the batches.
        batch_size: images at once.

    Raises:
        ConfigError: unknown method.
        ModelError: as `edgecheck.lab.cam.engine.explain`, and a target layer that is a function's output.
    """
    chosen = {name: lookup(CLASSES, name, "CAM method") for name in methods}
    # Ours are the checks, the logits and the target layer, which it looks for only where a map is asked for.
    found = engine.explain(model, data, how, ["grad-cam"] if chosen else [], target_layer, classes, None, batch_size)
    if not chosen:
        return found
    # The package leaves hooks, gradients and, on an error, its ablation layer behind: let it have a model of its own.
    own = copy.deepcopy(model).eval().requires_grad_(True)
    layer = _module(own, found.target_layer)
    explained = data.selection.numbers(found.classes) if data.selection else found.classes
    maps = {}
    for name, kind in chosen.items():
        # One image at a time where the package makes all masked inputs or ablated maps of a batch at once.
        step = batch_size if kind not in (AblationCAM, ScoreCAM) else 1
        batches = [slice(start, start + step) for start in range(0, len(data), step)]
        with _released(_coarse(kind)(model=own, target_layers=[layer])) as cam:
            maps[name] = np.concatenate(
                [
                    _maps(cam, _inputs(own, data, how, batch), explained[batch])
                    for batch in (progress or Silent()).track(batches, f"explaining by {name}", len(batches))
                ]
            )
    warnings = dict.fromkeys([*found.warnings, *emptied(maps)])
    return evolve(found, maps=maps, warnings=list(warnings))


def _coarse(kind: type[Any]) -> type[Any]:
    """Return a class of the package that keeps the maps which it goes on to scale."""

    class Coarse(kind):
        coarse: NDArray[np.float32]

        def get_cam_image(self, *arguments: Any, **options: Any) -> NDArray[np.float32]:
            self.coarse = super().get_cam_image(*arguments, **options)
            return self.coarse

    return Coarse


def _maps(cam: Any, inputs: Tensor, classes: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the coarse maps `(N, h, w)` of one batch."""
    with torch.enable_grad(), np.errstate(divide="ignore", invalid="ignore"):  # a logit of 0: no number, emptied later
        cam(inputs, [ClassifierOutputTarget(int(label)) for label in classes])
    return np.maximum(cam.coarse, 0).astype(np.float32)


def _module(model: nn.Module, name: str) -> nn.Module:
    modules = dict(model.named_modules())
    if name not in modules:
        raise ModelError(
            f"the grad-cam package explains modules, and {name!r} of {type(model).__name__} is a function's output: "
            "name a module (explain.target_layer), or leave explain.engine out"
        )
    return modules[name]


def _inputs(model: nn.Module, data: ImageSet, how: Preprocessing, batch: slice) -> Tensor:
    return torch.from_numpy(preprocess(data.images[batch], how)).to(device_of(model))


@contextmanager
def _released(cam: Any) -> Iterator[Any]:
    """Give the package's hooks back at the end, and keep its own progress bar, one an image, from the terminal.

    Not by its own `with`: that swallows any IndexError.
    """
    module = sys.modules[type(cam).__mro__[1].__module__]
    bars = getattr(module, "tqdm", None)
    if bars is not None:
        module.tqdm = SimpleNamespace(tqdm=iter)  # type: ignore[attr-defined]
    try:
        yield cam
    finally:
        cam.activations_and_grads.release()
        if bars is not None:
            module.tqdm = bars  # type: ignore[attr-defined]
