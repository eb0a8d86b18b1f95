"""Tells from samples of the sensors whether a device was throttled.

Four signs count, each from what the hardware or the kernel says about itself:

- `throttle-count`: a counter of an x86 CPU grew.
- Bits of a Raspberry Pi's firmware: set at a sample, or set since the measurement began.
- `cooling`: the kernel has put a cooling device into use that slows the CPU down.
- `slow-while-hot`: in successive samples, a core was busy, its clock was well below the allowed maximum, and a zone was
  at or just below the trip point from which on the kernel lowers the clock. All three must hold: a clock that is low
  because the core idles is no throttling, and a busy core of a cool CPU may run below the maximum because all cores are
  busy.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from edgecheck.device.board.sensors import Sample, Zone
from edgecheck.records.board import Detector, FirmwareKind, Sign

# https://www.raspberrypi.com/documentation/computers/os.html#get_throttled
BITS: dict[int, FirmwareKind] = {
    0: "under-voltage",
    1: "frequency-capped",
    2: "throttled",
    3: "soft-temperature-limit",
}
OCCURRED = 16  # the same bits from here on: it has happened since start-up
FIRMWARE = "firmware"

BUSY_SHARE = 0.8  # of the time since the last sample; the governor then asks for the maximum
SLOW_SHARE = 0.9  # of the allowed frequency; governors step by less than a tenth near the maximum
NEAR_CELSIUS = 5.0  # below the trip point; the governor lets go only when it is colder by its hysteresis
SAMPLES = 2  # successive ones; a single low frequency may have been read while the clock rose
LEAST_TICKS = 20  # between two samples, for a share that means something; 0.2 s


def watched(samples: Sequence[Sample], zones: Sequence[Zone], counts: Mapping[Path, int]) -> list[Detector]:
    """Return which signs these sensors could have shown."""
    able: dict[Detector, bool] = {
        "throttle-count": bool(counts),
        "firmware": any(sample.firmware is not None for sample in samples),
        "cooling": any(sample.cooling for sample in samples),
        "slow-while-hot": len(samples) > SAMPLES and _can_be_slow(samples[0], samples[-1], zones),
    }
    return [detector for detector, is_able in able.items() if is_able]


def _can_be_slow(first: Sample, last: Sample, zones: Sequence[Zone]) -> bool:
    """Whether temperatures, trip points, clocks and busy shares are there."""
    has_trip = any(_excess(zone, last) > -float("inf") for zone in zones)
    return has_trip and any(core in last.hz and core in last.limit_hz for core in _busy_shares(first, last))


def signs(
    samples: Sequence[Sample], zones: Sequence[Zone], counts: tuple[Mapping[Path, int], Mapping[Path, int]]
) -> list[Sign]:
    """Return the signs of throttling.

    Args:
        samples: at least one, in order.
        zones: with their trip points.
        counts: the counters before the first and after the last sample.
    """
    return [*_counted(*counts), *_of_firmware(samples), *_cooled(samples), *_slow(samples, zones)]


def before(samples: Sequence[Sample]) -> list[FirmwareKind]:
    """Return what the firmware had seen between the start of the device and the first sample."""
    first = samples[0].firmware or 0
    return [kind for bit, kind in BITS.items() if first >> (bit + OCCURRED) & 1 and not first >> bit & 1]


def _counted(first: Mapping[Path, int], last: Mapping[Path, int]) -> Iterator[Sign]:
    growths = {path: last[path] - count for path, count in first.items() if last.get(path, 0) > count}
    for name in sorted({path.name for path in growths}):
        # The counter of a package is shown by each of its cores.
        yield Sign("throttle-count", name, max(grown for path, grown in growths.items() if path.name == name))


def _of_firmware(samples: Sequence[Sample]) -> Iterator[Sign]:
    told = [sample.firmware for sample in samples if sample.firmware is not None]
    for bit, kind in BITS.items():
        seen = sum(bits >> bit & 1 for bits in told)
        occurred = [bits >> (bit + OCCURRED) & 1 for bits in told]
        if seen or (occurred and occurred[-1] > occurred[0]):
            yield Sign(kind, FIRMWARE, seen)


def _cooled(samples: Sequence[Sample]) -> Iterator[Sign]:
    for name in sorted({name for sample in samples for name in sample.cooling}):
        seen = sum(sample.cooling.get(name, 0) > 0 for sample in samples)
        if seen:
            yield Sign("cooling", name, seen)


def _slow(samples: Sequence[Sample], zones: Sequence[Zone]) -> Iterator[Sign]:
    allowed: dict[int, float] = {}
    for sample in samples:
        allowed |= {core: max(hz, allowed.get(core, 0.0)) for core, hz in sample.limit_hz.items()}
    lowest: list[float | None] = [_slowest(*pair, zones, allowed) for pair in itertools.pairwise(samples)]
    spells = [list(group) for slow, group in itertools.groupby(lowest, lambda share: share is not None) if slow]
    lasting = [share for spell in spells if len(spell) >= SAMPLES for share in spell if share is not None]
    if lasting:
        hottest = max(zones, key=lambda zone: max(_excess(zone, sample) for sample in samples))
        yield Sign("slow-while-hot", hottest.name, len(lasting), min(lasting))


def _slowest(first: Sample, second: Sample, zones: Sequence[Zone], allowed: Mapping[int, float]) -> float | None:
    """Return the lowest share of the allowed frequency at which a busy core ran; None if none was slow and hot."""
    if not any(_excess(zone, second) >= -NEAR_CELSIUS for zone in zones):
        return None
    busy = [core for core, share in _busy_shares(first, second).items() if share >= BUSY_SHARE]
    shares = [second.hz[core] / allowed[core] for core in busy if core in second.hz and core in allowed]
    return min((share for share in shares if share < SLOW_SHARE), default=None)


def _excess(zone: Zone, sample: Sample) -> float:
    """Return by how many degrees a zone is hotter than its trip point; -inf if that is unknown."""
    if zone.passive_celsius is None or zone.name not in sample.celsius:
        return -float("inf")
    return sample.celsius[zone.name] - zone.passive_celsius


def _busy_shares(first: Sample, second: Sample) -> dict[int, float]:
    """Return the busy share of the time between two samples, by core."""
    shares = {}
    for core, (busy, total) in second.ticks.items():
        was_busy, was_total = first.ticks.get(core, (busy, total))
        if total - was_total >= LEAST_TICKS:
            shares[core] = (busy - was_busy) / (total - was_total)
    return shares
