"""Throttling by hand: what counts as a sign, and what only looks like one."""

from pathlib import Path

import pytest
from attrs import evolve

from edgecheck.device.board import throttling
from edgecheck.device.board.sensors import Sample, Zone, find
from edgecheck.device.board.tree import Tree
from edgecheck.records.board import Sign
from tests.device.board.planted import clocks, plant, stat, zone

CPU = Zone("cpu", Path("temp"), 80.0)
SECOND = 100  # ticks


def samples(*moments: tuple[float, float, float], limit_hz: float = 1.8e9) -> list[Sample]:
    """One sample a second of (degrees, GHz, busy share since the last one)."""
    busy, taken = 0, []
    for number, (celsius, gigahertz, share) in enumerate(moments):
        busy += round(share * SECOND)
        taken.append(Sample({"cpu": celsius}, {0: gigahertz * 1e9}, {0: limit_hz}, {0: (busy, number * SECOND)}))
    return taken


def signs(taken: list[Sample], first=None, last=None) -> list[Sign]:
    return throttling.signs(taken, [CPU], (first or {}, last or {}))


def test_a_busy_clock_that_falls_while_hot():
    taken = samples((60, 1.8, 1), (81, 1.8, 1), (82, 1.2, 1), (82, 0.9, 1), (80, 1.2, 1))
    assert signs(taken) == [Sign("slow-while-hot", "cpu", 3, 0.9 / 1.8)]


@pytest.mark.parametrize(
    "moments",
    [
        [(82, 0.6, 0)] * 5,  # hot and slow, because it idles
        [(82, 0.6, 0.5)] * 5,
        [(60, 0.9, 1)] * 5,  # busy and slow but cool: perhaps all cores are busy
        [(82, 1.8, 1)] * 5,  # busy and hot at full speed
        [(82, 1.65, 1)] * 5,  # a step of the governor below
        [(82, 1.8, 1), (82, 1.0, 1), (82, 1.8, 1), (82, 1.0, 1), (82, 1.8, 1)],  # read while the clock rose
        [(74.9, 0.9, 1)] * 5,  # more than 5 degrees below the trip point
        [(82, 0.9, 1)] * 2,  # too short to tell
    ],
)
def test_what_only_looks_like_it(moments):
    assert signs(samples(*moments)) == []


def test_just_below_the_trip_point_is_near():
    assert signs(samples(*[(75.0, 0.9, 1)] * 3)) == [Sign("slow-while-hot", "cpu", 2, 0.5)]


def test_a_limit_that_falls_during_the_measurement_is_not_what_is_allowed():
    """The kernel throttles by lowering scaling_max_freq itself."""
    taken = samples(*[(82, 1.8, 1)] * 2, *[(82, 0.9, 1)] * 2)
    taken[2:] = [evolve(sample, limit_hz={0: 0.9e9}) for sample in taken[2:]]
    assert signs(taken) == [Sign("slow-while-hot", "cpu", 2, 0.5)]


def test_samples_too_close_for_a_busy_share_are_no_evidence():
    taken = samples(*[(82, 0.9, 1)] * 5)
    taken = [evolve(sample, ticks={0: (number, number)}) for number, sample in enumerate(taken)]
    assert signs(taken) == []


@pytest.mark.parametrize("missing", ["celsius", "hz", "limit_hz", "ticks"])
def test_without_one_of_them_there_is_no_sign_and_nothing_is_watched(missing):
    taken = [evolve(sample, **{missing: {}}) for sample in samples(*[(82, 0.9, 1)] * 4)]
    assert signs(taken) == []
    assert throttling.watched(taken, [CPU], {}) == []


def test_what_is_watched():
    taken = samples(*[(50, 1.8, 1)] * 4)
    assert throttling.watched(taken, [CPU], {}) == ["slow-while-hot"]
    assert throttling.watched(taken, [evolve(CPU, passive_celsius=None)], {}) == []
    assert throttling.watched(taken[:2], [CPU], {}) == []
    assert throttling.watched([Sample(firmware=0)], [], {Path("c"): 0}) == ["throttle-count", "firmware"]
    assert throttling.watched([Sample(cooling={"thermal-cpufreq-0": 0})], [], {}) == ["cooling"]


def test_counters_that_grow():
    core, package = "cpu{}/core_throttle_count", "cpu{}/package_throttle_count"
    first = {Path(core.format(0)): 5, Path(core.format(1)): 9, Path(package.format(0)): 1, Path(package.format(1)): 1}
    last = {Path(core.format(0)): 8, Path(core.format(1)): 9, Path(package.format(0)): 3, Path(package.format(1)): 3}
    assert signs([Sample()], first, last) == [
        Sign("throttle-count", "core_throttle_count", 3),
        Sign("throttle-count", "package_throttle_count", 2),
    ]
    assert signs([Sample()], last, last) == []
    assert signs([Sample()], last, first) == []  # reset
    assert signs([Sample()], last, {}) == []  # vanished


@pytest.mark.parametrize(
    ("bits", "seen", "before"),
    [
        ([0, 0], {}, []),
        ([0, 0x50005], {"under-voltage": 1, "throttled": 1}, []),
        ([0, 0x20000], {"frequency-capped": 0}, []),  # between two samples
        ([0x50000, 0x50000], {}, ["under-voltage", "throttled"]),  # before the measurement
        ([0x80008, 0x80008, 0x80000], {"soft-temperature-limit": 2}, []),
        ([0, None, 0x40004], {"throttled": 1}, []),
        ([None, None], {}, []),
        ([0xFFF0FFF0, 0xFFF0FFF0], {}, []),  # bits without a meaning
    ],
)
def test_bits_of_the_firmware(bits, seen, before):
    taken = [Sample(firmware=value) for value in bits]
    assert {sign.kind: sign.count for sign in signs(taken)} == seen
    assert throttling.before(taken) == before


def test_a_cooling_device_in_use():
    states = [0, 2, 1, 0]
    taken = [Sample(cooling={"thermal-cpufreq-0": state, "intel_powerclamp": -1}) for state in states]
    assert signs(taken) == [Sign("cooling", "thermal-cpufreq-0", 2)]


def test_a_planted_board_that_throttles(tmp_path):
    """The same tree read as a board's, second by second."""
    sensors = find(Tree(plant(tmp_path, zone(0, "cpu-thermal", 60000, 80000) | clocks({0: 1_800_000}) | stat((0, 0)))))
    taken = [sensors.sample()]
    for second, (millidegrees, kilohertz) in enumerate([(81000, 1_800_000), (83000, 600_000), (83000, 600_000)], 1):
        plant(tmp_path, zone(0, "cpu-thermal", millidegrees, 80000) | clocks({0: kilohertz}))
        plant(tmp_path, stat((95 * second, 5 * second)))
        taken.append(sensors.sample())

    assert throttling.signs(taken, sensors.zones, ({}, {})) == [
        Sign("slow-while-hot", "cpu-thermal", 2, pytest.approx(1 / 3))
    ]
