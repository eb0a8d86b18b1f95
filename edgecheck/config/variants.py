"""The rows of `variants:` -> one specification a variant, with the name of its folder."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from attrs import evolve, field, frozen
from ruamel.yaml.comments import CommentedMap

from edgecheck.config import document
from edgecheck.config.plan import VariantSpec
from edgecheck.errors import ConfigError
from edgecheck.steps import Scope, n_of_m
from edgecheck.validators import within


def _rates(_instance: object, _attribute: object, rates: list[float]) -> None:
    for rate in rates:
        if not 0 < rate < 1:
            raise ValueError(f"a pruning rate lies between 0 and 1, not {rate:g} (rate 0 is the control, made anyway)")


@frozen
class Row:
    """A cross product: every criterion with every structure at every rate, in every quantization.

    Without a criterion it is the baseline that is quantized; `none` keeps the float file among the variants.
    """

    criterion: list[str] = field(factory=list)
    structure: list[str] = field(factory=list)
    rate: list[float] = field(factory=list, validator=_rates)
    quantization: list[str] = field(factory=list)
    steps: int = field(default=1, validator=within(1, 1000))
    round_to: int = field(default=1, validator=within(1, 4096))
    # Global thresholds mean something among weights; among filters of layers with different
    # fan-in they would empty the small ones, so there each layer gives its own share.
    scope: Scope | None = None


# The experiment of Renza & Ballesteros 2023, section 4: global pruning of single weights.
PAPER = Row(["l1", "random"], ["unstructured"], [0.2, 0.4, 0.6, 0.8])


def expand(rows: list[Row], written: CommentedMap | None = None, source: str = "") -> Iterator[VariantSpec]:
    """Expand the rows, which stand in the document `written`; a variant that two rows name is made once.

    Raises:
        ConfigError: a row that says too little or what makes no sense, at its line.
    """
    written = CommentedMap() if written is None else written
    seen: set[str] = set()
    for index, row in enumerate(rows):
        place = f"{source}:{document.line_of(written, ('variants', index))}"
        own = bool(row.structure) and all(map(n_of_m, row.structure))  # 2:4 says its own rate
        if own and row.rate:
            raise ConfigError(f"{place}: {', '.join(row.structure)} has a rate of its own; leave rate out")
        if own and (row.scope or row.round_to > 1):
            raise ConfigError(f"{place}: {', '.join(row.structure)} takes neither scope nor round_to; leave them out")
        rates = row.rate or own
        pruned = [bool(part) for part in (row.criterion, row.structure, rates)]
        if any(pruned) != all(pruned) or not (all(pruned) or set(row.quantization) - {"none"}):
            raise ConfigError(
                f"{place}: a variant needs criterion, structure and rate (2:4 has its own), or a quantization, or all"
            )
        for spec in _pruned(row) if all(pruned) else [VariantSpec("baseline", "", "", "global", 0.0)]:
            for quantization in row.quantization or ["none"]:
                made = _quantized(spec, quantization)
                if made.name not in seen and (made.quantization or made.criterion):
                    seen.add(made.name)
                    yield made


def _pruned(row: Row) -> Iterator[VariantSpec]:
    for criterion, structure in product(row.criterion, row.structure):
        if shares := n_of_m(structure):
            kept, group = shares
            name = f"{criterion}-{kept}of{group}"  # a colon is no part of a file's name everywhere
            yield VariantSpec(name, criterion, structure, "layer", 1 - kept / group, steps=row.steps)
            continue
        usual: Scope = "layer" if structure == "filters" else "global"
        scope = row.scope or usual
        for rate in row.rate:
            # Two digits where they say it all, more where another rate would get the same name.
            share = f"{rate:.2f}" if round(rate, 2) == rate else repr(rate)
            words = [criterion, structure, scope if scope != usual else "", share, *_schedule(row)]
            name = "-".join(filter(None, words))
            yield VariantSpec(name, criterion, structure, scope, rate, steps=row.steps, round_to=row.round_to)


def _schedule(row: Row) -> Iterator[str]:
    """Yield what a name says of a row beyond the usual."""
    if row.steps > 1:
        yield f"{row.steps}steps"
    if row.round_to > 1:
        yield f"by{row.round_to}"


def _quantized(spec: VariantSpec, quantization: str) -> VariantSpec:
    if quantization == "none":
        return spec
    return evolve(spec, name=f"{spec.name}-{quantization}", quantization=quantization)
