"""The heatmaps of other people's code, and the definition of Ablation-CAM written down once more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import cv2
import numpy as np
import pytorch_grad_cam
import torch
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

METHODS = {
    "grad-cam": pytorch_grad_cam.GradCAM,
    "grad-cam++": pytorch_grad_cam.GradCAMPlusPlus,
    "ablation-cam": pytorch_grad_cam.AblationCAM,
    "layer-cam": pytorch_grad_cam.LayerCAM,
    "xgrad-cam": pytorch_grad_cam.XGradCAM,
    "hires-cam": pytorch_grad_cam.HiResCAM,
    "score-cam": pytorch_grad_cam.ScoreCAM,
}


def grad_cam(model: nn.Module, layer: nn.Module, inputs: Tensor, classes: np.ndarray, method: str) -> np.ndarray:
    """Heatmaps `(N, H, W)` of the `grad-cam` package, image by image: its Ablation-CAM drifts along a batch."""
    heatmaps = []
    with METHODS[method](model=model, target_layers=[layer]) as cam:
        for image, wanted in zip(inputs, classes, strict=True):
            heatmaps.append(cam(image[None], [ClassifierOutputTarget(int(wanted))])[0])
    return np.stack(heatmaps)


def finished(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Coarse maps as heatmaps, with cv2, as grad-cam finishes them."""
    return np.stack([_scaled(cv2.resize(_scaled(coarse), size[::-1])) for coarse in maps])


def _scaled(heatmap: np.ndarray) -> np.ndarray:
    lifted = heatmap - heatmap.min()
    return np.float32(lifted / (1e-7 + lifted.max()))


@torch.no_grad()
def true_zero_drops(
    model: nn.Module, layer: nn.Module, inputs: Tensor, classes: np.ndarray, channels: Tensor
) -> Tensor:
    """y - y_k `(N, C)` by the definition: the whole network, a hook, one channel at a time."""
    rows = torch.arange(len(inputs))
    explained = model(inputs)[rows, classes].double()
    drops = []
    for channel in channels:
        with _changed_output(layer, lambda maps, channel=channel: maps.index_fill(1, channel, 0.0)):
            drops.append(explained - model(inputs)[rows, classes].double())
    return torch.stack(drops, dim=1)


@torch.no_grad()
def true_zero_ablation(model: nn.Module, layer: nn.Module, inputs: Tensor, classes: np.ndarray) -> np.ndarray:
    """Coarse Ablation-CAM maps `(N, h, w)` by the definition."""
    kept: list[Tensor] = []
    with _changed_output(layer, lambda maps: kept.append(maps.clone())):
        logits = model(inputs)
    explained = logits[torch.arange(len(inputs)), classes].double()
    drops = true_zero_drops(model, layer, inputs, classes, torch.arange(kept[-1].shape[1]))
    return torch.einsum("nk,nkhw->nhw", drops / explained[:, None], kept[-1].double()).clamp(min=0).numpy()


@contextmanager
def _changed_output(layer: nn.Module, change: Callable[[Tensor], Tensor | None]) -> Iterator[None]:
    handle = layer.register_forward_hook(lambda module, given, output: change(output))
    try:
        yield
    finally:
        handle.remove()
