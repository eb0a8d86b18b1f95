"""Removing units from a network, and checking that the right channels were removed.

Removing a channel that no layer reads changes nothing. So the smaller network must give the same logits as the whole
one in which the weights that read these channels are zero. Where it does not, the dependency graph is wrong about the
network, even if the shapes fit.
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
from edgecheck.records import Diagnostic

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


def reshaped(model: nn.Module, cuts: Cuts, example: Tensor) -> nn.Module:
    """Return a copy of `model` without these channels; an unchanged copy where there are none."""
    return remove(model, cuts, example) if cuts else copy.deepcopy(model)


def muted(model: nn.Module, cuts: Cuts) -> nn.Module:
    """Return a copy of `model` of the same shapes in which the weights that read these channels are zero."""
    copied = copy.deepcopy(model)
    with torch.no_grad():
        for name, mask in masks(model, cuts).items():
            copied.get_parameter(name).masked_fill_(~mask, 0.0)
    return copied


def masks(model: nn.Module, cuts: Cuts) -> dict[str, Tensor]:
    """Return the masks of the weights that read these channels, False where they do, by parameter name."""
    kept = {}
    for (name, side), gone in cuts.items():
        if side == "in":
            mask = torch.ones_like(model.get_parameter(f"{name}.weight"), dtype=torch.bool)
            mask[:, list(gone)] = False
            kept[f"{name}.weight"] = mask
    return kept


def channels(removals: Iterable[Removal]) -> dict[tuple[str, str], list[int]]:
    """Return the channels of these units, sorted, by module name and side."""
    removed_channels: dict[tuple[str, str], set[int]] = {}
    for group, removed in removals:
        for cut in group.cuts:
            gone = cut.channels[removed[cut.units]].tolist()
            removed_channels.setdefault((cut.module, cut.side), set()).update(gone)
    return {key: sorted(gone) for key, gone in removed_channels.items() if gone}


def flaw(model: nn.Module, removals: list[Removal], example: Tensor) -> Diagnostic | None:
    """Return why these units cannot be removed from `model`, or None where they can."""
    cuts = channels(removals)
    noise = torch.randn(example.shape, generator=torch.Generator().manual_seed(_NOISE_SEED))
    with torch.no_grad():
        expected = muted(model, cuts).eval()(noise)
        try:
            logits = remove(model, cuts, example)(noise)
        except Exception as error:  # whatever a forward pass that relies on its shapes may raise
            return Diagnostic("filters-break-forward", {"error": place_of(error)})
    if logits.shape != expected.shape:
        return Diagnostic("filters-change-output-shape", {"shape": list(logits.shape)})
    difference = float((logits - expected).abs().max())
    if not difference <= TOLERANCE * max(1.0, float(expected.abs().max())):
        return Diagnostic("filters-change-logits", {"difference": difference})
    return None
