"""One model file of a run."""

from __future__ import annotations

from typing import Literal

from attrs import field, frozen

from edgecheck.records.checks import not_negative

Role = Literal["baseline", "control", "candidate"]


@frozen
class LayerCost:
    """One node that ONNX Runtime ran: mean seconds, multiply-adds with padding, and bytes live while it runs.

    `layer` is the name that baseline and variant share; what is not known is None.
    """

    layer: str
    operator: str
    shape: list[int] | None
    macs: int | None = field(validator=not_negative)
    seconds: float = field(validator=not_negative)
    live_bytes: int | None = field(validator=not_negative)


@frozen
class Variant:
    """One model file of a run and where it came from. `file` is relative to the run folder."""

    name: str
    role: Role
    file: str = ""
    sha256: str = ""
    twin: str = ""
    criterion: str = ""
    structure: str = ""
    scope: str = ""
    rate: float | None = field(default=None, validator=not_negative)
    effective_rate: float | None = field(default=None, validator=not_negative)
    epochs: int | None = field(default=None, validator=not_negative)
    quantization: str = ""
    steps: int = 1
    round_to: int = 1
    opset: int | None = None
    ir_version: int | None = None
    warnings: list[str] = field(factory=list)
    pictures: list[str] = field(factory=list)
    layers: list[LayerCost] = field(factory=list)
    weight_bytes: dict[str, int] = field(factory=dict)
    arena_bytes: int | None = field(default=None, validator=not_negative)
    class_accuracy: dict[str, float] = field(factory=dict)
