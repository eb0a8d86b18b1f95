"""The sections of `edgecheck.yaml` as they are written, before they become a `Plan`."""

from __future__ import annotations

from pathlib import Path

from attrs import field, frozen

from edgecheck.config.gates import GateSection
from edgecheck.config.plan import Compute, DataSpec, Explain, Measure, ModelSpec, Preprocessing, Prune
from edgecheck.config.rows import Row
from edgecheck.config.space import Space
from edgecheck.steps import Quantize, Recipe
from edgecheck.validators import within

DEFAULT_OPSET = 18


@frozen
class ExportSection:
    """Settings of the ONNX export."""

    opset: int = field(default=DEFAULT_OPSET, validator=within(1, 100))


@frozen
class GateDocument:
    """The part of a configuration that `gate` and `check` need."""

    gate: GateSection


@frozen
class Document:
    """All sections of `edgecheck.yaml`."""

    data: DataSpec
    name: str = ""
    model: ModelSpec | None = None
    preprocessing: Preprocessing = field(factory=Preprocessing)
    explain: Explain = field(factory=Explain)
    compute: Compute = field(factory=Compute)
    train: Recipe = field(factory=Recipe)
    finetune: Recipe = field(factory=Recipe)
    recipes: dict[str, Recipe] = field(factory=dict)
    prune: Prune = field(factory=Prune)
    quantize: Quantize = field(factory=Quantize)
    controls: int = field(default=1, validator=within(1, 1000))
    plugins: list[Path] = field(factory=list)
    variants: list[Row] = field(factory=list)
    search: Space = field(factory=Space)
    gate: GateSection = field(factory=GateSection)
    corruption: list[str] = field(factory=list)
    measure: Measure = field(factory=Measure)
    export: ExportSection = field(factory=ExportSection)
    seed: int = field(default=0, validator=within(0, 2**32 - 1))
