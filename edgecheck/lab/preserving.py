"""The part of a training loss that keeps heatmaps: how far a network's maps are from those of the baseline.

The distance is 1 - cos(M_baseline, M) of the positive maps at the resolution of the target layer, for the class that
the baseline predicts (Park et al. 2020, arXiv 2010.15054; Parchami-Araghi et al. 2024, arXiv 2402.03119). Maps come
from the forward pass that gives the logits of the loss.

- Where the head is pooling and one linear layer, dy_c/dA_k = W_ck / HW, and the map is ReLU(sum_k W_ck A_k).
- Elsewhere the gradient is differentiated itself, which takes a second backward pass through the head.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from attrs import frozen
from torch import Tensor, nn

from edgecheck.attribution.evidence import Evidence
from edgecheck.attribution.methods import function_of
from edgecheck.errors import ModelError
from edgecheck.foreign import blamed
from edgecheck.lab.cam.head import read_head
from edgecheck.lab.cam.preserved import as_found
from edgecheck.lab.cam.probing import checked_logits, probe_of
from edgecheck.lab.cam.split import Target, split

ROUNDING = 1e-4  # relative; pooling in float32 gives about 1e-6

# On a pooling + linear head these are one map, up to a factor.
CLOSED = frozenset(["grad-cam", "hires-cam", "xgrad-cam"])


@frozen
class MapPlace:
    """Where the maps of a network come from.

    Attributes:
        layer: the module whose output is explained.
        method: the attribution method.
        classifier: the linear layer of the closed form; None where the gradient is needed.
    """

    layer: str
    method: str
    classifier: str | None = None


def find_place(model: nn.Module, example: Tensor, method: str, target_layer: str | None = None) -> MapPlace:
    """Find where the maps of a network come from, and try the method there.

    Args:
        model: the network; its state is restored.
        example: one image `(1, C, H, W)`, on the device of the model.
        method: a method that needs feature maps and gradients alone.
        target_layer: a name as in `edgecheck.lab.cam.trace`; None for the default layer.

    Raises:
        ModelError: the network has no such layer, the layer is no module, or its maps cannot be trained.
    """
    name = type(model).__name__
    with torch.inference_mode(False), as_found(model):
        probe = probe_of(example)
        logits = checked_logits(model, probe)
        target = split(model, probe, target_layer, logits)
        _check_layer(model, target)
        with blamed(f"the heatmaps of {name} cannot be preserved"):
            place = MapPlace(target.name, method, _classifier(model, target, logits) if method in CLOSED else None)
            _try(model, place, probe)
    return place


def _check_layer(model: nn.Module, target: Target) -> None:
    name, shape = type(model).__name__, tuple(target.passed[0].shape)
    if target.name not in dict(model.named_modules()):
        raise ModelError(
            f"preserve: target layer {target.name} of {name} is the output of a function; set explain.target_layer to "
            "a module"
        )
    if shape[2] * shape[3] == 1:
        raise ModelError(
            f"preserve: target layer {target.name} of {name} gives maps of one pixel; name another explain.target_layer"
        )


def _classifier(model: nn.Module, target: Target, logits: Tensor) -> str | None:
    """Return the linear layer behind the pooling, if the gradient is its weights over the number of pixels."""
    head = read_head(model, target.split)
    layer = head.mixing.layer if head.mixing and head.affine_in_map else None
    feature = target.passed[0].detach().clone().requires_grad_()
    if not isinstance(layer, nn.Linear) or layer.weight.shape != (logits.shape[1], feature.shape[1]):
        return None
    classes = logits.argmax(dim=1)
    with torch.enable_grad():
        explained = target.split.tail(feature, *target.passed[1]).gather(1, classes[:, None])
        (gradient,) = torch.autograd.grad(explained.sum(), feature)
    expected = layer.weight.detach()[classes][:, :, None, None]
    known = torch.allclose(
        gradient * feature[0, 0].numel(), expected, rtol=0, atol=ROUNDING * float(expected.abs().max())
    )
    return next(name for name, module in model.named_modules() if module is layer) if known else None


def _try(model: nn.Module, place: MapPlace, probe: Tensor) -> None:
    """Compute a distance and its gradient, as a training step does."""
    maps = Maps(model, place)
    with torch.enable_grad():
        with maps.watched():
            logits = model(probe.clone())
        own = maps.of(logits, logits.argmax(dim=1))
        if own.ndim != 3 or not own.requires_grad:
            raise ModelError(f"the {place.method} map of {type(model).__name__} has no gradient to train with")
        distances(torch.ones_like(own), own).sum().backward()
    model.zero_grad()


class Maps:
    """The positive maps of one network, with their gradient, from a forward pass that was watched."""

    def __init__(self, model: nn.Module, place: MapPlace) -> None:
        self._layer = model.get_submodule(place.layer)
        self._linear = None if place.classifier is None else model.get_submodule(place.classifier)
        self._function = function_of(place.method)
        self._feature: Tensor | None = None

    @property
    def differentiates(self) -> bool:
        """Whether maps take the gradient of the logits; False for the closed form."""
        return self._linear is None

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Keep the feature maps of the forward pass within this block; of several calls of the layer, the last."""
        handle = self._layer.register_forward_hook(self._keep)
        try:
            yield
        finally:
            handle.remove()

    def of(self, logits: Tensor, classes: Tensor) -> Tensor:
        """Return the maps `(N, h, w)` of the pass that gave `logits`, for the class `(N,)` of each image."""
        feature, self._feature = self._feature, None
        assert feature is not None, "maps are made from a pass that was watched"
        if isinstance(self._linear, nn.Linear):
            # The number of pixels is left out: the distance does not depend on the length of a map.
            return F.relu(torch.einsum("nk,nkhw->nhw", _wide(self._linear.weight[classes]), _wide(feature)))
        explained = logits.gather(1, classes[:, None])[:, 0]
        (gradient,) = torch.autograd.grad(explained.sum(), feature, create_graph=True)
        size = (feature.shape[2], feature.shape[3])
        return _wide(self._function(Evidence(feature, explained, size, gradients=lambda: gradient)))

    def _keep(self, _layer: nn.Module, _inputs: Any, output: Any) -> Tensor:
        self._feature = output
        # What follows works on a copy: a network may overwrite the layer's output.
        copied: Tensor = output.clone()
        return copied


def _wide(values: Tensor) -> Tensor:
    """Return values of bfloat16 as float32, in which sums are made."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def distances(baseline: Tensor, own: Tensor) -> Tensor:
    """Return 1 - cos of each pair of maps, `(N,)`, 0..1 for positive maps.

    Where the baseline's map is zero there is nothing to keep: the distance is 0. Where only the other one is zero, it
    is 1.

    Args:
        baseline: maps `(N, h, w)`.
        own: maps of the same shape.
    """
    similar = F.cosine_similarity(baseline.flatten(1), own.flatten(1), dim=1)
    return torch.where(baseline.flatten(1).any(dim=1), 1 - similar, torch.zeros_like(similar))
