import os
import platform
from types import SimpleNamespace

import numpy as np
import pytest

from edgecheck import versions
from edgecheck.device.runtime import environment
from edgecheck.device.runtime.ort import Options
from edgecheck.records import Environment, from_dict, to_dict


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A folder that stands for /proc."""
    monkeypatch.setattr(environment, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(environment, "DEVICE_TREE", tmp_path / "model")
    monkeypatch.setattr(environment, "STAT", tmp_path / "stat")
    return tmp_path


def test_describes_this_machine_and_survives_json():
    described = environment.describe(Options(threads=2))

    assert described.intra_op_threads == 2
    assert described.provider == "CPUExecutionProvider"
    assert described.versions["numpy"] == np.__version__
    assert "no-such-package" not in described.versions
    assert described.cpu
    assert described.logical_cores >= 1
    assert from_dict(to_dict(described), Environment) == described


def test_host_name_only_on_request():
    assert environment.describe(Options()).host == ""


@pytest.mark.parametrize(
    ("cpuinfo", "board", "cpu"),
    [
        ("processor\t: 0\nmodel\t: 17\nmodel name\t: Intel(R) Core(TM)\n\nprocessor\t: 1\n", "", "Intel(R) Core(TM)"),
        ("processor\t: 0\nCPU part\t: 0xd08\nModel\t\t: Raspberry Pi 4 Model B\n", "", "Raspberry Pi 4 Model B"),
        ("processor\t: 0\nHardware\t: BCM2711\n", "", "BCM2711"),
        ("processor\t: 0\nCPU part\t: 0xd42\n", "NVIDIA Jetson Orin Nano\0", "NVIDIA Jetson Orin Nano"),
    ],
)
def test_cpu_is_named_on_x86_and_on_boards(machine, cpuinfo, board, cpu):
    (machine / "cpuinfo").write_text(cpuinfo)
    if board:
        (machine / "model").write_text(board)

    assert environment.describe(Options()).cpu == cpu


def test_cpu_without_proc_is_what_python_says(machine, monkeypatch):
    monkeypatch.setattr(platform, "processor", lambda: "arm")

    assert environment.describe(Options()).cpu == "arm"


@pytest.mark.parametrize(
    ("cpuinfo", "flags"),
    [
        ("flags\t\t: fpu avx512_vnni avx2 sse4_2 avx512f\n", ["sse4_2", "avx2", "avx512f", "avx512_vnni"]),
        ("Features\t: fp asimd evtstrm asimddp i8mm\nCPU part\t: 0xd42\n", ["asimd", "asimddp", "i8mm"]),
        ("Features\t: half thumb neon vfpv4\n", ["neon"]),
        ("processor\t: 0\nFeatures\t: asimd\n\nprocessor\t: 1\nFeatures\t: asimd asimddp\n", ["asimd"]),
        ("uarch\t: sifive,u74-mc\n", []),
    ],
    ids=["x86", "ARM", "32-bit ARM", "cores that differ", "RISC-V"],
)
def test_vector_flags_that_every_core_has(machine, cpuinfo, flags):
    (machine / "cpuinfo").write_text(cpuinfo)

    assert environment.cpu_flags() == flags


def test_no_flags_without_proc(machine):
    assert environment.cpu_flags() == []


def test_a_package_that_is_not_installed_is_left_out(monkeypatch):
    monkeypatch.setattr(versions, "PACKAGES", ("numpy", "no-such-package"))

    assert list(environment.describe(Options()).versions) == ["numpy"]


def write_stat(machine, busy_seconds):
    ticks = int(busy_seconds * os.sysconf("SC_CLK_TCK"))
    (machine / "stat").write_text(f"cpu  {ticks} 0 0 999999 5 0 0 0 0 0\ncpu0 1 2 3\n")


def test_load_of_others_leaves_out_our_own(machine, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    # In the module alone: whoever else asks for the time meanwhile would use these up.
    monkeypatch.setattr(environment, "time", SimpleNamespace(perf_counter=iter([0.0, 10.0]).__next__))
    used = iter([os.times_result((1, 0, 0, 0, 0)), os.times_result((9, 2, 0, 0, 0))])
    monkeypatch.setattr(os, "times", used.__next__)

    write_stat(machine, 100)
    meter = environment.start_load_meter()
    write_stat(machine, 130)

    assert meter() == pytest.approx((30 - 10) / (10 * 4))


def test_load_average_where_there_is_no_proc(machine, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(os, "getloadavg", lambda: (3.0, 2.0, 1.0))

    assert environment.start_load_meter()() == pytest.approx(0.75)


def test_load_is_unknown_where_nothing_tells_it(machine, monkeypatch):
    monkeypatch.delattr(os, "getloadavg")

    assert environment.start_load_meter()() is None
