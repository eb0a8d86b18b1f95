import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from onnx import TensorProto, helper

from edgecheck import children
from edgecheck.device.runtime import probe
from edgecheck.device.runtime.ort import Options
from edgecheck.errors import ConfigError, MeasurementError, ModelError
from tests.device import hostile_files
from tests.device.small_files import write

MIB = 1 << 20
MEASURABLE = sys.platform in ("linux", "darwin")

NO_SUCH = helper.make_node("NoSuchOperator", ["logits"], ["addend"])
# Class 4 and above of 4 classes.
OUTSIDE = [
    helper.make_node("ArgMax", ["logits"], ["class"], axis=1),
    helper.make_node("Add", ["class", "four"], ["outside"]),
    helper.make_node("Gather", ["logits", "outside"], ["gathered"], axis=1),
    helper.make_node("ReduceMean", ["gathered"], ["addend"], keepdims=0),
]

pytestmark = pytest.mark.skipif(not MEASURABLE, reason="this system does not tell peak memory")


def test_a_larger_input_needs_more(tmp_path):
    path = write(tmp_path / "model.onnx", shape=("N", 3, None, None))

    small = probe.run(path, Options(), (3, 8, 8)).peak_bytes
    large = probe.run(path, Options(), (3, 2048, 2048)).peak_bytes

    assert small > 10 * MIB
    assert large - small > 0.9 * (3 * 2048 * 2048 * 4)


def test_memory_of_the_parent_does_not_count(tmp_path):
    path = write(tmp_path / "model.onnx")
    alone = probe.run(path, Options(), (3, 8, 8)).peak_bytes

    ballast = np.ones(400 * MIB, dtype=np.uint8)
    beside = probe.run(path, Options(), (3, 8, 8)).peak_bytes

    assert ballast.nbytes > alone
    assert beside == pytest.approx(alone, abs=20 * MIB)


@pytest.mark.parametrize(
    "variation",
    [{"shape": (4, 8, 8, 3), "layout": "NHWC"}, {"dtype": TensorProto.FLOAT16}, {"shape": (None, None, None, None)}],
)
def test_foreign_files_can_be_measured(tmp_path, variation):
    path = write(tmp_path / "model.onnx", **variation)
    assert probe.run(path, Options(threads=2), (3, 8, 8)).peak_bytes > 10 * MIB


def test_a_file_that_cannot_be_loaded_is_refused_in_one_line(tmp_path):
    with pytest.raises(ModelError, match=r"m.onnx: ONNX Runtime cannot load it .*NoSuchOperator") as told:
        probe.run(hostile_files.write(tmp_path / "m.onnx", [NO_SUCH]), Options(), (3, 8, 8))
    assert "\n" not in str(told.value)


def test_a_run_that_fails_is_told_as_in_process(tmp_path):
    path = hostile_files.write(tmp_path / "m.onnx", OUTSIDE, [hostile_files.constant("four", 4)])
    with pytest.raises(MeasurementError, match=r"m.onnx: the run failed \(.*out of data bounds"):
        probe.run(path, Options(), (3, 8, 8))


def test_a_file_of_too_many_classes_is_refused(tmp_path):
    nodes = [helper.make_node("ConstantOfShape", ["size"], ["zeros"])]
    nodes.append(helper.make_node("Expand", ["zeros", "size"], ["addend"]))
    path = hostile_files.write(tmp_path / "m.onnx", nodes, [hostile_files.constant("size", 1, 100_004)], classes=1)
    with pytest.raises(ModelError, match=r"m.onnx: it gives 100,004 scores for one run"):
        probe.run(path, Options(), (3, 8, 8))


def test_a_loop_without_end_is_stopped(tmp_path):
    with pytest.raises(MeasurementError, match=r"m.onnx: stopped after 1 s"):
        probe.run(hostile_files.endless(tmp_path / "m.onnx"), Options(), (3, 8, 8), time_limit_s=1)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit data")
@pytest.mark.parametrize("make", [hostile_files.vast, hostile_files.swelling])
def test_a_file_that_wants_too_much_memory_is_stopped(tmp_path, make):
    with pytest.raises(MeasurementError, match=r"m.onnx: it needs more than 2.2 GB of memory for one image"):
        probe.run(make(tmp_path / "m.onnx"), Options(), (3, 8, 8))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit data")
def test_the_memory_limit_is_where_it_is_said_to_be(tmp_path, monkeypatch):
    monkeypatch.setattr(probe, "WORKING_BYTES", 256 * MIB)
    below, above = (
        hostile_files.swelling(tmp_path / f"{mib}.onnx", elements=mib * MIB // 4) for mib in (240, 256 + 2 * 16)
    )
    assert probe.run(below, Options(threads=2), (3, 8, 8)).peak_bytes > 240 * MIB
    with pytest.raises(MeasurementError, match=r"more than 0.3 GB"):
        probe.run(above, Options(threads=2), (3, 8, 8))


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (-signal.SIGSEGV, r"m.onnx: ONNX Runtime crashed on it \(SIGSEGV\)"),
        (1, r"m.onnx: not measured in a separate process \(last words\)"),
    ],
)
def test_a_crash_is_an_error_in_one_line(code, told):
    with pytest.raises(MeasurementError, match=told):
        probe._answer("m.onnx", subprocess.CompletedProcess([], code, "", "first\nlast words\n"), 0)


def test_an_abort_for_want_of_memory_is_told_as_such():
    words = "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\n"
    with pytest.raises(MeasurementError, match=r"more than 3.0 GB of memory"):
        probe._answer("m.onnx", subprocess.CompletedProcess([], -signal.SIGABRT, "", words), 3 * 10**9)


def test_nothing_in_the_current_folder_is_imported(tmp_path, monkeypatch):
    planted = tmp_path / "edgecheck" / "device"
    planted.mkdir(parents=True)
    forged = 'import sys\nprint(\'{"peak_bytes": 1, "runs_s": [1]}\'); sys.exit(0)\n'
    for file in (planted / "fresh.py", tmp_path / "json.py", tmp_path / "numpy.py", tmp_path / "sitecustomize.py"):
        file.write_text(forged)
    for folder in (planted, planted.parent):
        (folder / "__init__.py").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", ".", str(tmp_path)]))
    monkeypatch.setattr(children, "SEARCH_PATH", ("", ".", str(tmp_path), *children.SEARCH_PATH))
    path = write(tmp_path / "model.onnx")
    assert probe.run(path, Options(), (3, 8, 8)).peak_bytes > 10 * MIB


def test_child_imports_nothing_heavy():
    code = "import sys, edgecheck.device.runtime.probe; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert "onnxruntime" in modules
    assert not {"onnx", "torch", "cattrs", "google.protobuf"} & set(modules)


def test_runs_are_timed_as_often_as_asked(tmp_path):
    path = write(tmp_path / "model.onnx")

    assert len(probe.run(path, Options(), (3, 8, 8), runs=7).runs_s) == 7
    assert len(probe.run(path, Options(), (3, 8, 8), runs=1).runs_s) == probe.LEAST_RUNS


def test_options_reach_the_child(tmp_path):
    with pytest.raises(ConfigError, match="NoSuchProvider is not in this ONNX Runtime"):
        probe.run(write(tmp_path / "model.onnx"), Options(provider="NoSuchProvider"), (3, 8, 8))


def test_system_without_peak_memory_tells_none(monkeypatch, tmp_path):
    monkeypatch.setattr(probe, "STATUS", tmp_path / "none")
    monkeypatch.setattr(sys, "platform", "win32")
    assert probe._peak_bytes() is None
