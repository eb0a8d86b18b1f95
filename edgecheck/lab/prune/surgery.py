"""Cutting units out of a network, and the proof that the right ones were cut.

A channel that nobody reads can be removed without any change. So the cut network must give the same logits as the
whole one whose readers had their weights for these channels set to zero. Where it does not, the dependency graph was
wrong about the network, whatever the shapes say.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch_pruning import ops
from torch_pruning.pruner.function import PrunerBox

from edgecheck.lab.blame import place_of
from edgecheck.lab.prune import padding
from edgecheck.lab.prune.linked import Family

TOLERANCE = 1e-4  # of the largest logit, or of 1: float32 sums in another order differ by far less
_NOISE_SEED = 0

Removal = tuple[Family, Tensor]  # a family and a bool mask over its units, True = removed


def cut(model: nn.Module, removals: Iterable[Removal], example: Tensor) -> nn.Module:
    """Return a copy of `model`, in eval mode, without the removed units."""
    pruned = copy.deepcopy(model).eval()
    widths = padding.channels_in(pruned, example)
    for (name, side), channels in _channels(removals).items():
        module = pruned.get_submodule(name)
        if padding.has_rule(module):
            padding.remove(module, channels, widths[name])
        else:
            rule = PrunerBox[ops.module2type(module)]
            (rule.prune_in_channels if side == "in" else rule.prune_out_channels)(module, channels)
    return pruned


def silenced(model: nn.Module, removals: Iterable[Removal]) -> nn.Module:
    """Return a copy of `model` of the same shapes whose layers do not read the removed units."""
    silent = copy.deepcopy(model)
    with torch.no_grad():
        for (name, side), channels in _channels(removals).items():
            if side == "in":
                silent.get_parameter(f"{name}.weight")[:, channels] = 0.0
    return silent


def flaw(model: nn.Module, removals: list[Removal], example: Tensor) -> str | None:
    """Return what is wrong with cutting these units out of `model`, or None where it is right."""
    noise = torch.randn(example.shape, generator=torch.Generator().manual_seed(_NOISE_SEED))
    with torch.no_grad():
        expected = silenced(model, removals).eval()(noise)
        try:
            found = cut(model, removals, example)(noise)
        except Exception as error:  # whatever a forward pass that counts on its shapes may raise
            return f"without them the model cannot run: {place_of(error)}"
    if found.shape != expected.shape:
        return f"without them the output has shape {tuple(found.shape)}"
    moved = float((found - expected).abs().max())
    if not moved <= TOLERANCE * max(1.0, float(expected.abs().max())):
        return f"removing them is not the same as not reading them: logits move by {moved:.2g}"
    return None


def _channels(removals: Iterable[Removal]) -> dict[tuple[str, str], list[int]]:
    """Return the channels to remove, sorted, by module name and side, over all families."""
    channels: dict[tuple[str, str], set[int]] = {}
    for family, removed in removals:
        for part in family.cuts:
            gone = part.channels[removed[part.units]].tolist()
            channels.setdefault((part.module, part.side), set()).update(gone)
    return {key: sorted(gone) for key, gone in channels.items() if gone}
