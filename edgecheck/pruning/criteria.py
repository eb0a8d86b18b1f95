"""The table of pruning criteria: what each ranks, what it needs, and where its functions are."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

from edgecheck.registry import Reference

Ranked = Literal["weights", "filters"]


@frozen(eq=False)
class Importance:
    """How a criterion ranks weights, filters, or both. The lowest score is removed first.

    `weights(inputs, weights)` returns one score per element by parameter name, each of the shape of its weight.
    `filters(inputs, groups)` returns one score per unit `(n,)` of each dependency group by the group's root. A group
    that it leaves out is not pruned. Under scope `global`, scores of different layers are compared.
    `unfit(model)` returns why a network cannot be ranked, or None. A function is given as itself or as a reference
    `"package.module:name"`, which is imported on first use, so that this table needs no PyTorch.

    `meaning` and `source` are shown by `edgecheck criteria`.
    """

    meaning: str
    source: str
    weights: Reference | None = None
    filters: Reference | None = None
    needs_images: bool = False
    unfit: Reference | None = None

    @property
    def ranks(self) -> tuple[Ranked, ...]:
        """What the criterion can rank."""
        return tuple(kind for kind in ("weights", "filters") if self.scorer(kind) is not None)

    def scorer(self, ranked: Ranked) -> Reference | None:
        """Return the function that scores weights or filters; None where the criterion cannot rank them."""
        return self.weights if ranked == "weights" else self.filters


_IN = "edgecheck.lab.prune.criteria"

CRITERIA: dict[str, Importance] = {
    "random": Importance(
        "a uniform random number drawn from the seed",
        "the reference in Renza & Ballesteros 2023, section 4",
        f"{_IN}.random:weights",
        f"{_IN}.random:filters",
    ),
    "l1": Importance(
        "the magnitude of a weight; the L1 norm of a filter over the mean of its layer",
        'Li et al. 2017, "Pruning filters for efficient ConvNets"',
        f"{_IN}.l1:weights",
        f"{_IN}.l1:filters",
    ),
    "l2": Importance(
        "the square of a weight; the L2 norm of a filter over the mean of its layer",
        'He et al. 2018, "Soft filter pruning", section 3.2',
        f"{_IN}.l2:weights",
        f"{_IN}.l2:filters",
    ),
    "bn-scale": Importance(
        "the magnitude of the BatchNorm scale that multiplies a channel",
        'Liu et al. 2017, "Learning efficient convolutional networks through network slimming"',
        filters=f"{_IN}.bn_scale:filters",
        unfit=f"{_IN}.bn_scale:unfit",
    ),
    "fpgm": Importance(
        "the sum of distances to the other filters of the layer",
        'He et al. 2019, "Filter pruning via geometric median", Eqs 5 to 7',
        filters=f"{_IN}.fpgm:filters",
    ),
    "taylor": Importance(
        "the first-order change of the loss when a weight or filter is removed",
        'Molchanov et al. 2019, "Importance estimation for neural network pruning", Eqs 5 and 7',
        f"{_IN}.taylor:weights",
        f"{_IN}.taylor:filters",
        needs_images=True,
    ),
    "hrank": Importance(
        "the mean rank of a filter's feature maps",
        'Lin et al. 2020, "HRank: Filter pruning using high-rank feature map", Eqs 3 to 5',
        filters=f"{_IN}.hrank:filters",
        needs_images=True,
    ),
    "senpis-faster": Importance(
        "the mean over classes of the change of the class's loss when a filter is switched off",
        'after Pachon, Ballesteros & Renza 2022, "SeNPIS"',
        filters=f"{_IN}.senpis:faster",
        needs_images=True,
    ),
    "senpis": Importance(
        "as senpis-faster, with the weaker of two similar filters attenuated",
        'after Pachon, Ballesteros & Renza 2022, "SeNPIS"',
        filters=f"{_IN}.senpis:attenuated",
        needs_images=True,
    ),
    "functionality": Importance(
        "a filter's contribution to the loss, reduced where a stronger filter has correlated activations",
        'after Qin et al. 2018, "Functionality-oriented convolutional filter pruning"',
        filters=f"{_IN}.functionality:filters",
        needs_images=True,
    ),
    "lrp": Importance(
        "the relevance of a filter's feature map for the logit of the right class",
        'Yeom et al. 2021, "Pruning by explaining"',
        filters=f"{_IN}.lrp:filters",
        needs_images=True,
    ),
}
