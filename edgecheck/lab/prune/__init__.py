"""Removing weights or filters by a criterion."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import attrs
import torch
from torch import Generator, Tensor, nn

from edgecheck.config.plan import VariantSpec
from edgecheck.errors import ConfigError, EdgecheckError, ModelError
from edgecheck.lab.prune import criteria, surgery
from edgecheck.lab.prune.dependency_groups import Family, find_families
from edgecheck.lab.prune.interface import (
    CRITERIA,
    STRUCTURES,
    Criterion,
    Evidence,
    Pruned,
    Ranking,
    Samples,
    Structure,
)
from edgecheck.lab.prune.structures import filters, unstructured  # each files itself in a registry
from edgecheck.lab.prune.structures.n_of_m import keeping
from edgecheck.lab.user_traceback import place_of
from edgecheck.registry import lookup
from edgecheck.steps import n_of_m

__all__ = [
    "CRITERIA",
    "STRUCTURES",
    "Criterion",
    "Evidence",
    "Pruned",
    "Ranking",
    "Samples",
    "Structure",
    "check_fits",
    "check_spec",
    "criteria",
    "filters",
    "needs_images",
    "prune",
    "rank",
    "ranks_filters",
    "reshaped",
    "unpruned",
    "unstructured",
]

SCOPES = ("global", "layer")


def prune(
    model: nn.Module,
    spec: VariantSpec,
    example: Tensor,
    seed: int,
    samples: Samples | None = None,
    before: Pruned | None = None,
    device: torch.device | None = None,
    ranking: Ranking | None = None,
) -> Pruned:
    """Return a pruned copy of `model`; the model itself and torch's global random state stay as they are.

    A pure function of its arguments.

    Args:
        model: a classifier; it is traced in eval mode.
        spec: criterion, structure, scope and rate. At rate 0 the copy is unchanged. Of an iterative schedule
            (`spec.steps`), this is the next step: `before` tells how many there were.
        example: one input float32 `(1, C, H, W)`, of which only the shape matters.
        seed: of the `random` criterion.
        samples: what criteria look at that need images.
        before: the step before, its model fine-tuned.
        device: where a criterion runs the network; the CPU if None.
        ranking: what `rank` returned for this model and criterion, which may serve many rates; made here if None.

    Raises:
        ConfigError: an unknown criterion, structure or scope, a pair that makes no sense, a rate outside 0..1, or a
            criterion that needs images and gets none.
        ModelError: the model has nothing to prune, cannot run on the example, or cannot be traced.
    """
    check_spec(spec)
    if spec.rate == 0:
        return unpruned(model)
    step = 1 + (before.step if before else 0)
    model = before.model if before else model
    ranking = ranking or rank(model, spec, example, seed, samples, device)
    found = _structure(spec.structure)(model, spec, ranking.scores, example, before, step / spec.steps)
    return attrs.evolve(found, step=step, notes=[*found.notes, *ranking.notes])


def rank(
    model: nn.Module,
    spec: VariantSpec,
    example: Tensor,
    seed: int,
    samples: Samples | None = None,
    device: torch.device | None = None,
) -> Ranking:
    """Return how the criterion of `spec` scores the weights or filters of `model`, whatever the rate.

    Raises:
        ConfigError, ModelError: as `prune`.
    """
    criterion = lookup(CRITERIA, spec.criterion, "criterion")
    if criterion.needs_images and samples is None:
        raise ConfigError(f"criterion {spec.criterion} looks at images of the training split, and there are none")
    evidence = Evidence(
        copy.deepcopy(model).eval().to(device),
        Generator().manual_seed(seed),
        samples and Samples(samples.images.to(device), samples.labels.to(device)),
    )
    families = find_families(copy.deepcopy(model), example)[0] if ranks_filters(spec) else []
    weights = {} if ranks_filters(spec) else unstructured.prunable_weights(model)
    try:
        with torch.random.fork_rng(devices=[]):
            scores = _scores(criterion, evidence, families, weights)
    except EdgecheckError:
        raise
    except Exception as error:  # whatever the network's own code makes of being watched
        raise ModelError(
            f"criterion {spec.criterion} cannot rank {type(model).__name__}: {place_of(error)}; use another"
        ) from error
    return Ranking({name: score.cpu() for name, score in scores.items()}, evidence.notes)


def _scores(
    criterion: Criterion, evidence: Evidence, families: list[Family], weights: dict[str, nn.Parameter]
) -> dict[str, Tensor]:
    if weights:
        assert criterion.weights is not None, "check_spec looks at this"
        return criterion.weights(evidence, weights)
    assert criterion.filters is not None, "check_spec looks at this"
    return criterion.filters(evidence, families)


def ranks_filters(spec: VariantSpec) -> bool:
    """Return whether the structure of a variant removes filters; else it removes single weights."""
    return spec.structure == "filters"


def unpruned(model: nn.Module) -> Pruned:
    """Return an unchanged copy of `model`: what the control is fine-tuned from."""
    return Pruned(copy.deepcopy(model))


def reshaped(model: nn.Module, cuts: Mapping[tuple[str, str], list[int]], example: Tensor) -> nn.Module:
    """Return a copy of `model` in the shape that `Pruned.cuts` left, for weights that were saved."""
    return surgery.remove(model, cuts, example) if cuts else copy.deepcopy(model)


def check_spec(spec: VariantSpec) -> None:
    """Refuse what cannot be carried out, before any work is done.

    Raises:
        ConfigError: an unknown criterion, structure or scope, a pair that makes no sense, or a rate outside 0..1.
    """
    if not 0 <= spec.rate <= 1:
        raise ConfigError(f"variant {spec.name}: rate {spec.rate:g} is outside 0..1; 0.4 removes 40 %")
    if spec.scope not in SCOPES:
        raise ConfigError(f"variant {spec.name}: unknown scope {spec.scope!r}; known: {', '.join(SCOPES)}")
    criterion = lookup(CRITERIA, spec.criterion, "criterion")
    _structure(spec.structure)
    if (criterion.filters if ranks_filters(spec) else criterion.weights) is None:
        raise ConfigError(f"variant {spec.name}: {_wrong_kind(spec)}")
    if spec.round_to > 1 and spec.structure != "filters":
        raise ConfigError(f"variant {spec.name}: round_to counts channels; it goes with structure filters")
    if spec.steps > 1 and n_of_m(spec.structure):
        raise ConfigError(f"variant {spec.name}: {spec.structure} has no rates between, so it is pruned in one step")


def _wrong_kind(spec: VariantSpec) -> str:
    filters = ranks_filters(spec)
    known = [name for name, other in CRITERIA.items() if (other.filters if filters else other.weights)]
    kind = "filters" if filters else "single weights"
    return f"criterion {spec.criterion} cannot rank {kind}; structure {spec.structure} takes {', '.join(known)}"


def check_fits(spec: VariantSpec, model: nn.Module) -> None:
    """Refuse a criterion that cannot rank anything in this network.

    Raises:
        ConfigError: as said; the message says why.
    """
    reason = lookup(CRITERIA, spec.criterion, "criterion").unfit(model)
    if reason:
        raise ConfigError(f"criterion {spec.criterion}: {reason}")


def needs_images(spec: VariantSpec) -> bool:
    """Return whether the criterion of a variant looks at images."""
    return bool(spec.criterion) and lookup(CRITERIA, spec.criterion, "criterion").needs_images


def _structure(name: str) -> Structure:
    shares = n_of_m(name)
    return keeping(*shares) if shares else lookup({**STRUCTURES, "2:4": keeping(2, 4)}, name, "structure")
