"""How similar the heatmaps of a variant and its baseline are."""

from __future__ import annotations

from attrs import field, frozen

from edgecheck.records.checks import not_negative, ordered


@frozen
class ImageScore:
    """The comparison of one image's two heatmaps, kept for the images a report shows."""

    index: int = field(validator=not_negative)
    score: float
    label: int
    baseline_class: int
    variant_class: int


@frozen
class Mean:
    """The mean of a score over images, with its 95 % interval."""

    value: float
    low: float
    high: float = field(validator=ordered)


@frozen
class Similarity:
    """The similarity of the heatmaps of a variant and its baseline, for one CAM method.

    `source` says what the heatmaps of both were computed from: `twin`, `artefact`, or a source of a plugin.
    `score` is Sp2PS over all `n` images, `agreeing_score` over the `n_agreeing` on which both predict
    the same class. `both_zero` and `one_zero` count degenerate pairs, `negative_logits` the images whose
    explained logit is below zero in either model (Ablation-CAM's weights change sign there).
    `further` holds the scores of maps at their native resolution, by the family of the metric, such as `spearman`.
    """

    variant: str
    method: str
    score: float
    low: float
    high: float = field(validator=ordered)
    n: int = field(validator=not_negative)
    agreeing_score: float | None
    n_agreeing: int = field(validator=not_negative)
    ssim: float
    sam: float
    pe_like: float
    both_zero: int = field(validator=not_negative)
    one_zero: int = field(validator=not_negative)
    negative_logits: int = field(validator=not_negative)
    per_class: dict[str, float] = field(factory=dict)
    worst: list[ImageScore] = field(factory=list)
    source: str = "twin"
    further: dict[str, Mean] = field(factory=dict)
