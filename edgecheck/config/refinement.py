"""The variants around a branch of a search: layers with rates of their own, and other weights of the recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from attrs import evolve, field, frozen

from edgecheck.config import variants
from edgecheck.config.branches import Branch
from edgecheck.config.recipes import NONE
from edgecheck.config.rows import Row
from edgecheck.config.space import Space
from edgecheck.config.variants import Settings
from edgecheck.steps import Recipe

WEIGHT, DISTILL = "preserve.weight", "distill"
_FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)  # of the recipe's own weight
_DISTILLS = (0.0, 0.3, 0.6, 0.9)
_BEYOND = 4  # steps of the rate
_TILTS = (1, 2, 4, 8)  # steps of the rate by which the least sensitive layers are pruned more, and the others less


@frozen(eq=False)
class Spot:
    """A variant of an area: its branch and its place there. `recipes` are those that it uses beside the plan's."""

    branch: Branch
    index: int
    recipes: Mapping[str, Recipe] = field(factory=dict)


@frozen(eq=False)
class Area:
    """What can be chosen: a rate for each band of layers, and the weights of the recipe.

    Attributes:
        branch: where all layers have one rate.
        space: that of the search.
        shared: what all variants share.
        bands: layers that have one rate, the most sensitive first.
        centre: the common rate around which others are looked for.
        weights: whether the weights of the recipe are varied, if it has any.
    """

    branch: Branch
    space: Space
    shared: Settings
    bands: Sequence[Sequence[str]]
    centre: float
    weights: bool = True

    @property
    def rates(self) -> list[float]:
        """The rates of a band, 0 first: up to twice the common rate and a few steps more."""
        rates = [0.0, *sorted(set(self.space.rate))]
        return rates[: 2 * rates.index(self.centre) + _BEYOND + 1]

    @property
    def axes(self) -> dict[str, int]:
        """How many choices each axis has."""
        rates = {self._rate_axis(place): len(self.rates) for place in range(len(self.bands))}
        return rates | {name: len(choices) for name, choices in self._recipe_axes().items()}

    def _rate_axis(self, band: int) -> str:
        return f"rate.{band}"

    @property
    def _recipe(self) -> Recipe:
        return self.shared.named(self.branch.recipe)[1]

    def _recipe_axes(self) -> dict[str, list[float]]:
        own = self._recipe
        if not self.weights or not own.epochs or not (own.preserve or own.distill):
            return {}
        weights = {WEIGHT: [own.preserve.weight * factor for factor in _FACTORS]} if own.preserve else {}
        return weights | {DISTILL: sorted({*_DISTILLS, own.distill})}

    def uniform(self, rate: float) -> dict[str, int]:
        """Return the point at which all layers have one rate, and the recipe its own weights."""
        own = self._recipe
        kept = {WEIGHT: own.preserve.weight if own.preserve else 0.0, DISTILL: own.distill}
        recipe = {name: choices.index(kept[name]) for name, choices in self._recipe_axes().items()}
        return self._point([self.rates.index(rate)] * len(self.bands)) | recipe

    def _point(self, steps: Sequence[int]) -> dict[str, int]:
        return {self._rate_axis(band): step for band, step in enumerate(steps)}

    def nearby(self) -> list[dict[str, int]]:
        """Return points around the common rate: the more sensitive a band, the less it is pruned.

        First those that spare the most sensitive bands, then those where the others make up for it.
        """
        centre, last, most = self.rates.index(self.centre), len(self.bands) - 1, len(self.rates) - 1
        points = [
            self.uniform(self.centre) | self._point([0] * spared + [centre] * (last + 1 - spared))
            for spared in range(1, last + 1)
        ]
        for tilt in _TILTS if last else ():
            steps = [centre + round(tilt * (2 * band / last - 1)) for band in range(last + 1)]
            points.append(self.uniform(self.centre) | self._point([max(0, min(most, step)) for step in steps]))
        return points

    def at(self, point: Mapping[str, int]) -> Spot | None:
        """Return the variant at a point; None where nothing is removed.

        Raises:
            ConfigError: settings that do not go together.
        """
        rates = [self.rates[point[self._rate_axis(band)]] for band in range(len(self.bands))]
        name, recipe = self._recipe_at(point)
        if len(set(rates)) == 1 and not recipe:
            return self._of_branch(rates[0])
        if not any(rates):
            return None  # another recipe alone is a control, and never a candidate
        own = {layer: rate for layers, rate in zip(self.bands, rates, strict=True) for layer in layers}
        shared = evolve(self.shared, recipes={**self.shared.recipes, **recipe})
        (spec,), (untrained,) = (tuple(variants.expand([self._row(own, one)], shared)) for one in (name, NONE))
        branch = evolve(self.branch, specs=(spec,), untrained=(untrained,), refined=True)
        return Spot(branch, 0, recipe)

    def _recipe_at(self, point: Mapping[str, int]) -> tuple[str, dict[str, Recipe]]:
        """Return the name of the recipe at a point, and the recipe where it is not that of the branch."""
        axes, own, label = self._recipe_axes(), self._recipe, self.branch.recipe
        if not axes:
            return label, {}
        recipe = evolve(own, distill=axes[DISTILL][point[DISTILL]])
        words = [label or "finetune", f"d{recipe.distill:g}"]
        if own.preserve:
            kept = evolve(own.preserve, weight=axes[WEIGHT][point[WEIGHT]])
            recipe = evolve(recipe, preserve=kept)
            words.append(f"w{kept.weight:g}")
        return (label, {}) if recipe == own else ("-".join(words), {"-".join(words): recipe})

    def _of_branch(self, rate: float) -> Spot | None:
        for index, spec in enumerate(self.branch.specs):
            if (spec.pruning.rate if spec.pruning else 0.0) == rate:
                return Spot(self.branch, index)
        return None

    def _row(self, rates: dict[str, float], recipe: str) -> Row:
        branch = self.branch
        return Row(
            criterion=[branch.criterion],
            structure=[branch.structure],
            rates=rates,
            recipe=[recipe],
            quantization=[branch.quantization],
            round_to=self.space.round_to,
            scope="layer",
        )


def in_bands(layers: Sequence[str], count: int) -> list[list[str]]:
    """Divide layers, in their order, into at most `count` bands of nearly equal size."""
    count = min(count, len(layers))
    edges = [round(len(layers) * place / count) for place in range(count + 1)] if count else [0]
    return [list(layers[first:last]) for first, last in pairwise(edges)]
