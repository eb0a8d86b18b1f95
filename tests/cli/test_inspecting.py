"""`count`, `bench`, `layers` and `doctor` on real files."""

import json

import pytest

from edgecheck.device.runtime import environment
from tests.device.small_files import write


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    once = write(folder / "once.onnx", shape=("N", 3, 32, 32), repeat=2)
    return once, write(folder / "twice.onnx", shape=("N", 3, 32, 32), repeat=4)


def test_bench_tells_how_it_measured(files, edgecheck):
    arguments = ["--time-budget", "0.2", "--pace", "200", "--batch", "2", "--graph-optimization", "basic"]
    code, out, _ = edgecheck("bench", *files, *arguments, "--format", "json")
    found = json.loads(out)

    assert code == 0
    assert found["samples"]["pace_hz"] == 200
    assert found["samples"]["batch"] == {"once.onnx": 2, "twice.onnx": 2}
    assert {r["metric"] for r in found["readings"]} == {
        "latency.p50_s",
        "latency.p90_s",
        "latency.cold_s",
        "latency.ratio",
    }


def test_bench_stops_when_ratios_are_known(files, edgecheck):
    _, out, _ = edgecheck("bench", files[0], files[0], "--time-budget", "60", "--format", "json")

    assert json.loads(out)["samples"]["decided"]


def test_a_provider_that_is_not_there_is_one_line(files, edgecheck):
    code, out, err = edgecheck("bench", files[0], "--provider", "NoSuchProvider")

    assert (code, out) == (2, "")
    assert "measure.provider: NoSuchProvider is not in this ONNX Runtime" in err


def test_layers_side_by_side(files, edgecheck):
    code, out, _ = edgecheck("layers", *files)

    assert code == 0
    assert "once.onnx" in out
    assert "of activations live at the peak" in out


def test_layers_as_numbers(files, edgecheck):
    _, out, _ = edgecheck("layers", files[1], "--format", "json")
    (found,) = json.loads(out).values()

    assert found["peak_bytes"] > 0
    assert all(layer["seconds"] >= 0 for layer in found["layers"])


def test_doctor_shows_what_chooses_kernels(edgecheck, tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "CPUINFO", tmp_path / "cpuinfo")
    (tmp_path / "cpuinfo").write_text("model name\t: Some CPU\nflags\t\t: fpu avx2 avx512_vnni\n")

    _, shown, _ = edgecheck("doctor")
    _, told, _ = edgecheck("doctor", "--format", "json")

    assert "Some CPU (avx2 avx512_vnni)" in shown
    assert json.loads(told)["environment"]["cpu_flags"] == ["avx2", "avx512_vnni"]
