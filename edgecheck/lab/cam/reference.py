"""Heatmaps by the `grad-cam` package itself (pytorch_grad_cam 1.5), for comparison with published numbers.

The package differs from our engine where its code does:

- Its Ablation-CAM sets a channel to zero only where the image's maps hold an exact zero as their minimum (behind a ReLU
  they nearly always do). Elsewhere it sets the channel to the minimum - 1e7, and lower still from channel to channel.
- It explains the outputs of modules only. An operator that overwrites one in place changes what it sees.
- It takes the first call of a module that is called several times; ours takes the last.
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

from edgecheck.attribution.engine import BATCH_SIZE
from edgecheck.attribution.explanation import Explanation, zeroed
from edgecheck.attribution.table import METHODS
from edgecheck.config.plan import Preprocessing
from edgecheck.errors import ConfigError, ModelError
from edgecheck.images import ImageSet, preprocess
from edgecheck.lab import cam as ours
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
) -> Explanation:
    """Return what `edgecheck.lab.cam.explain` returns, with maps that the `grad-cam` package makes.

    The maps are its coarse ones, float32 `(N, h, w)`: after its ReLU, before it scales and resizes them. Logits,
    classes and the default target layer come from our engine. The arguments are those of `edgecheck.lab.cam.explain`.

    Raises:
        ConfigError: unknown method, or one that the package does not have.
        ModelError: as `edgecheck.lab.cam.explain`, and a target layer that is a function's output.
    """
    for name in methods:
        require_method(name)
    # Our engine looks for a target layer only where a map is asked for.
    plain = ours.explain(model, data, how, ["grad-cam"] if methods else [], target_layer, classes)
    if not methods:
        return plain
    # The package leaves hooks, gradients and, on an error, its ablation layer behind, so it works on a copy.
    own = copy.deepcopy(model).eval().requires_grad_(True)
    layer = _module(own, plain.target_layer)
    explained = data.selection.numbers(plain.classes) if data.selection else plain.classes
    maps = {}
    for name in methods:
        batches = _batches(name, len(data))
        told = (progress or Silent()).track(batches, f"explaining by {name}", len(batches))
        with _released(_coarse(CLASSES[name])(model=own, target_layers=[layer])) as cam:
            stacks = [_maps(cam, _inputs(own, data, how, batch), explained[batch]) for batch in told]
        maps[name] = np.concatenate(stacks)
    other = [warning for warning in plain.warnings if warning.id != "heatmaps-not-finite"]
    return evolve(plain, maps=maps, warnings=[*other, *zeroed(maps)])


def require_method(name: str) -> None:
    """Refuse a method that the package does not have.

    Raises:
        ConfigError: as said.
    """
    lookup(METHODS, name, "CAM method")
    if name not in CLASSES:
        raise ConfigError(
            f"explain.engine: grad-cam: the package has no {name}; it has {', '.join(CLASSES)}; "
            "leave explain.engine out to use it"
        )


def _batches(method: str, images: int) -> list[slice]:
    """Return the batches: single images where the package holds all masked inputs or ablated maps of a batch."""
    step = 1 if CLASSES[method] in (AblationCAM, ScoreCAM) else BATCH_SIZE
    return [slice(start, start + step) for start in range(0, images, step)]


def _coarse(kind: type[Any]) -> type[Any]:
    """Return a class of the package that keeps the maps before it scales them."""

    class Coarse(kind):
        coarse: NDArray[np.float32]

        def get_cam_image(self, *arguments: Any, **options: Any) -> NDArray[np.float32]:
            self.coarse = super().get_cam_image(*arguments, **options)
            return self.coarse

    return Coarse


def _maps(cam: Any, inputs: Tensor, classes: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the coarse maps `(N, h, w)` of one batch."""
    with torch.enable_grad(), np.errstate(divide="ignore", invalid="ignore"):  # a logit of 0 gives NaN, zeroed later
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
    """Release the package's hooks at the end, and keep its own progress bar, one per image, off the terminal.

    The package's own `with` is not used: it swallows any IndexError.
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
