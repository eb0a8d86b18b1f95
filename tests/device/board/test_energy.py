"""Energy by hand: counters that wrap, rails of Jetson modules, and reasons instead of numbers."""

import os
import shutil
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecheck.device.board import energy, ina3221, rapl
from edgecheck.device.board.energy import joules, open_counter
from edgecheck.device.board.tree import Tree
from edgecheck.errors import MeasurementError
from edgecheck.records import from_dict, to_dict
from edgecheck.records.board import Energy
from tests.device.board.planted import HWMON, RAPL, plant

RANGE_UJ = 262_143_328_850  # of an Intel server


def package(number: int, microjoules: object, name: str = "package-{}", range_uj: object = RANGE_UJ):
    folder = f"{RAPL}/intel-rapl:{number}"
    return {
        f"{folder}/name": name.format(number),
        f"{folder}/energy_uj": microjoules,
        f"{folder}/max_energy_range_uj": range_uj,
    }


def part(number: str, name: str, microjoules: object):
    folder = f"{RAPL}/intel-rapl:{number}"
    return {f"{folder}/name": name, f"{folder}/energy_uj": microjoules, f"{folder}/max_energy_range_uj": RANGE_UJ}


def test_two_packages_without_their_parts(tmp_path):
    plant(tmp_path, package(0, 1_000_000) | package(1, 5_000_000) | part("0:0", "core", 0) | part("0:1", "dram", 0))
    plant(tmp_path, package(2, 0, "psys") | {f"{RAPL}/intel-rapl-mmio:0/name": "package-0"})

    def work():
        plant(tmp_path, package(0, 3_500_000) | package(1, 5_250_000) | part("0:0", "core", 10**9))
        plant(tmp_path, package(2, 10**9, "psys"))

    told = joules(work, tmp_path)

    assert (told.joules, told.counter, told.reason) == (pytest.approx(2.75), "RAPL package-0, package-1", "")
    assert told.seconds > 0
    assert told.per_inference_j(11) == pytest.approx(0.25)
    assert told.per_inference_j(0) is None
    assert from_dict(to_dict(told), Energy) == told


def test_a_counter_that_starts_again(tmp_path):
    plant(tmp_path, package(0, RANGE_UJ - 400_000))
    told = joules(lambda: plant(tmp_path, package(0, 600_000)), tmp_path)
    assert told.joules == pytest.approx(1.0)  # 0.4 J up to the end of the range, 0.6 J from 0


def test_a_counter_that_starts_again_several_times(tmp_path, monkeypatch):
    """A work longer than the range: readings in between catch each turn."""
    monkeypatch.setattr(rapl, "PERIOD_S", 0.001)
    caught, add = threading.Semaphore(0), rapl.Rapl._add
    monkeypatch.setattr(rapl.Rapl, "_add", lambda self: (add(self), caught.release())[0])
    plant(tmp_path, package(0, 0, range_uj=1_000_000))

    def work():
        for microjoules in (900_000, 500_000, 100_000):  # 0.9 + 0.6 + 0.6
            plant(tmp_path, package(0, microjoules, range_uj=1_000_000))
            for _ in range(2 + caught._value):  # one that began before the change, and one after it
                assert caught.acquire(timeout=30)

    assert joules(work, tmp_path).joules == pytest.approx(2.1)


@given(st.lists(st.integers(0, 999_999), max_size=20), st.integers(0, 1_000_000))
def test_steps_below_the_range_add_up(steps, first):
    counter = rapl.Rapl(Tree(Path("/nowhere")), [])
    zone, counted, now = rapl.Package("package-0", Path("e"), 1_000_000), 0, first
    for step in steps:
        then = now + step if now + step <= 1_000_000 else now + step - 1_000_000
        counted += counter._step(zone, now, then)
        now = then
    assert counted == sum(steps)


@pytest.mark.parametrize("range_uj", ["", "?", 0, -1, 50])
def test_without_a_range_a_counter_that_went_back_tells_nothing(tmp_path, range_uj):
    plant(tmp_path, package(0, 100, range_uj=range_uj))
    told = joules(lambda: plant(tmp_path, package(0, 60, range_uj=range_uj)), tmp_path)
    assert told.joules is None
    assert "went back" in told.reason


def test_a_counter_that_does_not_move_is_not_zero(tmp_path):
    told = joules(lambda: None, plant(tmp_path, package(0, 5)))
    assert (told.joules, told.counter) == (None, "RAPL package-0")
    assert "did not move" in told.reason


@pytest.mark.parametrize("then", ["garbage", -5, 2**70, ""])
def test_a_counter_that_breaks(tmp_path, then):
    plant(tmp_path, package(0, 5))
    told = joules(lambda: plant(tmp_path, package(0, then)), tmp_path)
    assert (told.joules, told.reason) == (None, "/sys/class/powercap/intel-rapl:0/energy_uj could not be read")


def test_a_counter_that_vanishes(tmp_path):
    plant(tmp_path, package(0, 5))
    assert joules(lambda: shutil.rmtree(tmp_path / RAPL), tmp_path).joules is None


@pytest.mark.parametrize(("content", "reason"), [("what", "not a number"), ("", "not a number"), (-1, "not between")])
def test_a_counter_that_never_worked(tmp_path, content, reason):
    with pytest.raises(MeasurementError, match=f"intel-rapl:0/energy_uj: {reason}"):
        open_counter(plant(tmp_path, package(0, content)))


def test_a_forbidden_counter_says_so():
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    root = Path(tempfile.mkdtemp())
    try:
        plant(root, package(0, 5))
        root.chmod(0o755)
        (root / RAPL / "intel-rapl:0/energy_uj").chmod(0o400)  # as kernels since 5.10 have it
        os.seteuid(65534)
        told = joules(lambda: None, root)
    finally:
        os.seteuid(0)
        shutil.rmtree(root)
    assert (told.joules, told.counter) == (None, None)
    assert told.reason == (
        "/sys/class/powercap/intel-rapl:0/energy_uj: permission denied; run as root, or let this user read it"
    )


def test_without_a_counter_the_work_is_done_and_the_reason_said(tmp_path):
    done = []
    told = joules(lambda: done.append(1), tmp_path)
    assert done == [1]
    assert (told.joules, told.counter) == (None, None)
    assert "no energy counter" in told.reason


def test_what_the_work_raises_passes_and_ends_the_thread(tmp_path):
    plant(tmp_path, package(0, 5))

    def work():
        raise KeyError("own")

    before = threading.active_count()
    with pytest.raises(KeyError, match="own"):
        joules(work, tmp_path)
    assert threading.active_count() == before


def jetson(number: int, *rails: tuple[str, object, object]) -> dict[str, object]:
    """An INA3221 with (label, mV, mA) of its channels, and the files that are no rails."""
    folder = f"{HWMON}/hwmon{number}"
    files: dict[str, object] = {f"{folder}/name": "ina3221", f"{folder}/in7_label": "sum of shunt voltages"}
    files |= {f"{folder}/in4_input": 999, f"{folder}/in7_input": 999, f"{folder}/curr4_input": 999}
    for channel, (label, millivolts, milliamperes) in enumerate(rails, 1):
        files |= {f"{folder}/in{channel}_label": label, f"{folder}/in{channel}_input": millivolts}
        files |= {f"{folder}/curr{channel}_input": milliamperes}
    return files


ORIN_NX = jetson(3, ("VDD_IN", 5000, 2000), ("VDD_CPU_GPU_CV", 5000, 1000), ("VDD_SOC", 5000, 500))
AGX_XAVIER = jetson(1, ("GPU", 10000, 100), ("CPU", 10000, 200), ("SOC", 10000, 300)) | jetson(
    2, ("CV", 10000, 0), ("VDDRQ", 10000, -8), ("SYS5V", 5000, 1000)
)
AGX_ORIN = jetson(1, ("VDD_GPU_SOC", 5000, 1), ("VDD_CPU_CV", 5000, 1), ("VIN_SYS_5V0", 5000, 1))


@pytest.mark.parametrize(
    ("files", "name", "power"),
    [
        (ORIN_NX, "INA3221 VDD_IN", 10.0),  # not 17.5: the others hang on it
        (AGX_XAVIER, "INA3221 GPU, CPU, SOC, CV, VDDRQ, SYS5V", 1 + 2 + 3 + 0 - 0.08 + 5),
        (jetson(0, ("POM_5V_IN", 5000, 400), ("POM_5V_GPU", 5000, 1)), "INA3221 POM_5V_IN", 2.0),
        (jetson(0, ("", 5000, 100)), "INA3221 channel 1", 0.5),
        (jetson(0, ("VDD", 5000, 100), ("NC", 0, 0)), "INA3221 VDD", 0.5),
    ],
)
def test_rails_of_jetson_modules(tmp_path, files, name, power):
    counter = open_counter(plant(tmp_path, files))
    assert counter.name == name
    counter._take()
    assert counter._powers[0][1] == pytest.approx(power)


def test_a_channel_that_is_off_is_no_rail(tmp_path):
    files = jetson(0, ("A", 5000, 100), ("B", 5000, 100)) | {f"{HWMON}/hwmon0/in2_enable": 0}
    assert open_counter(plant(tmp_path, files)).name == "INA3221 A"


def test_rails_that_may_overlap_are_not_added(tmp_path):
    told = joules(lambda: None, plant(tmp_path, AGX_ORIN))
    assert told.joules is None
    assert "VDD_GPU_SOC, VDD_CPU_CV, VIN_SYS_5V0" in told.reason
    assert "count energy twice" in told.reason


@pytest.mark.parametrize(
    ("millivolts", "reason"), [("x", "not a number"), (99_999, "not between"), (-5, "not between")]
)
def test_a_rail_that_cannot_be_read(tmp_path, millivolts, reason):
    told = joules(lambda: None, plant(tmp_path, jetson(0, ("VDD_IN", millivolts, 100))))
    assert told.joules is None
    assert told.reason.startswith(f"INA3221 VDD_IN in /sys/class/hwmon/hwmon0: {reason}")


def test_other_monitors_are_no_power_monitors(tmp_path):
    plant(tmp_path, {f"{HWMON}/hwmon0/name": "nvme", f"{HWMON}/hwmon0/in1_input": 5000})
    with pytest.raises(MeasurementError, match="no energy counter"):
        open_counter(tmp_path)


def test_trapezia_by_hand():
    """2 W for half of the time and 4 W for the other, with one step between them; unevenly sampled."""
    times = [0, 0.1, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.5]
    powers = [2.0] * 5 + [4.0] * 6
    # 0.5 s at 2 W, 0.1 s at their mean 3 W, 0.9 s at 4 W
    assert ina3221.integrated(list(zip(times, powers, strict=True))) == pytest.approx(1.0 + 0.3 + 3.6)


@pytest.mark.parametrize(
    ("powers", "reason"),
    [
        ([(0.1 * n, 2.0) for n in range(10)], "10 readings of the power"),
        ([(0.1 * n, None if n == 7 else 2.0) for n in range(20)], "could not be read throughout"),
        ([(0.1 * n + (5 if n > 9 else 0), 2.0) for n in range(20)], "not read for over 1 s"),
        ([], "0 readings"),
    ],
)
def test_power_that_was_not_read_often_enough_is_no_energy(powers, reason):
    with pytest.raises(MeasurementError, match=reason):
        ina3221.integrated(powers)


def test_energy_of_a_planted_jetson(tmp_path, monkeypatch):
    """10 W throughout: the joules are ten times the seconds, however the thread was scheduled."""
    monkeypatch.setattr(ina3221, "PERIOD_S", 0.002)
    monkeypatch.setattr(ina3221, "LONGEST_GAP_S", 60.0)
    taken, take = threading.Semaphore(0), ina3221.Ina3221._take
    monkeypatch.setattr(ina3221.Ina3221, "_take", lambda self: (take(self), taken.release())[0])
    counters, start = [], ina3221.Ina3221.start
    monkeypatch.setattr(ina3221.Ina3221, "start", lambda self: (counters.append(self), start(self))[1])

    told = joules(lambda: [taken.acquire(timeout=30) for _ in range(12)], plant(tmp_path, ORIN_NX))

    ((first_s, _), *_, (last_s, _)) = counters[0]._powers
    assert told.joules == pytest.approx(10.0 * (last_s - first_s))
    assert told.seconds <= last_s - first_s  # the readings enclose the work
    assert told.counter == "INA3221 VDD_IN"


def test_a_short_work_on_a_jetson_has_a_reason(tmp_path):
    told = joules(lambda: None, plant(tmp_path, ORIN_NX))
    assert (told.joules, told.counter) == (None, "INA3221 VDD_IN")
    assert told.reason == "2 readings of the power, one every 0.1 s, are too few: measure for over 1.1 s"


def test_counters_that_hang_are_not_awaited(tmp_path, monkeypatch):
    for module, files in ((rapl, package(0, 5)), (ina3221, ORIN_NX)):
        root = plant(tmp_path / module.__name__, files)
        monkeypatch.setattr(module.Ticker, "stop", lambda self: self._ended.set())
        assert "does not answer" in joules(lambda: None, root).reason


def test_this_machine_tells_a_number_or_a_reason():
    told = energy.joules(lambda: sum(range(10**5)))
    assert (told.joules is None) == bool(told.reason)
