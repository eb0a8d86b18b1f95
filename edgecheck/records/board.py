"""What a device tells beside the times: its temperature and clock, the energy used, and who ran each node."""

from __future__ import annotations

from typing import Literal

from attrs import field, frozen

from edgecheck.records.checks import finite, not_negative

CPU = "CPUExecutionProvider"  # where ONNX Runtime runs what the provider that was asked for does not take

# Bits of the firmware of a Raspberry Pi; each lowers the clock.
FirmwareKind = Literal["under-voltage", "frequency-capped", "throttled", "soft-temperature-limit"]
SignKind = Literal["throttle-count", "cooling", "slow-while-hot", FirmwareKind]
Detector = Literal["throttle-count", "cooling", "slow-while-hot", "firmware"]
# Whether nodes are counted as ONNX Runtime assigned them, or after fusion as they ran.
Counted = Literal["assigned", "ran"]


@frozen
class Temperature:
    """The temperature of one zone while a file was measured, in degrees Celsius.

    `passive_celsius` is the trip point from which on the kernel lowers the clock; None for a zone without one.
    """

    zone: str
    first_celsius: float = field(validator=finite)
    highest_celsius: float = field(validator=finite)
    last_celsius: float = field(validator=finite)
    passive_celsius: float | None = None


@frozen
class Clock:
    """The frequency of the fastest core at each sample, in Hz.

    `allowed_hz` is the highest frequency that the kernel allowed a core at any sample; None if it does not tell.
    """

    lowest_hz: float = field(validator=not_negative)
    highest_hz: float = field(validator=not_negative)
    last_hz: float = field(validator=not_negative)
    allowed_hz: float | None = field(default=None, validator=not_negative)


@frozen
class Sign:
    """One sign that the device was throttled.

    Attributes:
        kind: what was seen.
        where: the counter, cooling device, firmware or thermal zone that told.
        count: the growth of a counter, else the number of samples in which the sign was seen.
        clock_share: the lowest frequency of a busy core as a share of the allowed one, for `slow-while-hot`.
    """

    kind: SignKind
    where: str
    count: int = field(validator=not_negative)
    clock_share: float | None = None


@frozen
class Unread:
    """Files that could not be read: `source` with `*` for numbers, the reason, and how many there are."""

    source: str
    reason: str
    files: int = field(default=0, validator=not_negative)


@frozen
class Conditions:
    """Temperature, clock and throttling of a device while files were measured.

    Attributes:
        seconds: how long the sensors were watched.
        samples: how often they were read.
        temperatures: one entry per zone that could be read.
        clock: None if no frequency could be read.
        signs: signs of throttling.
        watched: what could have shown throttling on this device.
        before: what the firmware had seen before the measurement, since the device was started.
        unread: what could not be read.
    """

    seconds: float = field(validator=not_negative)
    samples: int = field(validator=not_negative)
    temperatures: list[Temperature] = field(factory=list)
    clock: Clock | None = None
    signs: list[Sign] = field(factory=list)
    watched: list[Detector] = field(factory=list)
    before: list[FirmwareKind] = field(factory=list)
    unread: list[Unread] = field(factory=list)

    @property
    def throttled(self) -> bool | None:
        """Whether the device was throttled; None if nothing on it could have shown that."""
        return True if self.signs else False if self.watched else None


@frozen
class Energy:
    """The energy that a counter measured, of everything that it covers, with the idle power.

    Attributes:
        joules: None if it could not be measured; `reason` then says why.
        counter: the counter and what it covers, such as `RAPL package-0`; None if there is none.
        seconds: how long the measured work took.
        reason: why there is no number.
    """

    joules: float | None = field(validator=not_negative)
    counter: str | None
    seconds: float = field(validator=not_negative)
    reason: str = ""

    def per_inference_j(self, runs: int) -> float | None:
        """Return the energy of one of `runs` inferences, in joules; None if it is unknown or nothing ran."""
        return self.joules / runs if self.joules is not None and runs else None


@frozen
class ProviderNodes:
    """The nodes of one execution provider, and their time per run.

    `names` are those of the nodes as they ran, so that a fused or compiled part of the graph has one name.
    """

    nodes: int = field(validator=not_negative)
    seconds: float = field(validator=not_negative)
    names: list[str] = field(factory=list)


@frozen
class Placement:
    """The execution provider of each node of a file.

    Attributes:
        asked: the provider that was asked for.
        providers: by name of the provider.
        runs: the number of profiled runs.
        counted: how nodes were counted.
    """

    asked: str
    providers: dict[str, ProviderNodes]
    runs: int = field(validator=not_negative)
    counted: Counted = "ran"

    @property
    def fallback_share(self) -> float | None:
        """Share of the nodes on the CPU provider although another was asked for, 0..1; None if no node ran."""
        return self._share({name: ran.nodes for name, ran in self.providers.items()})

    @property
    def fallback_time_share(self) -> float | None:
        """Share of the time of all nodes that those on the CPU provider took, 0..1; None if no time passed."""
        return self._share({name: ran.seconds for name, ran in self.providers.items()})

    def _share(self, amounts: dict[str, int] | dict[str, float]) -> float | None:
        whole = sum(amounts.values())
        if not whole:
            return None
        return 0.0 if self.asked == CPU else amounts.get(CPU, 0) / whole
