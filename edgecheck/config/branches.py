"""The branches of a search: variants that differ in their pruning rate alone."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from attrs import evolve, frozen

from edgecheck.config import variants
from edgecheck.config.plan import Plan, VariantSpec
from edgecheck.config.recipes import NONE
from edgecheck.config.rows import Row
from edgecheck.config.space import Space
from edgecheck.config.variants import Settings
from edgecheck.pruning.structures import find_structure, own_rate


@frozen
class Branch:
    """The variants that differ in their pruning rate alone, by rising rate, and what they have in common.

    `recipe` is that of its variants, "" for the default, and `asked` its name in the space. `untrained` are the same
    variants without fine-tuning: their files have the same size and run as fast. `shrinks` tells whether a higher rate
    makes the file smaller. Where it is `refined`, layers have rates of their own.
    """

    criterion: str
    structure: str
    recipe: str
    quantization: str
    asked: str
    specs: tuple[VariantSpec, ...]
    untrained: tuple[VariantSpec, ...]
    shrinks: bool
    refined: bool = False

    @property
    def label(self) -> str:
        """The branch in words, such as `l1, filters, int8, recipe preserve`."""
        parts = [self.criterion, self.structure, *([] if self.quantization == "none" else [self.quantization])]
        refined = ["rates by layer"] if self.refined else []
        return ", ".join([*parts, f"recipe {self.asked}", *refined])

    @property
    def trains(self) -> bool:
        """Whether its variants are fine-tuned."""
        return self.specs[-1].on_network != self.untrained[-1].on_network


def narrowed(plan: Plan, specs: Sequence[VariantSpec]) -> Plan:
    """Return a plan with these variants, and with the controls of their recipes."""
    count = sum(control.recipe == plan.controls[0].recipe for control in plan.controls)
    used = [Row(recipe=[spec.recipe] if spec.recipe else []) for spec in specs]
    return evolve(plan, variants=list(specs), controls=list(variants.controls(Settings.of(plan), count, used)))


def branches(space: Space, shared: Settings) -> list[Branch]:
    """Return the branches of a space: those first whose files are small and need no training.

    Raises:
        ConfigError: an unknown name, or settings that do not go together.
    """
    combined = product(space.criterion, space.structure, space.recipe, space.quantization)
    made = [_branch(space, shared, *names) for names in combined]
    unique = {tuple(spec.name for spec in branch.specs): branch for branch in reversed(made)}
    ordered = reversed(unique.values())  # of equal recipes the first one was kept
    return sorted(ordered, key=lambda branch: (branch.quantization == "none", branch.trains))


def _branch(space: Space, shared: Settings, criterion: str, structure: str, recipe: str, quantization: str) -> Branch:
    def specs_of(recipe: str) -> list[VariantSpec]:
        return list(variants.expand([_row(space, criterion, structure, recipe, quantization)], shared))

    specs, untrained = specs_of(recipe), specs_of(NONE)
    if quantization != "none" and specs == untrained:  # rate 0: the baseline is quantized, and not fine-tuned
        specs = untrained = [*variants.expand([Row(quantization=[quantization])], shared), *specs]
    shrinks = find_structure(structure).shrinks
    return Branch(criterion, structure, specs[-1].recipe, quantization, recipe, tuple(specs), tuple(untrained), shrinks)


def _row(space: Space, criterion: str, structure: str, recipe: str, quantization: str) -> Row:
    """Return the row of a branch; a structure with a rate of its own takes no rate, scope or rounding."""
    own = own_rate(structure) is not None
    return Row(
        criterion=[criterion],
        structure=[structure],
        rate=[] if own else sorted(set(space.rate)),
        recipe=[recipe],
        quantization=[quantization],
        round_to=space.round_to if find_structure(structure).takes_round_to else 1,
        scope=None if own else space.scope,
    )
