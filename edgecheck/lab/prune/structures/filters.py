"""Structure `filters`: whole output channels are removed, with everything that depends on them; shapes get smaller.

The output layer is never pruned. Filters whose outputs are summed are removed together, by the mean of their scores.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import attrs
import torch
from torch import Tensor, nn

from edgecheck.errors import ModelError
from edgecheck.lab.prune import surgery
from edgecheck.lab.prune.dependency_groups import DependencyGroup, find_groups, left_alone
from edgecheck.lab.prune.own_rates import check_groups
from edgecheck.lab.prune.selection import Removal, lowest_overall, lowest_per_layer
from edgecheck.lab.prune.state import Compressed
from edgecheck.pruning.checks import UnprunableError
from edgecheck.records import Diagnostic
from edgecheck.steps import PruneStep


def prune(state: Compressed, step: PruneStep, scores: Mapping[str, Tensor], example: Tensor) -> Compressed:
    """Remove the lowest-scoring filters; the result is in eval mode.

    Under scope `layer`, a layer of C channels keeps `round((1 - rate) C)`, at least one. Under scope `global`, the
    lowest units of the whole network are removed, as long as they fit into `round(rate * filters)` and no layer loses
    its last channel. With `round_to`, layers keep multiples of it. Before the last step of a schedule shapes stay, and
    the weights that read the removed filters are masked, which gives the same outputs.

    Raises:
        ConfigError: a rate of a dependency group that does not exist.
        ModelError: the model cannot be traced, or its filters can only be removed one layer at a time.
        UnprunableError: none of its filters can be removed.
    """
    groups, notes = find_groups(copy.deepcopy(state.model), example)
    check_groups(step, groups)
    unranked = [left_alone(_not_ranked(step), [group.root]) for group in groups if group.root not in scores]
    ranked = [group for group in groups if group.root in scores]
    removals, chosen = _choose(state, step, ranked, scores)
    notes = [*notes, *unranked]
    while removals and surgery.flaw(state.model, removals, example) is not None:
        sound, reasons = _sound(state.model, removals, example)
        removals, chosen = _choose(state, step, sound, scores)
        notes += reasons
    if not removals:
        raise UnprunableError(f"no filters of {type(state.model).__name__} can be removed", notes)
    return attrs.evolve(_cut(state, step, removals, example), notes=notes + chosen)


def _choose(
    state: Compressed, step: PruneStep, groups: list[DependencyGroup], scores: Mapping[str, Tensor]
) -> tuple[list[Removal], list[Diagnostic]]:
    if not groups:
        return [], []
    scores = _pruned_first(state, scores)
    if step.scope == "global":
        return lowest_overall(groups, scores, step.rate, step.round_to, step.share)
    return lowest_per_layer(groups, scores, step.rate_of, step.round_to, step.share)


def _cut(state: Compressed, step: PruneStep, removals: list[Removal], example: Tensor) -> Compressed:
    """Return the network without these units after the last step of a schedule, and with masks before it."""
    total = sum(group.filters for group, _ in removals)
    removed = sum(int(units.sum()) * len(group.layers) for group, units in removals)
    cuts = surgery.channels(removals)
    last = step.share == 1
    return Compressed(
        surgery.remove(state.model, cuts, example) if last else surgery.muted(state.model, cuts),
        masks={} if last else surgery.masks(state.model, cuts),
        cuts=cuts if last else {},
        units={group.root: units for group, units in removals},
        effective_rate=removed / total,
    )


def _pruned_first(state: Compressed, scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the scores with minus infinity for the units that an earlier step removed."""
    return {
        root: score.masked_fill(state.units[root], -torch.inf) if root in state.units else score
        for root, score in scores.items()
    }


def _not_ranked(step: PruneStep) -> Diagnostic:
    return Diagnostic("filters-not-ranked", {"criterion": step.criterion})


def _sound(
    model: nn.Module, removals: list[Removal], example: Tensor
) -> tuple[list[DependencyGroup], list[Diagnostic]]:
    """Return the groups that can be cut out one at a time, and why the others cannot.

    Raises:
        ModelError: each of them can, but not all together.
    """
    flaws = [surgery.flaw(model, [removal], example) for removal in removals]
    if not any(flaws):
        raise ModelError(
            f"removing filters of {type(model).__name__} together changes its output: use the structure unstructured"
        )
    checked = [(group, flaw) for (group, _), flaw in zip(removals, flaws, strict=True)]
    sound = [group for group, flaw in checked if flaw is None]
    return sound, [left_alone(flaw, [group.root]) for group, flaw in checked if flaw is not None]
