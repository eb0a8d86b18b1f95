"""Two images on which a network is tried before it is trusted with all."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from edgecheck.errors import ModelError
from edgecheck.records import Diagnostic
from edgecheck.text import error_line

LOGIT_TOLERANCE = 1e-4  # relative; float32 reordering gives about 1e-6, a wrong cut gives anything
BATCH_DEPENDENT = "heatmaps-batch-dependent"


def probe_of(images: Tensor) -> Tensor:
    """Return the first image and one of normal noise: what holds for black images alone may not hold for others."""
    noise = torch.randn(images[:1].shape, generator=torch.Generator().manual_seed(0))
    return torch.cat([images[:1], noise.to(images)])


def same(expected: Any, actual: Any) -> bool:
    """Return whether two outputs agree up to rounding."""
    if not isinstance(expected, Tensor) or not isinstance(actual, Tensor):
        return type(expected) is type(actual)
    scale = float(expected.abs().max()) if expected.isfinite().all() else 0.0
    tolerance = LOGIT_TOLERANCE * max(1.0, scale)
    return torch.allclose(expected.float(), actual.float(), rtol=0.0, atol=tolerance, equal_nan=True)


@torch.no_grad()
def batch_dependent(model: nn.Module, probe: Tensor, together: Tensor) -> list[Diagnostic]:
    """Return a warning where the answer for an image depends on the others in its batch, else nothing."""
    try:
        alone = torch.cat([model(image[None].clone()) for image in probe])
    except Exception:  # a network that cannot take a single image
        return []
    if alone.shape != together.shape or same(together, alone):
        return []
    return [Diagnostic(BATCH_DEPENDENT, {"network": type(model).__name__})]


@torch.no_grad()
def checked_logits(model: nn.Module, example: Tensor) -> Tensor:
    """Return the logits of the example, once they are known to be logits."""
    name, shape = type(model).__name__, tuple(example.shape[1:])
    if isinstance(model, torch.jit.ScriptModule):
        raise ModelError(f"{name} is a TorchScript module, which cannot be cut: give the Python module it was made of")
    try:
        output = model(example.clone())
    except Exception as error:  # a user's forward can raise anything at all
        raise ModelError(f"{name} cannot take images of shape (C, H, W) = {shape}: {error_line(error)}") from error
    if not isinstance(output, Tensor) or output.ndim != 2 or len(output) != len(example):
        given = tuple(output.shape) if isinstance(output, Tensor) else f"a {type(output).__name__}"
        raise ModelError(f"{name} gives {given} for {len(example)} images, but a classifier gives logits (N, classes)")
    return output
