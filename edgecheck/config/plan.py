"""The `Plan`: the contents of `edgecheck.yaml` as frozen records, without open files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from attrs import Attribute, Factory, field, frozen
from attrs.validators import optional

from edgecheck.attribution.table import default_methods
from edgecheck.config.space import Space
from edgecheck.corruption.table import Corruption
from edgecheck.records import Policy
from edgecheck.steps import FineTuneStep, PruneStep, Quantize, RecalibrateStep, Recipe, Step
from edgecheck.validators import within

ClassExplained = Literal["predicted", "baseline", "label"]
CamEngine = Literal["edgecheck", "grad-cam"]
SamKind = Literal["map", "rgb"]
GraphOptimization = Literal["all", "extended", "basic", "disabled"]
Device = Literal["auto", "cpu", "cuda"]


# 4096 x 4096 pixels: a first layer with 16 channels turns one such image into 1 GB of activations.
MOST_PIXELS = 2**24


def _at_least(low: int) -> Any:
    def check(_instance: object, attribute: Attribute[Any], value: int) -> None:
        if value < low:
            raise ValueError(f"{attribute.name} must be at least {low}, not {value}")

    return check


def _each(low: float, high: float) -> Any:
    """Return a validator that checks low <= number <= high for each number."""

    def check(_instance: object, attribute: Attribute[Any], values: Sequence[float]) -> None:
        for value in values:
            if not low <= value <= high:
                raise ValueError(f"{attribute.name} must be between {low:g} and {high:g}, not {value:g}")

    return check


def _rising(_instance: object, attribute: Attribute[Any], values: Sequence[float]) -> None:
    if values[0] >= values[1]:
        raise ValueError(f"{attribute.name} must be increasing, not {values[0]:g} to {values[1]:g}")


def _affordable(_instance: object, attribute: Attribute[Any], size: tuple[int, int]) -> None:
    if size[0] * size[1] > MOST_PIXELS:
        raise ValueError(f"{attribute.name} must hold at most {MOST_PIXELS:,} pixels, not {size[0]} x {size[1]}")


@frozen
class ModelSpec:
    """A model: its factory (`path/file.py:function`, `torchvision:NAME`, `timm:NAME`, `edgecheck:NAME`) and weights."""

    factory: str
    weights: Path | None = None
    arguments: dict[str, Any] = field(factory=dict)


@frozen
class DataSpec:
    """A data set: `digits`, `cifar10`, `stl10`, `folder` or `npz`; `limit` keeps the first images of each split.

    `classes` maps the classes of the data to outputs of the network: one output index per class, or the names of all
    outputs.
    """

    dataset: str
    root: Path | None = None
    download: bool = False
    limit: int | None = field(default=None, validator=optional(_at_least(1)))
    train_limit: int | None = field(default=None, validator=optional(_at_least(1)))
    unreadable: Literal["fatal", "skip"] = "fatal"
    classes: list[int | list[str]] = field(factory=list)


@frozen
class Preprocessing:
    """Scale pixels 0..255 to `range`, then apply (x - mean) / std per channel. `size` is (height, width)."""

    size: tuple[int, int] | None = field(default=None, validator=optional([_each(1, 2**14), _affordable]))
    range: tuple[float, float] = field(default=(0.0, 1.0), validator=[_each(-1e6, 1e6), _rising])
    mean: list[float] = field(factory=list, validator=_each(-1e6, 1e6))
    std: list[float] = field(factory=list, validator=_each(1e-6, 1e6))


@frozen
class Explain:
    """Settings of the heatmaps: methods, map source, target layer, explained class, engine and variant of SAM.

    No method, no heatmaps. The `source` is that of `attribution.source.SOURCES`, or `auto`: the twin where baseline and
    variant have one, else the file. `pictures` is the number of images per group in the gallery of the report.
    """

    methods: list[str] = field(factory=default_methods)
    source: str = "auto"
    target_layer: str | None = None
    class_explained: ClassExplained = "predicted"
    engine: CamEngine = "edgecheck"
    sam: SamKind = "map"
    pictures: int = field(default=3, validator=_at_least(0))


@frozen
class Compute:
    """Where PyTorch trains and explains twins; ONNX files are always measured on the CPU.

    `threads` defaults to the number of cores that this process may use. `processes` train one network together: they
    share each batch and the threads, or use one GPU each. `processes` is never derived from the machine, because it
    changes the trained weights.
    """

    device: Device = "auto"
    threads: int | None = field(default=None, validator=optional(within(1, 256)))
    processes: int = field(default=1, validator=within(1, 256))


@frozen
class Prune:
    """How many training images a pruning criterion uses, if it uses images; the seed selects them."""

    images: int = field(default=128, validator=within(1, 10**6))


@frozen
class VariantSpec:
    """One variant: the compression steps applied to the baseline, in order.

    Without steps, or with the steps of a recipe alone, it is a control. `network` names the network as it is exported,
    after all steps that act on it. Several variants may share one network. `recipe` names the recipe of fine-tuning; ""
    is that of `finetune:`.
    """

    name: str
    steps: tuple[Step, ...]
    network: str = field(default=Factory(lambda spec: spec.name, takes_self=True))
    recipe: str = ""

    @property
    def is_control(self) -> bool:
        """Whether the variant is neither pruned nor quantized."""
        return all(isinstance(step, FineTuneStep | RecalibrateStep) for step in self.steps)

    @property
    def pruning(self) -> PruneStep | None:
        """The last pruning step, which has the pruning rate of the variant; None without pruning."""
        return next((step for step in reversed(self.steps) if isinstance(step, PruneStep)), None)

    @property
    def on_network(self) -> tuple[Step, ...]:
        """The steps before the export."""
        return tuple(step for step in self.steps if step.acts_on == "network")

    @property
    def on_file(self) -> tuple[Step, ...]:
        """The steps after the export."""
        return tuple(step for step in self.steps if step.acts_on == "file")


@frozen
class Measure:
    """Settings of the measurements: latency budget per variant, options of ONNX Runtime, memory, and file versions."""

    latency_budget_s: float = field(default=30.0, validator=within(0, 86400))
    pace_hz: float | None = field(default=None, validator=optional(within(0.01, 1e6)))
    batch: int = field(default=1, validator=within(1, 4096))
    intra_op_threads: int = field(default=1, validator=within(1, 256))
    provider: str = "CPUExecutionProvider"
    graph_optimization: GraphOptimization = "all"
    rss: bool = True
    max_opset: int = field(default=21, validator=within(1, 100))
    max_ir: int = field(default=10, validator=within(1, 100))


@frozen
class Half:
    """One of two halves of the test images, drawn by a seed: a search uses the first and is judged on the second."""

    seed: int
    part: Literal["first", "second"]


@frozen
class Plan:
    """Everything that a run needs. `source` is the configuration file; relative paths are already resolved.

    `source_sha256` is its digest, None where the command line alone describes the run.

    `recipes` holds all named recipes, of which the variants may use some; `finetune` is that of the others.
    `search` is the space of `edgecheck search`; `half` keeps one half of the test images. `corruption` holds the
    corruptions under which files are measured, those that the gate asks for included.
    `normalization_assumed` is true if neither the configuration nor the data set gave range, mean or std, so that the
    defaults apply.
    """

    name: str
    model: ModelSpec | None
    data: DataSpec
    preprocessing: Preprocessing
    explain: Explain
    compute: Compute
    train: Recipe
    finetune: Recipe
    prune: Prune
    quantize: Quantize
    controls: list[VariantSpec]
    variants: list[VariantSpec]
    measure: Measure
    opset: int
    policy: Policy
    seed: int
    recipes: dict[str, Recipe] = field(factory=dict)
    plugins: list[Path] = field(factory=list)
    search: Space = field(factory=Space)
    corruption: list[Corruption] = field(factory=list)
    half: Half | None = None
    source: Path | None = None
    source_sha256: str | None = None
    normalization_assumed: bool = False
