"""Compression steps, each a frozen record of its own type; a variant is the baseline and a tuple of steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from attrs import Attribute, field, frozen
from attrs.validators import optional

from edgecheck.artefact import later
from edgecheck.registry import register
from edgecheck.validators import within

Scope = Literal["global", "layer"]


class Step:
    """One compression step.

    Attributes:
        kind: names its type in JSON and in `STEPS`.
        acts_on: what it changes. Steps on the network come first, then the export, then steps on the file.
    """

    kind: ClassVar[str]
    acts_on: ClassVar[Literal["network", "file"]]


class NetworkStep(Step):
    """Base of network steps with their own code, such as those of plugins."""

    acts_on = "network"

    def change(self, model: Any) -> Any:
        """Return the changed `torch.nn.Module`: `model` or another one with the same inputs and outputs."""
        raise NotImplementedError


class FileStep(Step):
    """Base of file steps with their own code."""

    acts_on = "file"

    def convert(self, source: Path, out: Path) -> None:
        """Read the ONNX file `source` and write `out`."""
        raise NotImplementedError


STEPS: dict[str, type[Step]] = {}

MOST_WEIGHT = 1e6  # of a loss; beyond it nothing else counts


def _positive(_instance: object, attribute: Attribute[float], value: float) -> None:
    if not 0 < value <= MOST_WEIGHT:
        raise ValueError(f"{attribute.name} must be above 0 and at most {MOST_WEIGHT:g}, not {value:g}")


def _shares(_instance: object, _attribute: Attribute[dict[str, float]], rates: dict[str, float]) -> None:
    for name, rate in rates.items():
        if not 0 <= rate <= 1:
            raise ValueError(f"the rate of {name} must be between 0 and 1, not {rate:g}")


@frozen
class Preserve:
    """Keep the baseline's heatmaps: `weight` times the distance between them and the network's is added to the loss."""

    method: str = "grad-cam"
    weight: float = field(default=4.0, validator=_positive)


@frozen
class Recipe:
    """SGD with momentum on cross-entropy. The defaults are the paper's fine-tuning.

    `distill` is the weight of the distillation loss against the baseline's outputs, softened by `temperature`.
    `preserve` adds the distance from the baseline's heatmaps to the loss.
    An iterative schedule trains for `epochs_between` epochs after each step except the last.
    `validation` is the share of the training images held out to select the best epoch, and to stop after `patience`
    epochs without improvement.
    `freeze_batchnorm_statistics` keeps the running mean and variance; the affine parameters are trained.
    `recalibrate_batchnorm` is the number of training images on which they are estimated again before training.
    """

    epochs: int = field(default=10, validator=within(0, 10**6))
    epochs_between: int = field(default=1, validator=within(0, 10**6))
    batch_size: int = field(default=32, validator=within(1, 2**20))
    learning_rate: float = field(default=0.001, validator=within(0, 1e6))
    momentum: float = field(default=0.9, validator=within(0, 1))
    weight_decay: float = field(default=0.0, validator=within(0, 1))
    schedule: Literal["constant", "cosine", "step"] = "constant"
    warmup_epochs: float = field(default=0.0, validator=within(0, 10**6))
    label_smoothing: float = field(default=0.0, validator=within(0, 0.99))
    flip: bool = False
    crop: int = field(default=0, validator=within(0, 1024))
    distill: float = field(default=0.0, validator=within(0, 1))
    temperature: float = field(default=4.0, validator=within(0.1, 100))
    validation: float = field(default=0.0, validator=within(0, 0.5))
    patience: int | None = field(default=None, validator=optional(within(1, 10**6)))
    precision: Literal["float32", "bfloat16"] = "float32"
    freeze_batchnorm_statistics: bool = later(default=False)
    preserve: Preserve | None = later(default=None)
    recalibrate_batchnorm: int | None = later(default=None, validator=optional(within(2, 10**6)))


@frozen
class Quantize:
    """Calibration of int8 quantization on `images` training images, which the seed selects.

    `reduce_range` uses 7 bits for weights instead of 8. With 8 bits, sums saturate on x86 CPUs without VNNI. The
    default does not depend on the machine, so that the same configuration gives the same file everywhere.
    `exclude` lists nodes of the float file that are not quantized; `edgecheck blame` advises which. `only` lists the
    nodes that are quantized; None for all.
    """

    calibration: Literal["minmax", "entropy", "percentile"] = "minmax"
    images: int = field(default=128, validator=within(1, 10**6))
    per_channel: bool = True
    activations: Literal["int8", "uint8"] = "uint8"
    reduce_range: bool = True
    exclude: list[str] = field(factory=list)
    only: list[str] | None = later(default=None)


@register(STEPS, "prune")
@frozen
class PruneStep(Step):
    """Remove what a criterion scores lowest.

    `rate` is relative to the unpruned network, and is reached in the last step of an iterative schedule. `share` is the
    part of it reached after this step, 1 for the last or only step. Layers keep a multiple of `round_to` channels.
    `rates` gives single layers or dependency groups a rate of their own, by name; the others have `rate`.
    """

    kind = "prune"
    acts_on = "network"
    criterion: str
    structure: str
    scope: Scope
    rate: float = field(validator=within(0, 1))
    round_to: int = field(default=1, validator=within(1, 2**20))
    share: float = field(default=1.0, validator=within(0, 1))
    rates: dict[str, float] | None = later(default=None, validator=optional(_shares))

    @property
    def removes(self) -> bool:
        """Whether any rate is above 0."""
        return self.rate > 0 or any((self.rates or {}).values())

    def rate_of(self, name: str) -> float:
        """Return the rate of a layer or dependency group."""
        return (self.rates or {}).get(name, self.rate)


@register(STEPS, "finetune")
@frozen
class FineTuneStep(Step):
    """Train the network for `recipe.epochs` epochs; `seed` determines the order of the images."""

    kind = "finetune"
    acts_on = "network"
    recipe: Recipe
    seed: int


@register(STEPS, "recalibrate")
@frozen
class RecalibrateStep(Step):
    """Estimate the statistics of BatchNorm again on `images` training images, drawn by `seed`; nothing is trained."""

    kind = "recalibrate"
    acts_on = "network"
    images: int = field(validator=within(2, 10**6))
    seed: int


@register(STEPS, "quantize")
@frozen
class QuantizeStep(Step):
    """Write the ONNX file in another number format: `int8`, `int8-dynamic` or `fp16`."""

    kind = "quantize"
    acts_on = "file"
    scheme: str
    options: Quantize = field(factory=Quantize)
