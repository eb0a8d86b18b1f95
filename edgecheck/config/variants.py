"""The rows of `variants:` -> one specification per variant: the name of its folder, and its steps."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from attrs import asdict, evolve, field, frozen, has
from ruamel.yaml.comments import CommentedMap

from edgecheck.config import document
from edgecheck.config.plan import VariantSpec
from edgecheck.errors import ConfigError
from edgecheck.pruning.structures import find_structure, own_rate
from edgecheck.steps import (
    STEPS,
    FileStep,
    FineTuneStep,
    NetworkStep,
    PruneStep,
    Quantize,
    QuantizeStep,
    Recipe,
    Scope,
    Step,
)
from edgecheck.validators import within

WORD = 40  # characters of an option in a folder's name; file systems take 255 for the whole name

# Steps that rows name by their parts, as `criterion:` or `quantization:`; those of plugins go by their kind.
BUILT_IN = ("prune", "finetune", "quantize")


def _rates(_instance: object, _attribute: object, rates: list[float]) -> None:
    for rate in rates:
        if not 0 < rate < 1:
            raise ValueError(f"a pruning rate lies between 0 and 1, not {rate:g} (rate 0 is the control, made anyway)")


@frozen
class Row:
    """A cross product: every criterion with every structure at every rate, in every quantization.

    Without a criterion the baseline is quantized; `none` keeps the float file among the variants. `others` are the
    steps of plugins, with their options by kind.
    """

    criterion: list[str] = field(factory=list)
    structure: list[str] = field(factory=list)
    rate: list[float] = field(factory=list, validator=_rates)
    quantization: list[str] = field(factory=list)
    steps: int = field(default=1, validator=within(1, 1000))
    round_to: int = field(default=1, validator=within(1, 4096))
    scope: Scope | None = None
    others: dict[str, dict[str, Any]] = field(factory=dict)


# The experiment of Renza & Ballesteros 2023, section 4: global pruning of single weights.
PAPER = Row(["l1", "random"], ["unstructured"], [0.2, 0.4, 0.6, 0.8])


@frozen
class Settings:
    """What all variants share: the fine-tuning and its seed, and how int8 files are made."""

    recipe: Recipe = field(factory=Recipe)
    quantize: Quantize = field(factory=Quantize)
    seed: int = 0

    def finetuning(self, epochs: int, seed: int | None = None) -> tuple[Step, ...]:
        """Return the fine-tuning step for so many epochs; none for no epochs."""
        # How long is trained between the steps of a schedule says nothing about one step.
        recipe = evolve(self.recipe, epochs=epochs, epochs_between=Recipe().epochs_between)
        return (FineTuneStep(recipe, self.seed if seed is None else seed),) if epochs else ()


def controls(settings: Settings, count: int) -> list[VariantSpec]:
    """Return the noise floor: the same fine-tuning and nothing else, `count` times, each with its own seed."""
    seeds = range(settings.seed, settings.seed + count)
    names = ["control", *(f"control-seed{seed}" for seed in seeds[1:])]
    epochs = settings.recipe.epochs
    return [VariantSpec(name, settings.finetuning(epochs, seed)) for name, seed in zip(names, seeds, strict=True)]


def with_others(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as it is written with the steps of plugins under `others`."""
    kinds = [key for key in row if key in STEPS and key not in BUILT_IN]
    rest = {key: value for key, value in row.items() if key not in kinds}
    return {**rest, "others": {kind: row[kind] or {} for kind in kinds}} if kinds else rest


def expand(
    rows: list[Row], settings: Settings, written: CommentedMap | None = None, source: str = ""
) -> Iterator[VariantSpec]:
    """Expand the rows, which stand in the document `written`; a variant that two rows name is made once.

    Raises:
        ConfigError: a row that says too little or makes no sense, at its line.
    """
    written = CommentedMap() if written is None else written
    seen: set[str] = set()
    for index, row in enumerate(rows):
        place = f"{source}:{document.line_of(written, ('variants', index))}"
        try:
            _check(row)
            specs = list(_expanded(row, settings))
        except ConfigError as error:
            raise ConfigError(f"{place}: {error}") from None
        for spec in specs:
            if spec.name not in seen:
                seen.add(spec.name)
                yield spec


def _check(row: Row) -> None:
    for name in row.structure:
        find_structure(name)
    own = _own_rates(row)
    if own and row.rate:
        raise ConfigError(f"{', '.join(row.structure)} has a rate of its own; leave rate out")
    if own and (row.scope or row.round_to > 1):
        raise ConfigError(f"{', '.join(row.structure)} takes neither scope nor round_to; leave them out")
    pruned = [bool(part) for part in (row.criterion, row.structure, row.rate or own)]
    if any(pruned) != all(pruned) or not (all(pruned) or set(row.quantization) - {"none"} or row.others):
        raise ConfigError("a variant needs criterion, structure and rate (2:4 has its own), or a quantization, or all")


def _own_rates(row: Row) -> bool:
    return bool(row.structure) and all(own_rate(name) is not None for name in row.structure)


def _expanded(row: Row, settings: Settings) -> Iterator[VariantSpec]:
    others = [_other(kind, options) for kind, options in row.others.items()]
    on_network, on_file = ([step for step in others if step.acts_on == domain] for domain in ("network", "file"))
    for name, pruning in _pruned(row) if row.criterion else [("baseline", None)]:
        network = "-".join([name, *map(_words, on_network)])
        steps = [*_trained(pruning, row.steps, settings), *on_network]
        for scheme in row.quantization or ["none"]:
            quantized = [] if scheme == "none" else [QuantizeStep(scheme, settings.quantize)]
            words = [network, *(step.scheme for step in quantized), *map(_words, on_file)]
            if whole := (*steps, *quantized, *on_file):
                yield VariantSpec("-".join(words), whole, network)


def _trained(pruning: PruneStep | None, count: int, settings: Settings) -> Iterator[Step]:
    """Yield a schedule: so many pruning steps up to the rate, each followed by fine-tuning."""
    if pruning is None:
        return
    for number in range(1, count + 1):
        yield evolve(pruning, share=number / count)
        yield from settings.finetuning(settings.recipe.epochs if number == count else settings.recipe.epochs_between)


def _pruned(row: Row) -> Iterator[tuple[str, PruneStep]]:
    for criterion, structure in product(row.criterion, row.structure):
        usual = find_structure(structure).default_scope
        if (fixed := own_rate(structure)) is not None:
            name = f"{criterion}-{structure.replace(':', 'of')}"  # some file systems allow no colon in a name
            yield name, PruneStep(criterion, structure, usual, fixed)
            continue
        scope = row.scope or usual
        for rate in row.rate:
            # Two digits where they say it all, more where another rate would get the same name.
            share = f"{rate:.2f}" if round(rate, 2) == rate else repr(rate)
            words = [criterion, structure, scope if scope != usual else "", share, *_schedule(row)]
            yield "-".join(filter(None, words)), PruneStep(criterion, structure, scope, rate, row.round_to)


def _schedule(row: Row) -> Iterator[str]:
    """Yield what a name says of a row beyond the usual."""
    if row.steps > 1:
        yield f"{row.steps}steps"
    if row.round_to > 1:
        yield f"by{row.round_to}"


def _other(kind: str, options: Mapping[str, Any]) -> Step:
    step = STEPS[kind]
    if not has(step) or getattr(step, "kind", None) != kind or not issubclass(step, NetworkStep | FileStep):
        raise ConfigError(
            f"step {kind}: a plugin's step is a frozen attrs class derived from NetworkStep or FileStep, with "
            f"kind = {kind!r}"
        )
    return document.structure(options, step, CommentedMap(), kind)


def _words(step: Step) -> str:
    """Return what the name of a variant says of a plugin's step: its kind and its options."""
    values = asdict(step).values()  # type: ignore[arg-type]
    return "-".join([step.kind, *map(_word, values)])


def _word(value: object) -> str:
    """Return a value as a part of a folder's name; one that was changed for it gets a hash, so that it stays unique."""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    safe = re.sub(r"[^\w.+-]+", "_", text)[:WORD]
    return safe if safe == text else f"{safe}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
