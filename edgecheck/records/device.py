"""How the readings of a device other than the host came about."""

from __future__ import annotations

from attrs import field, frozen

from edgecheck.records.board import Conditions, Energy, Placement
from edgecheck.records.checks import not_negative


@frozen
class DeviceRun:
    """One measurement on a device, or figures that another tool measured there.

    Attributes:
        external: the name of the file that the figures of another tool were read from; None if edgecheck measured.
        bundle_sha256: the bundle that was measured.
        images: the number of its test images.
        chance: the share of them in the most frequent class; None for external figures, and without real images.
        created: when it was measured, UTC, ISO 8601, by the clock of the device.
        duration_s: the time that all stages took.
        command: the command line, one word each.
        conditions: temperature, clock and throttling while latency was sampled; None if it was not.
        placements: which execution provider ran each node, by variant.
        energies: what the energy counter told, by variant.
    """

    external: str | None = None
    bundle_sha256: str | None = None
    images: int | None = field(default=None, validator=not_negative)
    chance: float | None = None
    created: str | None = None
    duration_s: float | None = field(default=None, validator=not_negative)
    command: list[str] | None = None
    conditions: Conditions | None = None
    placements: dict[str, Placement] = field(factory=dict)
    energies: dict[str, Energy] = field(factory=dict)
