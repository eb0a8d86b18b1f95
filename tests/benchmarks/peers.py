"""Counts of pruned networks that owe nothing to ours, and channels made dead by hand."""

from __future__ import annotations

import copy
from typing import Any
from unittest import mock

import attrs
import torch
import torch_pruning
from torch import Tensor, nn

from edgecheck.lab.prune import prune, uncompressed
from edgecheck.lab.prune.dependency_groups import DependencyGroup, find_groups
from edgecheck.models import resnet_cifar
from edgecheck.steps import PruneStep


@torch.no_grad()
def hand_count(model: nn.Module, example: Tensor) -> int:
    """Return H W C_out C_in / groups k k of all convolutions and n_in n_out of all linear layers, by what flows."""
    counts: list[int] = []

    def conv(module: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        tall, wide = module.kernel_size
        counts.append(output.numel() * inputs[0].shape[1] // module.groups * tall * wide)

    def linear(_module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        counts.append(output.numel() * inputs[0].shape[-1])

    watched = [(m, conv if isinstance(m, nn.Conv2d) else linear) for m in model.modules() if is_layer(m)]
    hooks = [module.register_forward_hook(hook) for module, hook in watched]
    model(example)
    for hook in hooks:
        hook.remove()
    return sum(counts)


def is_layer(module: nn.Module) -> bool:
    return isinstance(module, (nn.Conv2d, nn.Linear))


def params(module: nn.Module, example: Tensor) -> list[int]:
    """Return the trainable parameters: ours and torch-pruning's."""
    ours = sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
    return [ours, torch_pruning.utils.count_ops_and_params(module, example)[1]]


def peer_params(name: str, model: nn.Module, side: int, rate: float) -> tuple[int, str]:
    """Return the parameters that someone else leaves at this rate, and who.

    torch-pruning takes option A's padding for element-wise, and ResNet-20 does not run after its pruner. There the
    reference is the same network built half as wide.
    """
    if name == "resnet20":
        with mock.patch.object(resnet_cifar, "WIDTHS", [width // 2 for width in resnet_cifar.WIDTHS]):
            return count(resnet_cifar.resnet20()), "a network built half as wide (torch-pruning's option A is wrong)"
    pruned, example = copy.deepcopy(model), torch.zeros(1, 3, side, side)
    classifier = [module for module in pruned.modules() if is_layer(module)][-1]
    how: dict[str, Any] = {"global_pruning": False, "pruning_ratio": rate, "ignored_layers": [classifier]}
    torch_pruning.pruner.MetaPruner(pruned, example, torch_pruning.importance.MagnitudeImportance(p=1), **how).step()
    pruned(example)
    return count(pruned), "torch-pruning's pruner"


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def dead_channels(model: nn.Module, example: Tensor, images: Tensor, rate: float, seed: int) -> dict[str, float]:
    """Make this share of each layer's filters dead, remove them, and return how far logits move, and the largest."""
    model, spec = copy.deepcopy(model), PruneStep("l1", "filters", "layer", rate)
    gone = prune(uncompressed(model), attrs.evolve(spec, criterion="random"), example, seed).units
    for group in find_groups(copy.deepcopy(model), example)[0]:
        if group.root in gone:
            kill(model, group, gone[group.root])
    pruned = prune(uncompressed(model), spec, example, seed)
    assert all(torch.equal(removed, gone[root]) for root, removed in pruned.units.items())  # the dead ones went
    with torch.no_grad():
        expected, found = model(images), pruned.model(images)
    return {"moved": float((found - expected).abs().max()), "scale": max(1.0, float(expected.abs().max()))}


def kill(model: nn.Module, group: DependencyGroup, removed: Tensor) -> None:
    """Make a group's removed units zero wherever they are computed or normalized."""
    for part in group.cuts:
        module = model.get_submodule(part.module)
        values = [getattr(module, name, None) for name in ("weight", "bias", "running_mean")]
        for value in values if part.side == "out" else []:
            if value is not None:
                value.data[part.channels[removed[part.units]]] = 0.0
