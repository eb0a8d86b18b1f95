"""The whole document: what was measured on what, and the verdicts."""

from __future__ import annotations

from attrs import field, frozen

from edgecheck.records.checks import not_negative, unique
from edgecheck.records.policy import Policy, Recommendation, Status, Verdict
from edgecheck.records.readings import Reading
from edgecheck.records.similarity import Similarity
from edgecheck.records.variant import Variant


@frozen
class Tool:
    """Who wrote the document."""

    name: str
    version: str


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
class Report:
    """The whole document: `report.json`, and what every renderer and the exit code read.

    `evidence` holds the SHA-256 of every record and file in the run folder that the readings come from, by path;
    `seconds` what making each stage took; `unverified` what did not match when the report was judged all the same.
    """

    schema_version: int
    tool: Tool
    environment: Environment
    subject: Subject
    variants: list[Variant] = field(validator=unique(lambda variant: variant.name))
    readings: list[Reading] = field(validator=unique(lambda reading: (reading.variant, reading.metric)))
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
