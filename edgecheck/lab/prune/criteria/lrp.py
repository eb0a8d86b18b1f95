"""Criterion `lrp`: filters through which little of the right class's logit flows matter least.

Yeom et al. 2021, "Pruning by explaining: a novel criterion for deep neural network pruning": the logit of each image's
class is handed back through the network by layer-wise relevance propagation, and a filter scores the relevance of its
map, summed over positions and images. Convolutions and linear layers use the alpha 1, beta 0 rule, which hands
relevance on by positive contributions only; BatchNorm is folded into the layer before it, where nothing else reads that
one. Everything else (sums, concatenations, pooling, activations, a BatchNorm that could not be folded) hands on in
proportion to value times gradient: what is added as a constant keeps its share. Layers are compared as they are.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from edgecheck.errors import ModelError
from edgecheck.lab.prune import feature_maps
from edgecheck.lab.prune.dependency_groups import DependencyGroup
from edgecheck.lab.prune.interface import RankingInput, unit_scores

STABILIZER = 1e-6  # keeps the division finite where no input contributes


class PositiveRule(nn.Module):
    """A layer of the same output, whose gradient times value is relevance by the alpha 1, beta 0 rule.

    Montavon et al. 2019 ("Layer-wise relevance propagation: an overview", section 10.3): z * (output / z).detach()
    equals the output, and its derivative distributes as z does; z holds the positive contributions. Where there are
    none, the output is the bias's alone, and no input gets relevance.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer: Any = layer

    def forward(self, inputs: Tensor) -> Tensor:
        """Return what the layer returns."""
        with torch.no_grad():
            output = self.layer(inputs)
        positive = self._positive(inputs)
        shared = positive * (output / (positive + STABILIZER)).detach()
        return shared + (output - shared).detach()

    def _positive(self, inputs: Tensor) -> Tensor:
        weight = self.layer.weight.detach()
        same = self._linear(inputs.clamp_min(0), weight.clamp_min(0))
        return same + self._linear(inputs.clamp_max(0), weight.clamp_max(0))

    def _linear(self, inputs: Tensor, weight: Tensor) -> Tensor:
        if isinstance(self.layer, nn.Linear):
            return F.linear(inputs, weight)
        assert isinstance(self.layer, nn.Conv2d)
        return self.layer._conv_forward(inputs, weight, None)


def filters(inputs: RankingInput, groups: list[DependencyGroup]) -> dict[str, Tensor]:
    """Return each unit's mean of its filters' relevance, in logits an image."""
    return unit_scores(groups, relevance(inputs.model, inputs.images, inputs.labels))


def relevance(model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Return the mean over images of the relevance `(C,)` of each layer's maps, float64.

    Args:
        model: in eval mode; it is changed.
        images: float32 `(N, C, H, W)`.
        labels: int64 `(N,)`, whose logits are handed back.
    """
    model = _with_rules(model, images[:1])
    layers = {name: name for name, module in model.named_modules() if isinstance(module, PositiveRule)}
    totals: dict[str, Tensor] = {}
    for batch in feature_maps.flows(model, layers, images, labels, _logits_of_class):
        for layer, flow in batch.items():
            totals[layer] = totals.get(layer, 0) + flow.sum(0) / len(images)
    return totals


def _logits_of_class(logits: Tensor, labels: Tensor) -> Tensor:
    return logits.gather(1, labels[:, None]).sum()


def _with_rules(model: nn.Module, example: Tensor) -> nn.Module:
    """Fold BatchNorm into the layers it follows and put the rule in the place of each layer."""
    for name, last in feature_maps.last_of(model, example).items():
        layer, norm = model.get_submodule(name), model.get_submodule(last)
        if type(layer) not in (nn.Conv2d, nn.Linear):
            raise ModelError(f"criterion lrp knows no rule for {name} ({type(layer).__name__}); use another")
        if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            layer = fuse_conv_bn_eval(layer, norm)
            model.set_submodule(last, nn.Identity())
        model.set_submodule(name, PositiveRule(layer))
    return model
