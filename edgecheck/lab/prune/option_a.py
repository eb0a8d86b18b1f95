"""A pruning rule for shortcuts that pad channels, such as ResNet's option A.

torch-pruning treats `F.pad` as an element-wise operation and pairs channel i of the input with channel i of the output
instead of `before + i`. So a module that pads channels declares it by its attributes `before` and `after`. Its channels
are mapped like those of a concatenation, and both attributes shrink with the channels that they count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch_pruning
from torch import Tensor, nn
from torch_pruning.dependency.index_mapping import _ConcatIndexMapping
from torch_pruning.pruner.function import BasePruningFunc

MODULE_NAME = "OptionAShortcut"  # by name, since a user's file may hold its own copy of the class


def has_rule(module: object) -> bool:
    """Return whether the class of a module is named OptionAShortcut and has integers `before` and `after`."""
    amounts = (getattr(module, "before", None), getattr(module, "after", None))
    return type(module).__name__ == MODULE_NAME and all(isinstance(amount, int) for amount in amounts)


class PaddingRule(BasePruningFunc):
    """torch-pruning's rule for such modules; all channel numbers are those of the output."""

    def __init__(self, channels_in: dict[nn.Module, int]) -> None:
        super().__init__()
        self.channels_in = channels_in

    def prune_out_channels(self, layer: Any, idxs: Sequence[int]) -> Any:
        """Shrink the padding by the channels that lie in it; the others are removed from the input."""
        return remove(layer, idxs, self.channels_in[layer])

    prune_in_channels = prune_out_channels

    def get_out_channels(self, layer: Any) -> int:
        """Return the channels after padding."""
        return self.channels_in[layer] + layer.before + layer.after

    get_in_channels = get_out_channels


def remove(layer: Any, channels: Sequence[int], channels_in: int) -> Any:
    """Reduce `before` and `after` by the number of output channels `channels` that lie in the padding."""
    behind = layer.before + channels_in
    layer.after -= sum(channel >= behind for channel in channels)
    layer.before -= sum(channel < layer.before for channel in channels)
    return layer


def channels_in(model: nn.Module, example: Tensor) -> dict[str, int]:
    """Return the input channels of each such module by its name."""
    widths: dict[str, int] = {}
    hooks = [
        module.register_forward_pre_hook(lambda _, inputs, name=name: widths.update({name: inputs[0].shape[1]}))
        for name, module in model.named_modules()
        if has_rule(module)
    ]
    if hooks:
        with torch.no_grad():
            model(example)
    for hook in hooks:
        hook.remove()
    return widths


def rules(model: nn.Module, example: Tensor) -> dict[Any, BasePruningFunc]:
    """Return the rule by module class, as `DependencyGraph.build_dependency` takes it."""
    widths = {model.get_submodule(name): width for name, width in channels_in(model, example).items()}
    return {type(module): PaddingRule(widths) for module in widths}


def map_channels(graph: torch_pruning.DependencyGraph) -> None:
    """Map input channel `i` of each such module to output channel `before + i`."""
    for module, node in graph.module2node.items():
        if not has_rule(module):
            continue
        start = module.before
        offset = (start, start + graph.get_pruner_of_module(module).channels_in[module])
        for source in node.inputs:
            _map(source, node, _ConcatIndexMapping(offset, reverse=False))
            _map(node, source, _ConcatIndexMapping(offset, reverse=True))


def _map(source: Any, target: Any, mapping: _ConcatIndexMapping) -> None:
    for dependency in source.dependencies:
        if dependency.target is target:
            dependency.index_mapping[1] = mapping
