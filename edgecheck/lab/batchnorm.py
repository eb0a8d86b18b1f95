"""The running statistics of BatchNorm: kept while a network is trained, or estimated again without training."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from edgecheck.config.plan import Preprocessing
from edgecheck.errors import MeasurementError, ModelError
from edgecheck.images import ImageSet, preprocess
from edgecheck.lab.compute import device_of
from edgecheck.progress import Progress

BATCH = 128  # images normalized together; their activations at 224x224 are a few hundred MB


def normalizations(model: nn.Module) -> dict[str, nn.Module]:
    """Return the BatchNorm modules that have running statistics, by name."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.track_running_stats
    }


def start_training(model: nn.Module, frozen: bool) -> None:
    """Put a model into training mode; with `frozen`, BatchNorm uses and keeps its running statistics."""
    model.train()
    for module in normalizations(model).values() if frozen else ():
        module.eval()


def recalibrate(model: nn.Module, data: ImageSet, how: Preprocessing, progress: Progress) -> None:
    """Estimate the statistics of every BatchNorm again, in place, and leave the model in eval mode.

    Each becomes the mean over the batches of the batch's mean and unbiased variance. Everything else works as in eval
    mode: dropout is off, and no weight changes.

    Args:
        model: the network.
        data: the images.
        how: their preprocessing.
        progress: receives the batches.

    Raises:
        ModelError: the network has no BatchNorm with running statistics, or fails while it normalizes by batches.
        MeasurementError: a statistic is not finite.
    """
    layers = normalizations(model)
    if not layers:
        raise ModelError(f"{type(model).__name__} has no BatchNorm with running statistics to recalibrate")
    momenta = {name: layer.momentum for name, layer in layers.items()}
    model.eval()
    try:
        for layer in layers.values():
            layer.reset_running_stats()  # type: ignore[operator]
            layer.momentum = None  # type: ignore[assignment]  # PyTorch's name for the mean over all batches
            layer.train()
        _run(model, data, how, progress)
    finally:
        model.eval()
        for name, layer in layers.items():
            layer.momentum = momenta[name]
    _check(layers)


@torch.no_grad()
def _run(model: nn.Module, data: ImageSet, how: Preprocessing, progress: Progress) -> None:
    # Of equal size, since every batch has the same weight; each from all over the data, which may be sorted by class.
    count = math.ceil(len(data) / BATCH)
    parts = [np.arange(first, len(data), count) for first in range(count)]
    for part in progress.track(parts, "re-estimating BatchNorm statistics", len(data), len):
        inputs = torch.from_numpy(preprocess(np.asarray(data.images[part]), how)).to(device_of(model))
        try:
            model(inputs)
        except (RuntimeError, ValueError) as error:  # as BatchNorm on a single value per channel
            raise ModelError(
                f"the network fails while BatchNorm normalizes a batch {tuple(inputs.shape)}: {error}"
            ) from None


def _check(layers: dict[str, nn.Module]) -> None:
    for name, layer in layers.items():
        for statistic in ("running_mean", "running_var"):
            if not getattr(layer, statistic).isfinite().all():
                raise MeasurementError(f"{name}.{statistic} is not finite after re-estimating it")
