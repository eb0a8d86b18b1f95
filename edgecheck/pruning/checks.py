"""Which pruning steps make sense, by what their criterion and structure declare."""

from __future__ import annotations

from collections.abc import Sequence

from edgecheck.errors import ConfigError, ModelError
from edgecheck.pruning.criteria import CRITERIA
from edgecheck.pruning.structures import STRUCTURES, Structure, find_structure
from edgecheck.records import Diagnostic
from edgecheck.registry import lookup
from edgecheck.steps import PruneStep

SCOPES = ("global", "layer")

_KINDS = {"filters": "filters", "weights": "single weights"}


class UnprunableError(ModelError):
    """Nothing of a network can be pruned in this way; `notes` say why."""

    def __init__(self, message: str, notes: Sequence[Diagnostic] = ()) -> None:
        super().__init__(message)
        self.notes = list(notes)


def check_step(step: PruneStep) -> None:
    """Refuse a step that cannot be carried out, before any work is done.

    Raises:
        ConfigError: an unknown criterion, structure or scope; a criterion that cannot rank what the structure removes;
            a setting that the structure does not take.
    """
    if step.scope not in SCOPES:
        raise ConfigError(f"unknown scope {step.scope!r}; known: {', '.join(SCOPES)}")
    criterion = lookup(CRITERIA, step.criterion, "criterion")
    structure = find_structure(step.structure)
    if structure.ranks not in criterion.ranks:
        raise ConfigError(_wrong_kind(step, structure))
    if step.round_to > 1 and not structure.takes_round_to:
        raise ConfigError("round_to counts channels; it goes with structure filters")
    if step.share < 1 and not structure.takes_shares:
        raise ConfigError(f"{step.structure} has no rates between, so it is pruned in one step")
    if step.rates is not None:
        _check_rates(step, structure)


def _check_rates(step: PruneStep, structure: Structure) -> None:
    if not structure.takes_rates:
        takers = ", ".join(name for name, one in STRUCTURES.items() if one.takes_rates)
        raise ConfigError(f"structure {step.structure} takes no rates of single layers; {takers} do")
    if step.scope != "layer":
        raise ConfigError(
            f"rates of single layers need scope layer, not {step.scope}, which ranks all layers together; set "
            "scope: layer"
        )


def needs_images(step: PruneStep) -> bool:
    """Return whether the criterion of a step looks at training images.

    Raises:
        ConfigError: unknown criterion.
    """
    return lookup(CRITERIA, step.criterion, "criterion").needs_images


def _wrong_kind(step: PruneStep, structure: Structure) -> str:
    known = [name for name, criterion in CRITERIA.items() if structure.ranks in criterion.ranks]
    return (
        f"criterion {step.criterion} cannot rank {_KINDS[structure.ranks]}; "
        f"structure {step.structure} takes {', '.join(known)}"
    )
