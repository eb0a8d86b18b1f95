"""Cutting units out of a network, and the proof that the right ones were cut.

A channel that nobody reads can be removed without any change. So the cut network must give the same logits as the
whole one whose readers had their weights for these channels set to zero. Where it does not, the dependency graph was
wrong about the network, whatever the shapes say.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch_pruning import ops
from torch_pruning.pruner.function import PrunerBox

from edgecheck.lab.prune import option_a
from edgecheck.lab.prune.selection import Removal
from edgecheck.lab.user_traceback import place_of

TOLERANCE = 1e-4  # of the largest logit, or of 1: float32 sums in another order differ by far less
_NOISE_SEED = 0

Cuts = Mapping[tuple[str, str], Sequence[int]]  # channels to remove by module name and side, "out" or "in"


def remove(model: nn.Module, cuts: Cuts, example: Tensor) -> nn.Module:
    """Return a copy of `model`, in eval mode, without these channels."""
    pruned = copy.deepcopy(model).eval()
    widths = option_a.channels_in(pruned, example)
    for (name, side), gone in cuts.items():
        module = pruned.get_submodule(name)
        if option_a.has_rule(module):
            option_a.remove(module, gone, widths[name])
        else:
            rule = PrunerBox[ops.module2type(module)]
            (rule.prune_in_channels if side == "in" else rule.prune_out_channels)(module, list(gone))
    return pruned


def silenced(model: nn.Module, cuts: Cuts) -> nn.Module:
    """Return a copy of `model` of the same shapes whose layers do not read these channels."""
    silent = copy.deepcopy(model)
    with torch.no_grad():
        for name, mask in masks(model, cuts).items():
            silent.get_parameter(name).masked_fill_(~mask, 0.0)
    return silent


def masks(model: nn.Module, cuts: Cuts) -> dict[str, Tensor]:
    """Return what the readers of these channels keep of their weights, True = kept, by parameter name."""
    kept = {}
    for (name, side), gone in cuts.items():
        if side == "in":
            mask = torch.ones_like(model.get_parameter(f"{name}.weight"), dtype=torch.bool)
            mask[:, list(gone)] = False
            kept[f"{name}.weight"] = mask
    return kept


def channels(removals: Iterable[Removal]) -> dict[tuple[str, str], list[int]]:
    """Return the channels that go with these units, sorted, by module name and side, over all families."""
    found: dict[tuple[str, str], set[int]] = {}
    for family, removed in removals:
        for part in family.cuts:
            gone = part.channels[removed[part.units]].tolist()
            found.setdefault((part.module, part.side), set()).update(gone)
    return {key: sorted(gone) for key, gone in found.items() if gone}


def flaw(model: nn.Module, removals: list[Removal], example: Tensor) -> str | None:
    """Return what is wrong with cutting these units out of `model`, or None where it is right."""
    cuts = channels(removals)
    noise = torch.randn(example.shape, generator=torch.Generator().manual_seed(_NOISE_SEED))
    with torch.no_grad():
        expected = silenced(model, cuts).eval()(noise)
        try:
            found = remove(model, cuts, example)(noise)
        except Exception as error:  # whatever a forward pass that counts on its shapes may raise
            return f"without them the model cannot run: {place_of(error)}"
    if found.shape != expected.shape:
        return f"without them the output has shape {tuple(found.shape)}"
    moved = float((found - expected).abs().max())
    if not moved <= TOLERANCE * max(1.0, float(expected.abs().max())):
        return f"removing them is not the same as not reading them: logits move by {moved:.2g}"
    return None
