"""The path of a search: what was tried, how it was judged, and what was chosen. The content of `search.json`."""

from __future__ import annotations

from attrs import field, frozen

from edgecheck.records.checks import not_negative
from edgecheck.records.policy import Verdict
from edgecheck.records.readings import Reading
from edgecheck.records.report import Tool
from edgecheck.search.bisection import Outcome


@frozen
class Attempt:
    """One variant that a search tried, judged on the first half of the test images.

    `value` is what the search minimizes, in the unit of its metric; None where it was not measured. `verdicts` and
    `readings` hold what was measured until the outcome was known: a variant that fails on accuracy is not explained.
    `reason` says why it could not be made.
    """

    variant: str
    branch: str
    outcome: Outcome
    value: float | None = None
    verdicts: list[Verdict] = field(factory=list)
    readings: list[Reading] = field(factory=list)
    reason: str = ""


@frozen
class BranchResult:
    """What a search found among the variants that differ in their pruning rate alone.

    `smallest` is the smallest one that passes; `note` says why the branch was left early or not searched at all.
    """

    label: str
    variants: int = field(validator=not_negative)
    smallest: str | None = None
    note: str = ""


@frozen
class Search:
    """A whole search.

    Attributes:
        minimize: the metric that the search makes as small as possible.
        baseline: its value for the baseline.
        images: number of test images that the search looked at; as many others judge the variant that it found.
        space: number of variants to choose from.
        attempts: in the order in which they were tried.
        found: the smallest variant that passed.
        judged: the variant that was judged on the other half: `found`, or the nearest one where none passed.
        stopped: why the search ended early; "" where it did not.
    """

    schema_version: int
    tool: Tool
    minimize: str
    baseline: float | None
    seed: int
    images: int = field(validator=not_negative)
    space: int = field(validator=not_negative)
    branches: list[BranchResult]
    attempts: list[Attempt]
    found: str | None
    judged: str | None
    stopped: str = ""
    command: list[str] | None = None
