"""The meter on planted trees: from start to stop, and on whatever a tree may hold."""

import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecheck.device.board import ticker
from edgecheck.device.board.meter import Meter, clock, temperatures
from edgecheck.device.board.sensors import Sample, Sensors, Zone
from edgecheck.records import from_dict, to_dict
from edgecheck.records.board import Clock, Conditions, Sign, Temperature, Unread
from tests.device.board.planted import CPU, HWMON, PI_FIRMWARE, THERMAL, clocks, plant, stat, zone

LONG = 1000.0  # seconds between samples, so that only the first and the last are taken


def test_a_raspberry_pi_that_throttles(tmp_path):
    board = zone(0, "cpu-thermal", 60000) | clocks({0: 1_800_000, 1: 600_000}) | stat((0, 0), (0, 0))
    plant(tmp_path, board | {PI_FIRMWARE: "10000"})
    meter = Meter(tmp_path, LONG).start()
    plant(tmp_path, zone(0, "cpu-thermal", 82500) | clocks({0: 1_000_000, 1: 600_000}) | {PI_FIRMWARE: "50004"})

    told = meter.stop()

    assert told.throttled is True
    assert told.signs == [Sign("throttled", "firmware", 1)]
    assert told.before == ["under-voltage"]
    assert told.watched == ["firmware"]
    assert told.temperatures == [Temperature("cpu-thermal", 60, 82.5, 82.5)]
    assert told.clock == Clock(1e9, 1.8e9, 1e9, 1.8e9)
    assert (told.samples, told.unread) == (2, [])
    assert told.seconds > 0


def test_an_x86_whose_counters_grow(tmp_path):
    counter = f"{CPU}/cpu0/thermal_throttle/core_throttle_count"
    meter = Meter(plant(tmp_path, {counter: 3}), LONG).start()
    plant(tmp_path, {counter: 5})
    assert meter.stop().signs == [Sign("throttle-count", "core_throttle_count", 2)]


def test_a_calm_board_is_not_throttled(tmp_path):
    plant(tmp_path, zone(0, "cpu", 50000) | {PI_FIRMWARE: "0"})
    assert Meter(tmp_path, LONG).start().stop().throttled is False


def test_without_sensors_nothing_is_claimed(tmp_path):
    told = Meter(tmp_path, LONG).start().stop()
    assert told.throttled is None
    assert (told.temperatures, told.clock, told.watched) == ([], None, [])
    assert {unread.reason for unread in told.unread} == {"absent"}


def test_sensors_that_vanish_keep_what_they_told(tmp_path):
    plant(tmp_path, zone(0, "cpu", 50000) | clocks({0: 1_000_000}) | stat((0, 0)))
    meter = Meter(tmp_path, LONG).start()
    (tmp_path / f"{THERMAL}/thermal_zone0/temp").unlink()

    told = meter.stop()

    assert told.temperatures == [Temperature("cpu", 50, 50, 50)]
    assert told.unread == [Unread("/sys/class/thermal/thermal_zone*/temp", "no such file or directory", 1)]


def test_samples_are_taken_in_between(tmp_path, monkeypatch):
    taken, sample = threading.Semaphore(0), Sensors.sample
    monkeypatch.setattr(Sensors, "sample", lambda self: (taken.release(), sample(self))[1])
    meter = Meter(plant(tmp_path, zone(0, "cpu", 50000)), 0.001).start()
    for _ in range(6):
        assert taken.acquire(timeout=30)
    assert meter.stop().samples >= 6


def test_a_driver_that_hangs_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(ticker, "STOP_S", 0.01)
    hangs, entered, sample = threading.Event(), threading.Event(), Sensors.sample

    def hanging(self):
        if threading.current_thread() is not threading.main_thread():
            entered.set()
            hangs.wait()
        return sample(self)

    monkeypatch.setattr(Sensors, "sample", hanging)
    meter = Meter(plant(tmp_path, zone(0, "cpu", 50000)), 0.001).start()
    assert entered.wait(30)

    told = meter.stop()
    hangs.set()

    assert told.samples == 1
    assert told.unread[-1].source == "sensors"
    assert told.unread[-1].reason.startswith("no answer within")


def test_the_records_survive_json(tmp_path):
    plant(tmp_path, zone(0, "cpu", 50000, 80000) | clocks({0: 1_000_000}) | {PI_FIRMWARE: "40004"})
    told = Meter(tmp_path, LONG).start().stop()
    assert from_dict(to_dict(told), Conditions) == told


def test_first_highest_and_last():
    taken = [Sample({"a": 40}), Sample({"a": 70, "b": 1}), Sample({"a": 50})]
    zones = [Zone("a", Path("a")), Zone("b", Path("b"), 80), Zone("never", Path("n"))]
    assert temperatures(taken, zones) == [Temperature("a", 40, 70, 50), Temperature("b", 1, 1, 1, 80)]


def test_the_clock_is_that_of_the_fastest_core():
    taken = [Sample(hz={0: 6e8, 4: 2e9}, limit_hz={0: 1.8e9, 4: 2.4e9}), Sample(hz={0: 6e8, 4: 1e9}), Sample()]
    assert clock(taken) == Clock(1e9, 2e9, 1e9, 2.4e9)
    assert clock([Sample()]) is None


CONTENT = st.one_of(st.binary(max_size=40), st.integers().map(lambda number: str(number).encode()))
FILES = (
    f"{THERMAL}/thermal_zone0/type",
    f"{THERMAL}/thermal_zone0/temp",
    f"{THERMAL}/thermal_zone0/trip_point_0_type",
    f"{THERMAL}/thermal_zone0/trip_point_0_temp",
    f"{THERMAL}/cooling_device0/type",
    f"{THERMAL}/cooling_device0/cur_state",
    f"{HWMON}/hwmon0/name",
    f"{HWMON}/hwmon0/temp1_input",
    f"{CPU}/cpu0/cpufreq/scaling_cur_freq",
    f"{CPU}/cpu0/cpufreq/scaling_max_freq",
    f"{CPU}/cpu0/thermal_throttle/core_throttle_count",
    f"{CPU}/cpux/cpufreq/scaling_cur_freq",
    "proc/stat",
    PI_FIRMWARE,
)


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.sampled_from(FILES), CONTENT), st.dictionaries(st.sampled_from(FILES), CONTENT))
def test_no_garbage_raises_or_gives_a_number_that_cannot_be(first, then):
    with tempfile.TemporaryDirectory() as folder:
        meter = Meter(plant(Path(folder), first), LONG).start()
        told = Meter.stop(meter) if not then else (plant(Path(folder), then), meter.stop())[1]

    assert from_dict(to_dict(told), Conditions) == told
    assert all(-60 <= zone.highest_celsius <= 200 for zone in told.temperatures)
    assert told.clock is None or 0 < told.clock.highest_hz <= 20e9


@pytest.mark.parametrize("name", FILES)
def test_a_folder_in_the_place_of_a_file(tmp_path, name):
    plant(tmp_path, {other: "1" for other in FILES if other != name})
    (tmp_path / name).mkdir(parents=True)
    assert Meter(tmp_path, LONG).start().stop().samples == 2


def test_busy_ticks_come_from_the_tree(tmp_path):
    plant(tmp_path, zone(0, "cpu", 50000, 80000) | clocks({0: 1_000_000}) | stat((0, 0)))
    meter = Meter(tmp_path, LONG).start()
    meter._take()
    plant(tmp_path, stat((100, 0)))
    assert meter.stop().watched == ["slow-while-hot"]
