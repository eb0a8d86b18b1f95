"""Expand the rows of `variants:` into one specification per variant: its folder name and its steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from attrs import evolve, field, frozen, has
from ruamel.yaml.comments import CommentedMap

from edgecheck.config import document, naming
from edgecheck.config.plan import Plan, VariantSpec
from edgecheck.config.recipes import NONE, problems
from edgecheck.config.rows import Row
from edgecheck.errors import ConfigError
from edgecheck.pruning.structures import find_structure, own_rate
from edgecheck.registry import lookup
from edgecheck.steps import (
    STEPS,
    FileStep,
    FineTuneStep,
    NetworkStep,
    PruneStep,
    Quantize,
    QuantizeStep,
    RecalibrateStep,
    Recipe,
    Step,
)


@frozen
class Settings:
    """What all variants share: the recipe of `finetune:`, named ones, settings of int8 quantization, and the seed."""

    recipe: Recipe = field(factory=Recipe)
    quantize: Quantize = field(factory=Quantize)
    seed: int = 0
    recipes: dict[str, Recipe] = field(factory=dict)

    @classmethod
    def of(cls, plan: Plan) -> Settings:
        """Return those of a plan."""
        return cls(plan.finetune, plan.quantize, plan.seed, plan.recipes)

    def named(self, name: str) -> tuple[str, Recipe]:
        """Return a recipe, and its name in the names of variants: of equal recipes the first one's, "" for the default.

        Raises:
            ConfigError: no recipe of this name.
        """
        recipe = self.recipe if not name else lookup(self.recipes, name, "recipe")
        if recipe == self.recipe:
            return "", recipe
        return next(other for other, known in self.recipes.items() if known == recipe), recipe

    def training(self, recipe: Recipe, epochs: int, seed: int | None = None) -> Iterator[Step]:
        """Yield the steps of a recipe after one pruning step: new statistics, then `epochs` epochs of fine-tuning."""
        seed = self.seed if seed is None else seed
        if recipe.recalibrate_batchnorm:
            yield RecalibrateStep(recipe.recalibrate_batchnorm, seed)
        if epochs:
            # Of a single step only what it depends on, since all of it is part of the step's cache key.
            default = Recipe()
            yield FineTuneStep(
                evolve(
                    recipe,
                    epochs=epochs,
                    epochs_between=default.epochs_between,
                    recalibrate_batchnorm=default.recalibrate_batchnorm,
                ),
                seed,
            )


def controls(settings: Settings, count: int, rows: Sequence[Row] = ()) -> Iterator[VariantSpec]:
    """Yield `count` controls per recipe that the rows use, each with its own seed and the steps of the recipe alone."""
    names = [name for row in rows for name in row.recipe or [""]] or [""]
    recipes = dict(map(settings.named, names))
    for label in sorted(recipes, key=bool):  # the default first
        recipe = recipes[label]
        name = f"control-{label}" if label else "control"
        for seed in range(settings.seed, settings.seed + count):
            steps = tuple(settings.training(recipe, recipe.epochs, seed))
            yield VariantSpec(name if seed == settings.seed else f"{name}-seed{seed}", steps, recipe=label)


def expand(
    rows: list[Row], settings: Settings, written: CommentedMap | None = None, source: str = ""
) -> Iterator[VariantSpec]:
    """Yield the variants of all rows of the document `written`; a variant named by two rows is yielded once.

    Raises:
        ConfigError: a row is incomplete or contradictory; the message gives its line.
    """
    written = CommentedMap() if written is None else written
    seen: dict[str, VariantSpec] = {}
    for index, row in enumerate(rows):
        place = f"{source}:{document.line_of(written, ('variants', index))}: " if source else ""
        try:
            _check(row)
            specs = list(_expanded(row, settings))
        except ConfigError as error:
            raise ConfigError(f"{place}{error}") from None
        for spec in specs:
            if spec.name not in seen:
                yield spec
            if seen.setdefault(spec.name, spec).steps != spec.steps:
                raise ConfigError(f"{place}{spec.name} is also the name of another variant; rename the recipe")


def _check(row: Row) -> None:
    for name in row.structure:
        find_structure(name)
    own = _own_rates(row)
    if own and (row.rate or row.rates):
        raise ConfigError(f"{', '.join(row.structure)} has a fixed rate; remove `{'rate' if row.rate else 'rates'}`")
    if own and (row.scope or row.round_to > 1):
        raise ConfigError(f"{', '.join(row.structure)} does not support scope or round_to; remove them")
    if row.recipe and not row.criterion:
        raise ConfigError("a variant that is not pruned is not fine-tuned; remove `recipe`")
    pruned = [bool(part) for part in (row.criterion, row.structure, row.rate or row.rates or own)]
    if any(pruned) != all(pruned) or not (all(pruned) or set(row.quantization) - {"none"} or row.others):
        raise ConfigError(
            "a variant needs criterion, structure and rate (2:4 has a fixed rate), a quantization, or both"
        )


def _own_rates(row: Row) -> bool:
    return bool(row.structure) and all(own_rate(name) is not None for name in row.structure)


def _expanded(row: Row, settings: Settings) -> Iterator[VariantSpec]:
    others = [_other(kind, options) for kind, options in row.others.items()]
    on_network, on_file = ([step for step in others if step.acts_on == domain] for domain in ("network", "file"))
    for (name, pruning), (label, recipe), seed in product(*_networks(row, settings), _seeds(row, settings)):
        trained = tuple(_trained(pruning, row.steps, evolve(settings, seed=seed), recipe))
        if seed > settings.seed and not any(isinstance(step, FineTuneStep | RecalibrateStep) for step in trained):
            continue  # without training, all seeds give the same network
        words = [name, *([label] if label and pruning else []), *map(naming.words, on_network)]
        network = "-".join([*words, *([f"seed{seed}"] if seed > settings.seed else [])])
        for scheme in row.quantization or ["none"]:
            quantized = [] if scheme == "none" else [QuantizeStep(scheme, settings.quantize)]
            words = [network, *(step.scheme for step in quantized), *map(naming.words, on_file)]
            if whole := (*trained, *on_network, *quantized, *on_file):
                yield VariantSpec("-".join(words), whole, network, label)


def _seeds(row: Row, settings: Settings) -> range:
    return range(settings.seed, settings.seed + row.seeds)


def _networks(row: Row, settings: Settings) -> tuple[list[tuple[str, PruneStep | None]], list[tuple[str, Recipe]]]:
    """Return what is pruned, by name, and the recipes that follow. The baseline itself is not fine-tuned."""
    if not row.criterion:
        return [("baseline", None)], [(NONE, settings.recipe)]
    named = [settings.named(name) for name in row.recipe or [""]]
    for name, (_, recipe) in zip(row.recipe, named, strict=False):
        for setting, words in problems(recipe):
            raise ConfigError(f"recipe {name}: {setting}: {words}")
    return list(_pruned(row)), named


def _trained(pruning: PruneStep | None, count: int, settings: Settings, recipe: Recipe) -> Iterator[Step]:
    """Yield `count` pruning steps up to the final rate, each followed by the steps of the recipe."""
    if pruning is None:
        return
    for number in range(1, count + 1):
        yield evolve(pruning, share=number / count)
        yield from settings.training(recipe, recipe.epochs if number == count else recipe.epochs_between)


def _pruned(row: Row) -> Iterator[tuple[str, PruneStep]]:
    for criterion, structure in product(row.criterion, row.structure):
        usual = find_structure(structure).default_scope
        if (fixed := own_rate(structure)) is not None:
            name = f"{criterion}-{structure.replace(':', 'of')}"  # some file systems allow no colon in a name
            yield name, PruneStep(criterion, structure, usual, fixed)
            continue
        for rate in row.rate or [0.0]:
            step = PruneStep(criterion, structure, row.scope or usual, rate, row.round_to, rates=row.rates or None)
            yield naming.pruned(step, row.steps), step


def _other(kind: str, options: Mapping[str, Any]) -> Step:
    step = STEPS[kind]
    if not has(step) or getattr(step, "kind", None) != kind or not issubclass(step, NetworkStep | FileStep):
        raise ConfigError(
            f"step {kind}: a plugin's step is a frozen attrs class derived from NetworkStep or FileStep, with "
            f"kind = {kind!r}"
        )
    return document.structure(options, step, CommentedMap(), kind)
