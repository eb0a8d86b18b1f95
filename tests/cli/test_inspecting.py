"""`count`, `bench`, `layers` and `doctor` on real files."""

import json
from pathlib import Path

import pytest

from edgecheck.attribution.table import METHODS
from edgecheck.config import reader
from edgecheck.corruption.table import KINDS
from edgecheck.device.latency import sampler
from edgecheck.device.runtime import environment
from edgecheck.gate.sentence import check_directions, parse
from edgecheck.metrics import METHOD_FAMILIES, METRICS, listed
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


class Ticking:
    """A clock by which every run takes a millisecond, however busy the machine is."""

    seconds = 0.0

    def now(self):
        self.seconds += 0.001
        return self.seconds


def test_bench_stops_when_ratios_are_known(files, edgecheck, monkeypatch):
    monkeypatch.setattr(sampler, "PerfCounter", Ticking)
    _, out, _ = edgecheck("bench", files[0], files[0], "--time-budget", "60", "--format", "json")

    samples = json.loads(out)["samples"]
    assert samples["decided"]
    assert samples["elapsed_s"] < samples["budget_s"] / 2


def test_a_provider_that_is_not_there_is_one_line(files, edgecheck):
    code, out, err = edgecheck("bench", files[0], "--provider", "NoSuchProvider")

    assert (code, out) == (2, "")
    assert "measure.provider: NoSuchProvider is not in this ONNX Runtime" in err


def test_layers_side_by_side(files, edgecheck):
    code, out, _ = edgecheck("layers", *files)

    assert code == 0
    assert "once.onnx" in out
    assert "live at the peak" in out


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


def test_metrics_lists_every_metric_with_its_meaning_and_source(edgecheck):
    _, shown, _ = edgecheck("metrics", "--format", "markdown")
    _, told, _ = edgecheck("metrics", "--format", "json")

    assert {m["name"]: m["source"] for m in json.loads(told)["metrics"]} == {m.name: m.source for m in METRICS.values()}
    assert "| size.bytes | lower | bytes | the .onnx file with its external data | file system |" in shown


@pytest.mark.parametrize("columns", [80, 120])
def test_metrics_fits_the_terminal(edgecheck, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    _, shown, _ = edgecheck("metrics")

    assert max(map(len, shown.splitlines())) <= columns
    assert all(f"\n{metric.name} " in shown for metric in listed())
    one_by_one = set(METRICS) - {metric.name for metric in listed()}
    assert one_by_one == {f"excess_error_pp.{kind}-{severity}" for kind in KINDS for severity in range(1, 6)} | {
        f"{family}.{method}" for family in METHOD_FAMILIES for method in METHODS
    }


@pytest.mark.parametrize("metric", METRICS)
def test_the_example_of_a_metric_is_a_gate_sentence(edgecheck, metric):
    code, shown, _ = edgecheck("metrics", metric)
    (example,) = [line for line in shown.splitlines() if line.startswith("example ")]

    assert code == 0
    criterion = parse(example.removeprefix("example"))
    assert criterion.metric == metric
    check_directions([criterion])


@pytest.mark.parametrize(
    ("metric", "limit"), [("agreement", ">= 95 %"), ("pie_rate", "<= 5 %"), ("js_divergence", "<= 0.05")]
)
def test_the_example_of_a_metric_rejects_what_is_worse(edgecheck, metric, limit):
    _, shown, _ = edgecheck("metrics", metric)
    assert f" {metric} {limit}\n" in shown


@pytest.mark.parametrize(
    ("command", "wrong", "right"), [("metrics", "latency.p90", "latency.p90_s"), ("criteria", "fpmg", "fpgm")]
)
def test_an_unknown_name_gets_the_nearest(edgecheck, command, wrong, right):
    code, out, err = edgecheck(command, wrong)

    assert (code, out) == (2, "")
    assert f"did you mean '{right}'?" in err


def test_criteria_tells_what_is_ranked_and_what_needs_images(edgecheck):
    code, told, _ = edgecheck("criteria", "--format", "json")
    facts = {fact["name"]: fact for fact in json.loads(told)["criteria"]}

    assert code == 0
    assert facts["l1"]["ranks"] == ["weights", "filters"]
    assert (facts["l1"]["needs_images"], facts["taylor"]["needs_images"]) == (False, True)
    assert all(fact["meaning"] and fact["source"] for fact in facts.values())


def test_one_criterion_comes_with_an_example(edgecheck):
    _, shown, _ = edgecheck("criteria", "fpgm")
    (example,) = [line for line in shown.splitlines() if line.startswith("example ")]
    config = f"data: {{dataset: digits}}\nvariants:\n  - {example.removeprefix('example')}\n"

    assert len(reader.parse(config, Path("edgecheck.yaml"), {}).variants) == 2
