"""Dependency groups: which channels have to be removed together, as plain records read from torch-pruning's graph.

Where the outputs of two layers are summed, channel i of one cannot be removed without channel i of the other, and every
layer that reads the sum loses it too. A *unit* is such a set of channels. A *dependency group* holds all units that the
filters of one layer belong to.
"""

from __future__ import annotations

import math
import warnings
from typing import Any, Literal

import attrs
import torch
import torch_pruning
from attrs import frozen
from torch import Tensor, nn
from torch_pruning import ops
from torch_pruning.pruner.function import PrunerBox

from edgecheck.lab.prune import option_a
from edgecheck.lab.prune.dependencies import dependencies
from edgecheck.lab.prune.layers import is_layer
from edgecheck.records import Diagnostic

# Modules that treat channels separately, so that removing a channel equals zeroing it. Norms over channels do not.
SEPARABLE = (nn.Conv2d, nn.Linear, nn.BatchNorm1d, nn.BatchNorm2d, nn.PReLU)
_CHANNEL_PADDING = slice(4, 6)  # F.pad lists the last dimension first: width, height, channels


@frozen(eq=False)
class Cut:
    """Channels of one module and side. Entry j of `channels` belongs to unit `units[j]`; both are int64 `(n,)`."""

    module: str
    side: Literal["out", "in"]
    channels: Tensor
    units: Tensor


@frozen(eq=False)
class DependencyGroup:
    """`size` units that the filters of layer `root` belong to, and all channels of these units.

    `cuts` are in the order in which the graph was walked. `producers` are the cuts that remove filters; every unit
    appears once in each. No layer is the root of two groups.
    """

    root: str
    size: int
    cuts: list[Cut]
    producers: list[Cut]

    @property
    def layers(self) -> list[str]:
        """The layers that lose one filter with each unit; the root is among them."""
        return [cut.module for cut in self.producers]

    @property
    def filters(self) -> int:
        """How many filters the units are made of."""
        return self.size * len(self.producers)


def find_groups(model: nn.Module, example: Tensor) -> tuple[list[DependencyGroup], list[Diagnostic]]:
    """Return the groups that can be pruned, and why others cannot.

    A group cannot be pruned if it reaches the model's output (the classifier), a grouped convolution, a norm over
    channels, a bare parameter, or a padding of channels without a rule. The model is changed (gradients switched on,
    hooks): pass a copy.

    Raises:
        ModelError: the model cannot run on the example, or torch-pruning cannot trace it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what torch-pruning cannot follow is in the notes
        return _groups(model, example)


def left_alone(reason: Diagnostic, layers: list[str]) -> Diagnostic:
    """Return the reason why the filters of these layers are not pruned."""
    return attrs.evolve(reason, fields={**reason.fields, "layers": layers})


def _groups(model: nn.Module, example: Tensor) -> tuple[list[DependencyGroup], list[Diagnostic]]:
    traced = dependencies(model, example)
    names = {module: name for name, module in model.named_modules()}
    groups: list[DependencyGroup] = []
    obstacles: list[tuple[Diagnostic, list[str]]] = []
    covered: set[tuple[str, int]] = set()
    for root in _roots(model, traced.graph):
        name = names[root]
        free = [channel for channel in range(_width(root)) if (name, channel) not in covered]
        if not free:
            continue
        pruning_group, unknown = traced.group(root, free)
        if pruning_group is None or unknown:
            obstacles += [(unknown, [name])] if unknown else []
            continue
        group = _group(pruning_group, names, name, free)
        covered.update((cut.module, int(channel)) for cut in group.producers for channel in cut.channels)
        if _reaches_output(pruning_group):
            continue  # the classifier, which nobody expects to be pruned
        obstacle = _obstacle(pruning_group, model, group)
        if obstacle:
            obstacles.append((obstacle, group.layers))
        else:
            groups.append(group)
    return groups, _joined(obstacles)


def _joined(obstacles: list[tuple[Diagnostic, list[str]]]) -> list[Diagnostic]:
    """Return each obstacle once, with all layers that it concerns."""
    reasons: list[Diagnostic] = []
    for reason, _ in obstacles:
        reasons += [] if reason in reasons else [reason]
    layers = [[name for other, names in obstacles if other == reason for name in names] for reason in reasons]
    return [left_alone(reason, list(dict.fromkeys(names))) for reason, names in zip(reasons, layers, strict=True)]


def _roots(model: nn.Module, graph: torch_pruning.DependencyGraph) -> list[nn.Module]:
    """Return the traced layers with filters, narrow ones first, so that what a pad or a concat adds comes after."""
    layers = [module for module in model.modules() if is_layer(module) and module in graph.module2node]
    own = [layer for layer in layers if ops.module2type(layer) != ops.OPTYPE.DEPTHWISE_CONV]
    return sorted(own, key=_width)


def _width(layer: Any) -> int:
    return len(layer.weight)


def _group(group: torch_pruning.Group, names: dict[nn.Module, str], root: str, free: list[int]) -> DependencyGroup:
    unit_of = {channel: unit for unit, channel in enumerate(free)}
    cuts: dict[tuple[str, str], Cut] = {}
    for item in group.items:
        module = item.dep.target.module
        if module not in names:
            continue
        side: Literal["out", "in"] = "in" if item.dep.handler.__name__ == "prune_in_channels" else "out"
        channels = torch.tensor(list(item.idxs), dtype=torch.long)
        units = torch.tensor([unit_of[index] for index in item.root_idxs], dtype=torch.long)
        cuts[names[module], side] = Cut(names[module], side, channels, units)
    modules = {name: module for module, name in names.items()}
    producers = [cut for cut in cuts.values() if cut.side == "out" and is_layer(modules[cut.module])]
    return DependencyGroup(root, len(free), list(cuts.values()), producers)


def _reaches_output(group: torch_pruning.Group) -> bool:
    return any(isinstance(item.dep.target.module, ops._OutputOp) for item in group.items)


def _obstacle(pruning_group: torch_pruning.Group, model: nn.Module, group: DependencyGroup) -> Diagnostic | None:
    """Return why the group cannot be pruned, or None where it can."""
    for item in pruning_group.items:
        node = item.dep.target
        if isinstance(node.module, nn.Parameter):
            return Diagnostic("filters-share-parameter", {"shape": list(node.module.shape)})
        if _pads_channels(node) and not option_a.has_rule(node.module):
            return Diagnostic("filters-behind-padding")
    for cut in group.cuts:
        obstacle = _obstacle_at(cut, model.get_submodule(cut.module))
        if obstacle:
            return obstacle
    for cut in group.producers:
        if sorted(cut.units.tolist()) != list(range(group.size)):
            return Diagnostic("filters-not-paired", {"module": cut.module})
    return None


def _obstacle_at(cut: Cut, module: nn.Module) -> Diagnostic | None:
    """Return why one cut of a group cannot be made, or None where it can."""
    if not isinstance(module, SEPARABLE) and not option_a.has_rule(module):
        return Diagnostic("filters-behind-module", {"module": cut.module, "type": type(module).__name__})
    if int(cut.channels.max()) >= _channels(module, cut.side):
        return Diagnostic("filters-behind-missing-channel", {"module": cut.module})
    if isinstance(module, nn.Conv2d) and module.groups not in (1, module.out_channels):
        return Diagnostic("filters-behind-grouped-convolution", {"module": cut.module, "groups": module.groups})
    return None


def _channels(module: nn.Module, side: Literal["out", "in"]) -> float:
    if option_a.has_rule(module):
        return math.inf  # it holds nothing but the width of its padding
    rule = PrunerBox[ops.module2type(module)]
    width = rule.get_in_channels(module) if side == "in" else rule.get_out_channels(module)
    return math.inf if width is None else width  # one slope of a PReLU serves any number of channels


def _pads_channels(node: Any) -> bool:
    return any(getattr(node.grad_fn, "_saved_pad", ())[_CHANNEL_PADDING])
