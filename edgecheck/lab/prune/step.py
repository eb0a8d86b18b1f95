"""One pruning step: what a criterion scores lowest is removed in the way that a structure says."""

from __future__ import annotations

import attrs
import torch
from torch import Tensor

from edgecheck.errors import ConfigError, ModelError
from edgecheck.lab.prune.interface import Ranking, Samples
from edgecheck.lab.prune.ranking import rank
from edgecheck.lab.prune.state import Compressed, uncompressed
from edgecheck.pruning.checks import check_step
from edgecheck.pruning.structures import Structure, find_structure
from edgecheck.registry import resolve
from edgecheck.steps import PruneStep


def prune(
    state: Compressed,
    step: PruneStep,
    example: Tensor,
    seed: int,
    samples: Samples | None = None,
    device: torch.device | None = None,
    ranking: Ranking | None = None,
) -> Compressed:
    """Return what a pruning step leaves of a network.

    A pure function of its arguments: neither `state` nor torch's global random state changes.

    Args:
        state: what earlier steps left, see `uncompressed` for the first one. The model is traced in eval mode.
        step: criterion, structure, scope, rates and the share of them that is reached now. Where all rates are 0, the
            model is copied.
        example: one input float32 `(1, C, H, W)`, of which only the shape matters.
        seed: of the criterion's random numbers.
        samples: training images for a criterion that needs them.
        device: where the criterion runs the network; the CPU if None.
        ranking: what `rank` returned for this model, criterion and kind of structure; made here if None.

    Raises:
        ConfigError: a step that makes no sense (`check_step`), a structure that cannot follow an earlier step, a
            criterion that needs images and gets none, or the rate of a layer that does not exist.
        ModelError: the model has nothing to prune, cannot run on the example, cannot be traced, or cannot be ranked.
    """
    check_step(step)
    if not step.removes:
        return attrs.evolve(state, model=uncompressed(state.model).model, notes=[])
    structure = find_structure(step.structure)
    _check_order(state, step, structure)
    ranking = ranking or rank(state.model, step, example, seed, samples, device)
    pruned = resolve(structure.prune)(state, step, ranking.scores, example)
    if not isinstance(pruned, Compressed):
        raise ModelError(f"structure {step.structure} must return a Compressed, not {type(pruned).__name__}")
    return attrs.evolve(pruned, notes=[*pruned.notes, *ranking.notes])


def _check_order(state: Compressed, step: PruneStep, structure: Structure) -> None:
    """Refuse to mix filters with what an earlier step masked or removed, where their channels no longer match."""
    masked = any(not mask.all() for mask in state.masks.values())
    pending = not state.cuts and any(bool(removed.any()) for removed in state.units.values())
    if structure.ranks == "filters" and (state.cuts or (masked and not pending)):
        raise ConfigError(f"structure {step.structure} cannot follow another pruning; put it first")
    if structure.ranks == "weights" and pending:
        raise ConfigError(
            f"structure {step.structure} cannot follow an unfinished schedule of filters; finish it first"
        )
