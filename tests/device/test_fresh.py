import subprocess
import sys

import numpy as np
import pytest
from onnx import TensorProto

from edgecheck.device import fresh
from edgecheck.device.runtime import Options
from edgecheck.errors import MeasurementError
from tests.device.small_files import write

MIB = 1 << 20
MEASURABLE = sys.platform in ("linux", "darwin")

pytestmark = pytest.mark.skipif(not MEASURABLE, reason="this system does not tell peak memory")


def test_a_larger_input_needs_more(tmp_path):
    path = write(tmp_path / "model.onnx", shape=("N", 3, None, None))

    small = fresh.peak_rss_bytes(path, Options(), (3, 8, 8))
    large = fresh.peak_rss_bytes(path, Options(), (3, 2048, 2048))

    assert small > 10 * MIB
    assert large - small > 0.9 * (3 * 2048 * 2048 * 4)


def test_memory_of_the_parent_does_not_count(tmp_path):
    path = write(tmp_path / "model.onnx")
    alone = fresh.peak_rss_bytes(path, Options(), (3, 8, 8))

    ballast = np.ones(400 * MIB, dtype=np.uint8)
    beside = fresh.peak_rss_bytes(path, Options(), (3, 8, 8))

    assert ballast.nbytes > alone
    assert beside == pytest.approx(alone, abs=20 * MIB)


@pytest.mark.parametrize(
    "variation",
    [{"shape": (4, 8, 8, 3), "layout": "NHWC"}, {"dtype": TensorProto.FLOAT16}, {"shape": (None, None, None, None)}],
)
def test_foreign_files_can_be_measured(tmp_path, variation):
    assert fresh.peak_rss_bytes(write(tmp_path / "model.onnx", **variation), Options(threads=2), (3, 8, 8)) > 10 * MIB


def test_failure_of_the_child_is_one_line(tmp_path):
    (tmp_path / "text.onnx").write_text("hello")

    with pytest.raises(
        MeasurementError, match=r"text.onnx: not measured in a process of its own .*Protobuf parsing failed"
    ) as told:
        fresh.peak_rss_bytes(tmp_path / "text.onnx", Options(), (3, 8, 8))

    assert "\n" not in str(told.value)


def test_time_limit(tmp_path):
    with pytest.raises(MeasurementError, match=r"took over 0.001 s"):
        fresh.run(write(tmp_path / "model.onnx"), Options(), (3, 8, 8), timeout_s=0.001)


def test_child_imports_nothing_heavy():
    code = "import sys, edgecheck.device.fresh; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert "onnxruntime" in modules
    assert not {"onnx", "torch", "cattrs", "google.protobuf"} & set(modules)


def test_runs_are_timed_as_often_as_asked(tmp_path):
    path = write(tmp_path / "model.onnx")

    assert len(fresh.run(path, Options(), (3, 8, 8), runs=7).runs_s) == 7
    assert len(fresh.run(path, Options(), (3, 8, 8), runs=1).runs_s) == fresh.LEAST_RUNS


def test_options_reach_the_child(tmp_path):
    with pytest.raises(MeasurementError, match="NoSuchProvider is not in this ONNX Runtime"):
        fresh.run(write(tmp_path / "model.onnx"), Options(provider="NoSuchProvider"), (3, 8, 8))


def test_system_without_peak_memory_is_a_measurement_error(monkeypatch, tmp_path):
    monkeypatch.setattr(fresh, "STATUS", tmp_path / "none")
    monkeypatch.setattr(sys, "platform", "win32")
    assert fresh._peak_bytes() is None

    monkeypatch.setattr(fresh, "run", lambda *_: fresh.Fresh(None))
    with pytest.raises(MeasurementError, match="does not tell"):
        fresh.peak_rss_bytes(tmp_path / "model.onnx", Options(), (3, 8, 8))
