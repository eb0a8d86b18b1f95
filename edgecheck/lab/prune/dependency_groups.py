"""Which filters must fall together: torch-pruning's dependency graph, read into plain records.

Where two layers are summed, channel i of one falls with channel i of the other, and every reader of the sum loses it
too. A *unit* is such a set of channels; a *family* is all units that one layer's filters give rise to.
"""

from __future__ import annotations

import math
import warnings
from typing import Any, Literal

import torch
import torch_pruning
from attrs import frozen
from torch import Tensor, nn
from torch_pruning import ops
from torch_pruning.pruner.function import PrunerBox

from edgecheck.lab.prune import option_a
from edgecheck.lab.prune.dependencies import dependencies

# Channels here stand alone, so that removing one is the same as silencing it; norms over channels are not such.
SEPARABLE = (nn.Conv2d, nn.Linear, nn.BatchNorm1d, nn.BatchNorm2d, nn.PReLU)
_CHANNEL_PADDING = slice(4, 6)  # F.pad lists the last dimension first: width, height, channels


@frozen(eq=False)
class Cut:
    """Channels of one module, side "out" or "in"; entry j belongs to unit `units[j]` of the family. Both `(n,)`."""

    module: str
    side: Literal["out", "in"]
    channels: Tensor
    units: Tensor


@frozen(eq=False)
class Family:
    """`size` units that the filters of layer `root` give rise to, and all that goes when a unit goes.

    `cuts` are in what order the graph was walked; `producers` are those of them that remove filters, and in each of
    these every unit appears once. No layer is the root of two families.
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


def is_layer(module: nn.Module) -> bool:
    """Whether the module's output channels are filters."""
    return isinstance(module, (nn.Conv2d, nn.Linear))


def layers_of(model: nn.Module) -> dict[str, Any]:
    """Return the layers with filters by name."""
    return {name: module for name, module in model.named_modules() if is_layer(module)}


def filters_of(model: nn.Module) -> dict[str, Tensor]:
    """Return the weights `(C, n)` of each layer's filters by the layer's name."""
    return {name: layer.weight.detach().flatten(1) for name, layer in layers_of(model).items()}


def find_families(model: nn.Module, example: Tensor) -> tuple[list[Family], list[str]]:
    """Return the families that can be pruned, and a note on each that is left alone.

    A family is left alone that reaches the model's output (the classifier), a grouped convolution, a norm over
    channels, a bare parameter or a padding of channels that nobody gave a rule. `model` is changed (gradients
    switched on, hooks): give a copy.

    Raises:
        ModelError: the model cannot run on the example, or torch-pruning cannot trace it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what torch-pruning cannot follow is in the notes
        return _families(model, example)


def _families(model: nn.Module, example: Tensor) -> tuple[list[Family], list[str]]:
    traced = dependencies(model, example)
    names = {module: name for name, module in model.named_modules()}
    families: list[Family] = []
    alone: dict[str, dict[str, None]] = {}  # the layers left alone, in order, by the reason
    covered: set[tuple[str, int]] = set()
    for root in _roots(model, traced.graph):
        name = names[root]
        free = [channel for channel in range(_width(root)) if (name, channel) not in covered]
        if not free:
            continue
        group, obstacle = traced.group(root, free)
        if group is None or obstacle:
            alone.setdefault(obstacle, {})[name] = None
            continue
        family = _family(group, names, name, free)
        covered.update((cut.module, int(channel)) for cut in family.producers for channel in cut.channels)
        why = _obstacle(group, model, family)
        if why is None:
            families.append(family)
        elif why:
            alone.setdefault(why, {}).update(dict.fromkeys(family.layers))
    return families, [f"filters of {', '.join(layers)} left alone: {why}" for why, layers in alone.items()]


def _roots(model: nn.Module, graph: torch_pruning.DependencyGraph) -> list[nn.Module]:
    """Return the traced layers with filters, narrow ones first, so that what a pad or a concat adds comes after."""
    layers = [module for module in model.modules() if is_layer(module) and module in graph.module2node]
    own = [layer for layer in layers if ops.module2type(layer) != ops.OPTYPE.DEPTHWISE_CONV]
    return sorted(own, key=_width)


def _width(layer: Any) -> int:
    return len(layer.weight)


def _family(group: torch_pruning.Group, names: dict[nn.Module, str], root: str, free: list[int]) -> Family:
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
    return Family(root, len(free), list(cuts.values()), producers)


def _obstacle(group: torch_pruning.Group, model: nn.Module, family: Family) -> str | None:
    """Return why the family must stay; an empty reason for the classifier, which nobody expects to be pruned."""
    for item in group.items:
        node = item.dep.target
        if isinstance(node.module, ops._OutputOp):
            return ""
        if isinstance(node.module, nn.Parameter):
            return f"parameter {tuple(node.module.shape)} belongs to no layer that can be pruned"
        if _pads_channels(node) and not option_a.has_rule(node.module):
            return "a padding of channels follows, whose offset torch-pruning does not see"
    for cut in family.cuts:
        module = model.get_submodule(cut.module)
        if not isinstance(module, SEPARABLE) and not option_a.has_rule(module):
            return f"{cut.module} ({type(module).__name__}) mixes channels or is not supported"
        if int(cut.channels.max()) >= _channels(module, cut.side):
            return f"torch-pruning removes a channel of {cut.module} that it does not have"
        if isinstance(module, nn.Conv2d) and module.groups not in (1, module.out_channels):
            return f"{cut.module} is a convolution in {module.groups} groups"
    for cut in family.producers:
        if sorted(cut.units.tolist()) != list(range(family.size)):
            return f"its filters do not pair one by one with those of {cut.module}"
    return None


def _channels(module: nn.Module, side: Literal["out", "in"]) -> float:
    if option_a.has_rule(module):
        return math.inf  # it holds nothing but the width of its padding
    rule = PrunerBox[ops.module2type(module)]
    width = rule.get_in_channels(module) if side == "in" else rule.get_out_channels(module)
    return math.inf if width is None else width  # one slope of a PReLU serves any number of channels


def _pads_channels(node: Any) -> bool:
    return any(getattr(node.grad_fn, "_saved_pad", ())[_CHANNEL_PADDING])
