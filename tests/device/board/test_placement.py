"""Which provider ran which node: a planted fall-back, and profiles written by hand."""

import os
import signal
import tempfile

import pytest

from edgecheck.device.board import placement
from edgecheck.device.board.placement import place, place_apart, placed
from edgecheck.device.diagnostics import fallback
from edgecheck.device.runtime import execution, ort
from edgecheck.device.runtime.ort import Options
from edgecheck.errors import ConfigError, MeasurementError, ModelError
from edgecheck.records import Diagnostic, from_dict, to_dict
from edgecheck.records.board import CPU, Placement
from edgecheck.report.diagnostics import render
from tests.device import small_files

AZURE = "AzureExecutionProvider"  # in ONNX Runtime's wheels; it takes no node of any file
SHAPE = (3, 8, 8)
# What `small_files.write` has: the Cast from float to float goes.
OPERATORS = ["GlobalAveragePool", "Flatten", "Gemm"]

needs_azure = pytest.mark.skipif(
    AZURE not in ort.onnxruntime.get_available_providers(), reason="this ONNX Runtime lacks AzureExecutionProvider"
)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return small_files.write(tmp_path_factory.mktemp("placement") / "model.onnx")


def test_the_cpu_that_was_asked_for_is_no_fallback(file):
    told = place(file, Options(), SHAPE)

    assert list(told.providers) == [CPU]
    assert told.providers[CPU].nodes == len(OPERATORS)
    assert [name.split("_")[0] for name in told.providers[CPU].names] == OPERATORS
    assert told.providers[CPU].seconds > 0
    assert (told.asked, told.fallback_share, told.fallback_time_share) == (CPU, 0.0, 0.0)
    assert told.runs >= execution.LEAST_RUNS
    assert fallback(told) == []


@needs_azure
def test_a_provider_that_takes_no_node_falls_back_whole(file):
    told = place(file, Options(provider=AZURE), SHAPE)

    assert list(told.providers) == [CPU]
    assert (told.asked, told.fallback_share, told.fallback_time_share) == (AZURE, 1.0, 1.0)
    (warning,) = fallback(told)
    assert warning.fields == {"provider": AZURE, "on_cpu": 3, "nodes": 3, "time_share": 1.0}
    assert render(warning).startswith(f"3 of 3 nodes (100 % of the time) ran on the CPU although {AZURE} was asked for")


@needs_azure
def test_it_works_in_a_process_of_its_own(file):
    apart, here = place_apart(file, Options(provider=AZURE), SHAPE), place(file, Options(provider=AZURE), SHAPE)
    assert apart.fallback_share == here.fallback_share == 1.0
    assert apart.providers[CPU].names == here.providers[CPU].names
    assert apart.counted == here.counted


@needs_azure
@pytest.mark.parametrize("information", ["absent", "empty"])
def test_an_older_runtime_has_its_profile(file, monkeypatch, information):
    asked = "get_provider_graph_assignment_info"
    session = ort.onnxruntime.InferenceSession
    for owner in session.__mro__ if information == "absent" else ():
        if asked in vars(owner):
            monkeypatch.delattr(owner, asked)
    if information == "empty":
        monkeypatch.setattr(session, asked, lambda self: [], raising=False)

    told = place(file, Options(provider=AZURE), SHAPE)

    assert told.counted == "ran"
    assert told.providers[CPU].nodes == len(told.providers[CPU].names) == len(OPERATORS)
    assert told.fallback_share == 1.0


def event(name: str, provider: str, microseconds: int, index: int = 0) -> dict:
    return {
        "cat": "Node",
        "name": f"{name}{execution.EVENT_SUFFIX}",
        "dur": microseconds,
        "args": {"provider": provider, "node_index": str(index)},
    }


# Two runs: the accelerator compiled a part of the graph into one node, the CPU ran two.
NPU = "QNNExecutionProvider"
MIXED = [event("QNN_1", NPU, 700), event("Softmax", CPU, 50), event("Cast", CPU, 50)] * 2


def test_a_mixed_profile_by_hand():
    told = placed(NPU, MIXED, runs=2)
    assert {provider: (ran.nodes, ran.names) for provider, ran in told.providers.items()} == {
        CPU: (2, ["Softmax", "Cast"]),
        NPU: (1, ["QNN_1"]),
    }
    assert told.providers[CPU].seconds == pytest.approx(1e-4)
    assert told.providers[NPU].seconds == pytest.approx(7e-4)
    assert told.counted == "ran"
    assert told.fallback_share == pytest.approx(2 / 3)
    assert told.fallback_time_share == pytest.approx(1 / 8)


def test_nodes_are_counted_before_they_were_compiled():
    told = placed(NPU, MIXED, runs=2, assigned={NPU: 98, CPU: 2})
    assert told.fallback_share == pytest.approx(0.02)
    assert told.fallback_time_share == pytest.approx(1 / 8)
    assert told.counted == "assigned"
    assert from_dict(to_dict(told), Placement) == told


def test_nothing_fell_back():
    told = placed(NPU, [event("QNN_1", NPU, 700)], 1)
    assert (told.fallback_share, told.fallback_time_share) == (0.0, 0.0)
    assert fallback(told) == []


def test_nodes_of_one_name_in_a_loop_are_told_apart_and_not_counted_by_trip():
    trips = [event("Add", CPU, 10, index) for _ in range(5) for index in (3, 7)]
    told = placed(NPU, trips, 1)
    assert told.providers[CPU].nodes == 2
    assert told.providers[CPU].seconds == pytest.approx(1e-4)


def test_without_nodes_there_is_no_share():
    told = placed(NPU, [], 1)
    assert (told.fallback_share, told.fallback_time_share) == (None, None)
    assert fallback(told) == []


def test_time_that_was_too_short_to_measure_has_no_share():
    told = placed(NPU, [event("Relu", CPU, 0)], 1)
    assert (told.fallback_share, told.fallback_time_share) == (1.0, None)
    (warning,) = fallback(told)
    assert render(warning).startswith("1 of 1 node ran on the CPU although QNN")


def test_a_profile_without_providers_is_an_error(file, monkeypatch):
    profile = execution.profile

    def without(*arguments, **extra):
        done = profile(*arguments, **extra)
        for told in done.events:
            del told["args"]["provider"]
        return done

    monkeypatch.setattr(execution, "profile", without)
    with pytest.raises(MeasurementError, match="profile cannot be read"):
        place(file, Options(), SHAPE)


@pytest.mark.parametrize("function", [place, place_apart])
def test_a_provider_that_is_not_there_is_named(file, function):
    with pytest.raises(ConfigError, match="NoSuchExecutionProvider is not in this ONNX Runtime"):
        function(file, Options(provider="NoSuchExecutionProvider"), SHAPE)


@pytest.mark.parametrize("function", [place, place_apart])
def test_a_file_that_cannot_run_is_named(tmp_path, function):
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(ModelError, match=r"broken\.onnx"):
        function(path, Options(), SHAPE)


def test_a_crash_is_the_result_of_the_file(file, monkeypatch):
    """The child is killed by the very signal that a crash of ONNX Runtime sends."""
    command = placement.probe.children.command

    def crashing(module, *arguments):
        name, *rest = command(module, *arguments)
        return [name, "-c", f"import os; os.kill(os.getpid(), {int(signal.SIGSEGV)})", *rest]

    monkeypatch.setattr(placement.probe.children, "command", crashing)
    with pytest.raises(MeasurementError, match="SIGSEGV"):
        place_apart(file, Options(), SHAPE)


def test_no_profile_is_left_behind(file, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.chdir(tmp_path)
    place(file, Options(), SHAPE)
    assert os.listdir(tmp_path) == []


def test_the_warning_is_data():
    assert fallback(placed(NPU, MIXED, 2, {NPU: 98, CPU: 2})) == [
        Diagnostic(
            "provider-fallback",
            {"provider": NPU, "on_cpu": 2, "nodes": 100, "time_share": pytest.approx(1 / 8)},
        )
    ]
