"""The whole document: subject, environments, readings and verdicts."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import TypeVar

from attrs import field, frozen

from edgecheck.records.anchor import Anchor
from edgecheck.records.checks import iso_day, not_negative, unique
from edgecheck.records.device import DeviceRun
from edgecheck.records.diagnostic import Diagnostic
from edgecheck.records.policy import Policy, Recommendation, Status, Verdict
from edgecheck.records.readings import HOST, Reading
from edgecheck.records.similarity import Similarity
from edgecheck.records.variant import Variant

_OfVariant = TypeVar("_OfVariant", Verdict, Similarity)


@frozen
class Tool:
    """The program that wrote the document."""

    name: str
    version: str


@frozen
class Environment:
    """The machine, software versions and runtime options of the measurements.

    `cpu_flags` are the vector features of the CPU that choose kernels. `pace_hz` is the rate at which runs were
    started, None where each followed the last. `emulated` tells that the CPU was emulated on one of another family.
    """

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
    emulated: bool = False


@frozen
class Subject:
    """The baseline and its data: every variant of the run is compared with it on these images.

    `chance` is the share of the test images in the most frequent class, None in reports that do not hold it.
    `outputs` lists the network's output for each of `classes`; where it is empty, output i is class i.
    `finetune` describes the recipe, "" where no variant was fine-tuned.
    `revision` is the git revision of the folder that holds the model's factory or the configuration.
    `config_sha256` is the digest of the configuration file, None for a run without one.
    """

    name: str
    model: str
    weights_sha256: str
    dataset: str
    data_sha256: str
    images: int = field(validator=not_negative)
    classes: list[str]
    preprocessing: str
    preprocessing_sha256: str
    target_layer: str
    class_explained: str
    sam: str
    seed: int
    finetune: str
    skipped_images: int = field(default=0, validator=not_negative)
    outputs: list[int] = field(factory=list)
    explained_on: str = ""
    chance: float | None = None
    revision: str | None = None
    config_sha256: str | None = None


@frozen
class Withheld:
    """Heatmap evidence that the policy does not admit for a variant's file, and the reason.

    The report's own readings and similarities leave it out. Another policy may admit it again.
    """

    variant: str
    reason: str
    readings: list[Reading]
    similarities: list[Similarity] = field(factory=list)


def _describes_every_device(report: Report, _attribute: object, environments: dict[str, Environment]) -> None:
    """Refuse environments without one of the devices that readings name, or with another one for the host.

    Nothing is known of the machine of external figures.
    """
    if HOST in environments:
        raise ValueError(f"environments must not hold {HOST!r}: environment describes it")
    external = [name for name, run in report.devices.items() if run.external is not None]
    unknown = {reading.device for reading in report.readings} - {HOST, *environments, *external}
    if unknown:
        raise ValueError(f"readings name the device {min(unknown)!r}, which environments lacks")


@frozen
class Report:
    """The whole document: the content of `report.json`, and the input of every renderer and of the exit code.

    Attributes:
        environment: of the host.
        environments: of the other devices, by device name.
        devices: how the readings of the other devices came about, by device name.
        warnings: about the whole run and its devices; those about a variant are in `variants`.
        evidence: SHA-256 of each record and file in the run folder that the readings come from, by path.
        seconds: time that each stage took when it was computed, by stage.
        unverified: each mismatch with the digests that was overridden by `--unverified`.
        withheld: heatmap evidence that the policy does not admit.
        created: when the last stage was computed, UTC, ISO 8601.
        command: the command line that made the run, one word each.
        duration_s: time that all stages took when they were computed, whenever that was.
        samples: path of the raw latency samples, relative to the run folder.
        anchors: where the scale of Sp2PS lies, by attribution method.
        judged: the day of the judgement, UTC, ISO 8601, by which waivers count; None where none counted.
    """

    schema_version: int
    tool: Tool
    environment: Environment
    subject: Subject
    variants: list[Variant] = field(validator=unique(lambda variant: variant.name))
    readings: list[Reading] = field(validator=unique(lambda reading: reading.key))
    similarities: list[Similarity]
    policy: Policy
    verdicts: list[Verdict]
    statuses: dict[str, Status]
    recommendation: Recommendation
    passed: bool
    warnings: list[Diagnostic] = field(factory=list)
    evidence: dict[str, str] = field(factory=dict)
    seconds: dict[str, float] = field(factory=dict)
    unverified: list[str] = field(factory=list)
    withheld: list[Withheld] = field(factory=list)
    devices: dict[str, DeviceRun] = field(factory=dict)
    environments: dict[str, Environment] = field(factory=dict, validator=_describes_every_device)
    created: str | None = None
    command: list[str] | None = None
    duration_s: float | None = field(default=None, validator=not_negative)
    samples: str | None = None
    anchors: list[Anchor] = field(factory=list)
    judged: str | None = field(default=None, validator=iso_day)

    def value(self, variant: str, metric: str, device: str = HOST) -> Reading | None:
        """Return the reading of a metric on one variant and device, None where there is none."""
        return self._by_key.get((variant, metric, device))

    def readings_of(self, variant: str) -> list[Reading]:
        """Return the readings of a variant, on all devices."""
        return self._by_variant[variant]

    @cached_property
    def measured(self) -> frozenset[str]:
        """The metrics of which any variant has a value, on any device."""
        return frozenset(reading.metric for reading in self.readings if reading.value is not None)

    def verdicts_of(self, variant: str) -> list[Verdict]:
        """Return the verdicts on a variant, in the order of the gate."""
        return self._verdicts_by_variant.get(variant, [])

    def similarities_of(self, variant: str) -> list[Similarity]:
        """Return the heatmap comparisons of a variant, one per attribution method."""
        return self._similarities_by_variant.get(variant, [])

    @cached_property
    def _verdicts_by_variant(self) -> dict[str, list[Verdict]]:
        return _grouped(self.verdicts)

    @cached_property
    def _similarities_by_variant(self) -> dict[str, list[Similarity]]:
        return _grouped(self.similarities)

    @cached_property
    def _by_variant(self) -> dict[str, list[Reading]]:
        grouped: dict[str, list[Reading]] = {variant.name: [] for variant in self.variants}
        for reading in self.readings:
            grouped.setdefault(reading.variant, []).append(reading)
        return grouped

    @cached_property
    def _by_key(self) -> dict[tuple[str, str, str], Reading]:
        return {reading.key: reading for reading in self.readings}

    @property
    def chances(self) -> dict[str, float]:
        """Share of the images in the most frequent class, of each device that measured images of its own."""
        return {name: run.chance for name, run in self.devices.items() if run.chance is not None}

    @property
    def exit_code(self) -> int:
        """The exit code of a command that gates: 0 where the gate holds, 1 where it does not."""
        return 0 if self.passed else 1


def _grouped(items: Iterable[_OfVariant]) -> dict[str, list[_OfVariant]]:
    groups: dict[str, list[_OfVariant]] = {}
    for item in items:
        groups.setdefault(item.variant, []).append(item)
    return groups
