"""The frozen records between stages, and their JSON form: SI units, unrounded; what is missing is None, never 0."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from attrs import Attribute, field, frozen

from edgecheck.errors import InputError
from edgecheck.metrics import METRICS, Unit
from edgecheck.structuring import described, failures, json_converter

SCHEMA_VERSION = 2
READABLE_VERSIONS = (1, 2)  # version 1 has neither digests nor timings

Role = Literal["baseline", "control", "candidate"]
Operator = Literal[">=", "<=", ">", "<", "=="]
Level = Literal["fail", "warn"]
Status = Literal["PASS", "FAIL", "WARN", "INCONCLUSIVE", "MISSING"]


def _known_metric(_record: object, _attribute: object, name: str) -> None:
    if name not in METRICS:
        raise ValueError(f"unknown metric {name!r}")


def _unique(key: Callable[[Any], object]) -> Any:
    """Return an attrs validator that refuses a list in which two items have the same key."""

    def check(_record: object, attribute: Attribute[Any], items: Sequence[Any]) -> None:
        counts = Counter(map(key, items))
        twice = next((found for found, count in counts.items() if count > 1), None)
        if twice is not None:
            raise ValueError(f"{attribute.name} holds {twice} twice")

    return check


def _finite(_record: object, attribute: Attribute[Any], number: float) -> None:
    if not math.isfinite(number):
        raise ValueError(f"{attribute.name} must be a finite number, not {number}")


def _not_negative(_record: object, attribute: Attribute[Any], number: float | None) -> None:
    if number is not None and number < 0:
        raise ValueError(f"{attribute.name} must not be negative, but is {number}")


def _ordered(record: Any, attribute: Attribute[Any], high: float | None) -> None:
    if high is not None and record.low is not None and high < record.low:
        raise ValueError(f"{attribute.name} must not lie below low ({record.low}), but is {high}")


def _of_the_metric(record: Any, attribute: Attribute[Any], unit: str) -> None:
    if unit != METRICS[record.metric].unit:
        raise ValueError(f"{record.metric} is given in {METRICS[record.metric].unit}, not in {unit}")


@frozen
class Reading:
    """One measured number of one variant; `low`..`high` is its 95 % interval where there is one."""

    variant: str
    metric: str = field(validator=_known_metric)
    value: float | None
    unit: Unit = field(validator=_of_the_metric)
    low: float | None = None
    high: float | None = field(default=None, validator=_ordered)
    n: int | None = field(default=None, validator=_not_negative)
    note: str = ""


def reading(
    variant: str,
    metric: str,
    value: float | None,
    interval: tuple[float, float] | None = None,
    n: int | None = None,
    note: str = "",
) -> Reading:
    """Make a reading of a known metric; what is not finite becomes missing, with a note that says so."""
    if value is not None and not math.isfinite(value):
        value, note = None, note or f"measured {value}, which is not a number to judge by"
    low, high = interval if interval and value is not None and all(map(math.isfinite, interval)) else (None, None)
    # One type before and after JSON: counts are floats too, exact up to 2**53.
    return Reading(variant, metric, None if value is None else float(value), METRICS[metric].unit, low, high, n, note)


@frozen
class Criterion:
    """What the gate asks, as `text` at `where` says it; with `relative_to`, `limit` is added to the control's value."""

    metric: str = field(validator=_known_metric)
    op: Operator
    limit: float = field(validator=_finite)
    level: Level = "fail"
    text: str = ""
    where: str = ""
    relative_to: Literal["", "control"] = ""

    @property
    def offset(self) -> float | None:
        """What is added to the control's value; None where the limit is a number of its own."""
        return self.limit if self.relative_to else None


@frozen
class Verdict:
    """A criterion applied to a reading; given an `offset`, `limit` is that beyond the control: None without one."""

    variant: str
    metric: str = field(validator=_known_metric)
    op: Operator
    limit: float | None
    actual: float | None
    status: Status
    level: Level
    reason: str
    n: int | None = field(default=None, validator=_not_negative)
    offset: float | None = None


@frozen
class ImageScore:
    """The comparison of one image's two heatmaps, kept for the images a report shows."""

    index: int = field(validator=_not_negative)
    score: float
    label: int
    baseline_class: int
    variant_class: int


@frozen
class Similarity:
    """How alike the heatmaps of a variant and its baseline are, under one CAM method.

    `score` is Sp2PS over all `n` images, `agreeing_score` over the `n_agreeing` on which both predict
    the same class. `both_zero` and `one_zero` count degenerate pairs, `negative_logits` the images whose
    explained logit is below zero in either model (Ablation-CAM's weights change sign there).
    """

    variant: str
    method: str
    score: float
    low: float
    high: float = field(validator=_ordered)
    n: int = field(validator=_not_negative)
    agreeing_score: float | None
    n_agreeing: int = field(validator=_not_negative)
    ssim: float
    sam: float
    pe_like: float
    both_zero: int = field(validator=_not_negative)
    one_zero: int = field(validator=_not_negative)
    negative_logits: int = field(validator=_not_negative)
    per_class: dict[str, float] = field(factory=dict)
    worst: list[ImageScore] = field(factory=list)


@frozen
class Withheld:
    """Evidence from twins that does not speak for a variant's file under the policy, and why.

    It is no part of the report's readings and similarities; judged by another policy, it may come back.
    """

    variant: str
    reason: str
    readings: list[Reading]
    similarities: list[Similarity] = field(factory=list)


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
    rate: float | None = field(default=None, validator=_not_negative)
    effective_rate: float | None = field(default=None, validator=_not_negative)
    epochs: int | None = field(default=None, validator=_not_negative)
    quantization: str = ""
    steps: int = 1
    round_to: int = 1
    opset: int | None = None
    ir_version: int | None = None
    warnings: list[str] = field(factory=list)
    pictures: list[str] = field(factory=list)
    layers: list[LayerCost] = field(factory=list)
    weight_bytes: dict[str, int] = field(factory=dict)
    arena_bytes: int | None = field(default=None, validator=_not_negative)
    class_accuracy: dict[str, float] = field(factory=dict)


@frozen
class LayerCost:
    """One node that ONNX Runtime ran: mean seconds, multiply-adds with padding, and bytes live while it runs.

    `layer` is the name that baseline and variant share; what is not known is None.
    """

    layer: str
    operator: str
    shape: list[int] | None
    macs: int | None = field(validator=_not_negative)
    seconds: float = field(validator=_not_negative)
    live_bytes: int | None = field(validator=_not_negative)


@frozen
class Subject:
    """The baseline and its data: what every variant of the run is compared on.

    `chance` is the share of the test images in the most frequent class, None in reports of before it was kept.
    `outputs` are those of the network that `classes` stand for; where there are none, output i is class i.
    """

    name: str
    model: str
    weights_sha256: str
    dataset: str
    data_sha256: str
    images: int = field(validator=_not_negative)
    classes: list[str]
    preprocessing: str
    preprocessing_sha256: str
    target_layer: str
    class_explained: str
    sam: str
    seed: int
    finetune: str
    skipped_images: int = field(default=0, validator=_not_negative)
    outputs: list[int] = field(factory=list)
    explained_on: str = ""
    chance: float | None = None


@frozen
class Environment:
    """The machine and the versions that the numbers were measured with."""

    cpu: str
    logical_cores: int
    machine: str
    system: str
    python: str
    versions: dict[str, str]
    provider: str
    intra_op_threads: int
    host: str = ""
    graph_optimization: str = "all"
    pace_hz: float | None = None
    batch: int = 1
    cpu_flags: list[str] = field(factory=list)


@frozen
class Recommendation:
    """The one variant to ship, or none: then the advice is to keep the baseline."""

    variant: str | None
    reason: str


@frozen
class Policy:
    """How criteria combine: which variants must pass, and what an undecided reading counts as."""

    require: Literal["all", "any"] = "all"
    decide: Literal["point", "interval"] | None = None
    missing: Level = "fail"
    inconclusive: Level = "fail"
    criteria: list[Criterion] = field(factory=list)


@frozen
class Tool:
    """Who wrote the document."""

    name: str
    version: str


@frozen
class Report:
    """The whole document: `report.json`, and what every renderer and the exit code read.

    `evidence` holds the SHA-256 of every record and file in the run folder that the readings come from, by path;
    `seconds` what making each stage took; `unverified` what did not match when the report was judged all the same.
    """

    schema_version: int
    tool: Tool
    environment: Environment
    subject: Subject
    variants: list[Variant] = field(validator=_unique(lambda variant: variant.name))
    readings: list[Reading] = field(validator=_unique(lambda reading: (reading.variant, reading.metric)))
    similarities: list[Similarity]
    policy: Policy
    verdicts: list[Verdict]
    statuses: dict[str, Status]
    recommendation: Recommendation
    passed: bool
    warnings: list[str] = field(factory=list)
    evidence: dict[str, str] = field(factory=dict)
    seconds: dict[str, float] = field(factory=dict)
    unverified: list[str] = field(factory=list)
    withheld: list[Withheld] = field(factory=list)

    def value(self, variant: str, metric: str) -> Reading | None:
        """Return the reading of one variant, or None where it was not taken."""
        return next((r for r in self.readings if (r.variant, r.metric) == (variant, metric)), None)


Record = TypeVar("Record")

_converter = json_converter()


def to_dict(record: Any) -> dict[str, Any]:
    """Return the JSON-able form of a record."""
    return _converter.unstructure(record)


def to_json(record: Any) -> str:
    """Return a record, or JSON-able data, as indented JSON, keys in order; NaN is refused."""
    return json.dumps(to_dict(record), indent=2, allow_nan=False) + "\n"


def from_dict(data: Mapping[str, Any], kind: type[Record]) -> Record:
    """Return the record that `to_dict` made.

    Raises:
        InputError: the data is of another form, or of another schema version.
    """
    version = data.get("schema_version", SCHEMA_VERSION)
    if version not in READABLE_VERSIONS:
        told, known = described(version), " and ".join(map(str, READABLE_VERSIONS))
        raise InputError(f"schema version {told}, but this edgecheck reads {known}: use the edgecheck that wrote it")
    try:
        return _converter.structure(data, kind)
    except Exception as error:  # cattrs raises groups of many kinds; each means "not such a record"
        steps, message = next(failures(error), ((), "of another form"))
        place = ".".join(map(str, steps))
        raise InputError(f"not a {kind.__name__} record: {place + ': ' if place else ''}{message}") from error
