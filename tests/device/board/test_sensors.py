"""What is found and read in planted trees of boards."""

import pytest

from edgecheck.device.board.sensors import find
from edgecheck.device.board.tree import Tree
from edgecheck.records.board import Unread
from tests.device.board.planted import CPU, HWMON, PI_FIRMWARE, THERMAL, clocks, plant, share_clock, stat, zone


def sensors_of(root, files):
    return find(Tree(plant(root, files)))


def test_a_raspberry_pi(tmp_path):
    share_clock(tmp_path, range(4), 1_500_000, 1_800_000)
    sensors = sensors_of(
        tmp_path,
        zone(0, "cpu-thermal", 48312, 80000)
        | {f"{HWMON}/hwmon0/name": "cpu_thermal", f"{HWMON}/hwmon0/temp1_input": 48312}  # the same zone once more
        | {f"{HWMON}/hwmon1/name": "rp1_adc", f"{HWMON}/hwmon1/temp1_input": 51000}
        | stat((100, 900), (0, 1000), (200, 800), (0, 1000))
        | {PI_FIRMWARE: "50000"},
    )

    sample = sensors.sample()

    assert sample.celsius == pytest.approx({"cpu-thermal": 48.312, "rp1_adc temp1 (hwmon1)": 51.0})
    assert sensors.zones[0].passive_celsius == 80
    assert [clock.cores for clock in sensors.clocks] == [(0, 1, 2, 3)]
    assert sample.hz == {0: 1.5e9}
    assert sample.limit_hz == {0: 1.8e9}
    assert sample.ticks == {0: (300, 1000)}
    assert sample.firmware == 0x50000
    assert sensors.tree.unread() == []


def test_an_x86_server(tmp_path):
    files = clocks({0: 3_500_000, 1: 1_200_000}, 3_900_000) | stat((10, 90), (20, 80))
    files |= {f"{HWMON}/hwmon2/name": "coretemp", f"{HWMON}/hwmon2/temp1_input": 61000}
    files |= {f"{HWMON}/hwmon2/temp1_label": "Package id 0"}
    for core in (0, 1):
        files |= {f"{CPU}/cpu{core}/thermal_throttle/core_throttle_count": core}
        files |= {f"{CPU}/cpu{core}/thermal_throttle/package_throttle_count": 7}
    sensors = sensors_of(tmp_path, files)

    sample = sensors.sample()

    assert sample.celsius == {"coretemp Package id 0 (hwmon2)": 61}
    assert sample.hz == {0: 3.5e9, 1: 1.2e9}
    assert sample.ticks == {0: (10, 100), 1: (20, 100)}
    assert sorted(sensors.counts().values()) == [0, 1, 7, 7]


def test_fans_are_no_coolers_of_the_cpu(tmp_path):
    files = {}
    for number, (kind, state) in enumerate([("pwm-fan", 3), ("thermal-cpufreq-0", 2), ("intel_powerclamp", -1)]):
        files |= {f"{THERMAL}/cooling_device{number}/type": kind}
        files |= {f"{THERMAL}/cooling_device{number}/cur_state": state}
    sensors = sensors_of(tmp_path, files)
    assert sensors.sample().cooling == {
        "thermal-cpufreq-0 (cooling_device1)": 2,
        "intel_powerclamp (cooling_device2)": -1,
    }


def test_zones_of_one_type_are_told_apart(tmp_path):
    sensors = sensors_of(tmp_path, zone(0, "acpitz", 30000) | zone(1, "acpitz", 40000))
    assert sensors.sample().celsius == {"acpitz (thermal_zone0)": 30, "acpitz (thermal_zone1)": 40}


@pytest.mark.parametrize("trip", [0, -274000, "?"])
def test_a_trip_point_that_is_not_used_is_none(tmp_path, trip):
    assert sensors_of(tmp_path, zone(0, "acpitz", 30000, trip)).zones[0].passive_celsius is None


def test_the_hardware_limit_stands_in_for_that_of_the_kernel(tmp_path):
    folder = f"{CPU}/cpu0/cpufreq"
    sensors = sensors_of(tmp_path, {f"{folder}/scaling_cur_freq": 600000, f"{folder}/cpuinfo_max_freq": 1000000})
    assert sensors.sample().limit_hz == {0: 1e9}


def test_no_sensors_at_all(tmp_path):
    sensors = find(Tree(tmp_path))
    assert sensors.sample().celsius == {}
    assert sensors.tree.unread() == [
        Unread("/sys/class/thermal/thermal_zone*/temp", "absent"),
        Unread("/sys/devices/system/cpu/cpu*/cpufreq/scaling_cur_freq", "absent"),
    ]


@pytest.mark.parametrize(
    ("millidegrees", "reason"),
    [
        (-274000, "not between -60000 and 200000"),
        (2**31 - 1, "not between -60000 and 200000"),
        ("", "not a number"),
        ("no data", "not a number"),
    ],
)
def test_a_temperature_that_cannot_be_is_none(tmp_path, millidegrees, reason):
    sensors = sensors_of(tmp_path, zone(0, "cpu", millidegrees) | zone(1, "gpu", 40000) | clocks({0: 1000}))
    assert sensors.sample().celsius == {"gpu": 40}
    assert Unread("/sys/class/thermal/thermal_zone*/temp", reason, 1) in sensors.tree.unread()


def test_files_that_vanish_are_left_out(tmp_path):
    sensors = sensors_of(tmp_path, zone(0, "cpu", 50000) | clocks({0: 1_000_000, 1: 1_000_000}) | stat((1, 2), (3, 4)))
    for name in (f"{THERMAL}/thermal_zone0/temp", f"{CPU}/cpu1/cpufreq/scaling_cur_freq", "proc/stat"):
        (tmp_path / name).unlink()

    sample = sensors.sample()

    assert (sample.celsius, sample.hz, sample.ticks) == ({}, {0: 1e9}, {})
    assert {unread.reason for unread in sensors.tree.unread()} == {"no such file or directory"}


@pytest.mark.parametrize(
    "line",
    [
        "cpu0",
        "cpu0 1 2 3",
        "cpu0 a b c d e f g h",
        "cpu0 -1 0 0 9 0 0 0",
        f"cpu0 {'9' * 5000} 0 0 9 0 0 0",
        "cpux 1 1 1 1 1 1 1",
    ],
)
def test_ticks_that_are_no_ticks_are_left_out(tmp_path, line):
    sensors = sensors_of(tmp_path, clocks({0: 1000}) | {"proc/stat": f"{line}\ncpu1 1 1 1 1 1 1 1\n"})
    assert sensors.sample().ticks == {}
