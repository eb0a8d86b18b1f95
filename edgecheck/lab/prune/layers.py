"""The layers of a network that can be pruned, and their weights."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from edgecheck.errors import ModelError


def is_layer(module: nn.Module) -> bool:
    """Return whether a module's output channels are filters."""
    return isinstance(module, (nn.Conv2d, nn.Linear))


def layers_of(model: nn.Module) -> dict[str, Any]:
    """Return the layers with filters by name."""
    return {name: module for name, module in model.named_modules() if is_layer(module)}


def filters_of(model: nn.Module) -> dict[str, Tensor]:
    """Return the weights `(C, n)` of each layer's filters by the layer's name."""
    return {name: layer.weight.detach().flatten(1) for name, layer in layers_of(model).items()}


def prunable_weights(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the weights of convolutions and linear layers by parameter name; a shared weight appears once.

    Raises:
        ModelError: there are none.
    """
    prunable = {id(layer.weight) for layer in layers_of(model).values()}
    weights = {name: weight for name, weight in model.named_parameters() if id(weight) in prunable}
    if not weights:
        raise ModelError(f"{type(model).__name__} has no Conv2d and no Linear layer, so there is nothing to prune")
    return weights
