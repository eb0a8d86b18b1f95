"""Ranking the weights or filters of a network by a criterion."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Generator, Tensor, nn

from edgecheck.errors import ConfigError, EdgecheckError, ModelError
from edgecheck.lab.prune.dependency_groups import DependencyGroup, find_groups
from edgecheck.lab.prune.interface import Ranking, RankingInput, Samples
from edgecheck.lab.prune.layers import prunable_weights
from edgecheck.lab.user_traceback import place_of
from edgecheck.pruning.criteria import CRITERIA, Importance, Ranked
from edgecheck.pruning.structures import find_structure
from edgecheck.registry import lookup, resolve
from edgecheck.steps import PruneStep
from edgecheck.text import listed


def rank(
    model: nn.Module,
    step: PruneStep,
    example: Tensor,
    seed: int,
    samples: Samples | None = None,
    device: torch.device | None = None,
) -> Ranking:
    """Return how the criterion of a step scores what its structure removes, see `score`."""
    return score(model, step.criterion, find_structure(step.structure).ranks, example, seed, samples, device)


def score(
    model: nn.Module,
    criterion: str,
    ranked: Ranked,
    example: Tensor,
    seed: int,
    samples: Samples | None = None,
    device: torch.device | None = None,
) -> Ranking:
    """Return how a criterion scores the weights or filters of `model`; one ranking serves all rates.

    Args:
        model: the network; it is not changed.
        criterion: its name.
        ranked: what it scores.
        example: one input float32 `(1, C, H, W)`, of which only the shape matters.
        seed: of the criterion's random numbers.
        samples: training images for a criterion that needs them.
        device: where the criterion runs the network; the CPU if None.

    Raises:
        ConfigError: an unknown criterion, or one that needs images and gets none.
        ModelError: nothing to prune, or a network that cannot run, be traced, or be ranked.
    """
    importance = lookup(CRITERIA, criterion, "criterion")
    if importance.needs_images and samples is None:
        raise ConfigError(f"criterion {criterion} looks at images of the training split, and there are none")
    targets = _targets(model, ranked, example)
    placed = samples and Samples(samples.images.to(device), samples.labels.to(device))
    inputs = RankingInput(copy.deepcopy(model).eval().to(device), Generator().manual_seed(seed), placed)
    try:
        with torch.random.fork_rng(devices=[]):
            scores = _scores(importance, ranked, inputs, targets)
    except EdgecheckError:
        raise
    except Exception as error:  # of the network's own code
        raise ModelError(f"criterion {criterion} cannot rank {_fault(model, error)}; use another") from error
    _check_scores(criterion, scores, _shapes(targets), whole=ranked == "weights")
    return Ranking({name: values.cpu() for name, values in scores.items()}, inputs.notes)


def _fault(model: nn.Module, error: Exception) -> str:
    return f"{type(model).__name__}: {place_of(error)}"


def _targets(model: nn.Module, ranked: Ranked, example: Tensor) -> Mapping[str, nn.Parameter] | list[DependencyGroup]:
    """Return what the criterion has to score."""
    if ranked == "filters":
        return find_groups(copy.deepcopy(model), example)[0]
    return prunable_weights(model)


def _shapes(targets: Mapping[str, nn.Parameter] | list[DependencyGroup]) -> dict[str, tuple[int, ...]]:
    if isinstance(targets, Mapping):
        return {name: tuple(weight.shape) for name, weight in targets.items()}
    return {group.root: (group.size,) for group in targets}


def _scores(criterion: Importance, ranked: Ranked, inputs: RankingInput, targets: object) -> dict[str, Tensor]:
    scorer = criterion.scorer(ranked)
    assert scorer is not None, "`check_step` refuses such a pair"
    scores: dict[str, Tensor] = resolve(scorer)(inputs, targets)
    return scores


def _check_scores(criterion: str, scores: object, shapes: Mapping[str, tuple[int, ...]], whole: bool) -> None:
    """Refuse what cannot be compared; a criterion may leave out a group of filters, but no weights.

    Raises:
        ModelError: as said.
    """
    of = f"criterion {criterion} must return a score for each of {listed(shapes)}"
    if not isinstance(scores, Mapping) or set(scores) - set(shapes) or (whole and len(scores) < len(shapes)):
        got = f"those of {listed(scores)}" if isinstance(scores, Mapping) else type(scores).__name__
        raise ModelError(f"{of}, not {got}")
    for name, values in scores.items():
        if not isinstance(values, Tensor) or tuple(values.shape) != shapes[name]:
            got = f"shape {tuple(values.shape)}" if isinstance(values, Tensor) else type(values).__name__
            raise ModelError(f"criterion {criterion} must score {name} by a tensor of shape {shapes[name]}, not {got}")
        if values.isnan().any():  # infinity has its place in the order
            raise ModelError(f"criterion {criterion} gives {name} scores that are not numbers")


def check_fits(criterion: str, model: nn.Module) -> None:
    """Refuse a criterion that cannot rank anything in this network.

    Raises:
        ConfigError: the criterion is unknown or does not fit; the message says why.
    """
    unfit = lookup(CRITERIA, criterion, "criterion").unfit
    reason = resolve(unfit)(model) if unfit else None
    if reason:
        raise ConfigError(f"criterion {criterion}: {reason}")
