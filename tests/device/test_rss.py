import subprocess
import sys

import numpy as np
import pytest
from onnx import TensorProto

from edgecheck.device import rss
from edgecheck.errors import MeasurementError
from tests.device.small_files import write

MIB = 1 << 20
MEASURABLE = sys.platform in ("linux", "darwin")

pytestmark = pytest.mark.skipif(not MEASURABLE, reason="this system does not tell peak memory")


def test_a_larger_input_needs_more(tmp_path):
    path = write(tmp_path / "model.onnx", shape=("N", 3, None, None))

    small, large = rss.peak_rss_bytes(path, 1, (3, 8, 8)), rss.peak_rss_bytes(path, 1, (3, 2048, 2048))

    assert small > 10 * MIB
    assert large - small > 0.9 * (3 * 2048 * 2048 * 4)


def test_memory_of_the_parent_does_not_count(tmp_path):
    path = write(tmp_path / "model.onnx")
    alone = rss.peak_rss_bytes(path, 1, (3, 8, 8))

    ballast = np.ones(400 * MIB, dtype=np.uint8)
    beside = rss.peak_rss_bytes(path, 1, (3, 8, 8))

    assert ballast.nbytes > alone
    assert beside == pytest.approx(alone, abs=20 * MIB)


@pytest.mark.parametrize(
    "variation",
    [{"shape": (4, 8, 8, 3), "layout": "NHWC"}, {"dtype": TensorProto.FLOAT16}, {"shape": (None, None, None, None)}],
)
def test_foreign_files_can_be_measured(tmp_path, variation):
    assert rss.peak_rss_bytes(write(tmp_path / "model.onnx", **variation), 2, (3, 8, 8)) > 10 * MIB


def test_failure_of_the_child_is_one_line(tmp_path):
    (tmp_path / "text.onnx").write_text("hello")

    with pytest.raises(
        MeasurementError, match=r"text.onnx: peak memory not measured .*Protobuf parsing failed"
    ) as told:
        rss.peak_rss_bytes(tmp_path / "text.onnx", 1, (3, 8, 8))

    assert "\n" not in str(told.value)


def test_time_limit(tmp_path):
    with pytest.raises(MeasurementError, match=r"took over 0.001 s"):
        rss.peak_rss_bytes(write(tmp_path / "model.onnx"), 1, (3, 8, 8), timeout_s=0.001)


def test_child_imports_nothing_heavy():
    code = "import sys, edgecheck.device.rss; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert "onnxruntime" in modules
    assert not {"onnx", "torch", "cattrs", "google.protobuf"} & set(modules)


def test_system_without_peak_memory_is_a_measurement_error(monkeypatch, tmp_path):
    monkeypatch.setattr(rss, "STATUS", tmp_path / "none")
    monkeypatch.setattr(sys, "platform", "win32")

    with pytest.raises(MeasurementError, match="does not tell"):
        rss._peak_bytes()
