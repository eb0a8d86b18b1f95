import re

import pytest

from edgecheck.device.latency import stability
from edgecheck.records import Diagnostic
from edgecheck.report.diagnostics import BENCH, render
from tests.device.timings import blocks, calm

SWITCHING = [[[1.0]] * 3] * 10 + [[[1.5]] * 3] * 10 + [[[1.0]] * 3] * 10


def test_no_warning_where_all_is_well():
    assert stability.warnings(calm()) == []
    assert stability.warnings(calm(other_load=None, stolen=None)) == []
    assert stability.warnings(calm(governor="performance")) == []


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ({"threads": 8}, "8 threads compete for 4 cores: set measure.intra_op_threads to 4 or less"),
        ({"other_load": 0.6}, "other processes used 60 % of the machine's cores"),
        ({"emulated": True}, "the CPU is emulated: latency and peak memory are those of the emulator"),
        ({"stolen": 0.1}, "the hypervisor gave 10 % of this machine's time to others"),
        ({"governor": "ondemand"}, "the CPU governor is ondemand, .* or set measure.pace_hz to the rate"),
        (
            {"governor": "ondemand", "pace_hz": 5.0},
            "the CPU governor is ondemand, .*: set the governor to performance$",
        ),
        ({"clock_s": 0.02}, r"a run of half takes 500 ms, too short for a clock that advances in steps of 20.0 ms"),
        ({"batch": {"baseline": 1, "half": 8}}, "half takes 8 images per run"),
        (
            {"blocks": blocks(baseline=[[[1.0]]] * 30, half=[[[1.0 + i / 60]] for i in range(30)])},
            r"the latency of half changed by \+3\d % .* let the device cool",
        ),
        (
            {"blocks": blocks(baseline=[[[1.0]] * 3] * 30, half=SWITCHING)},
            r"the latency ratio changes for seconds at a time: half \(1.00 to 1.50\)",
        ),
        (
            {"blocks": blocks(baseline=[[[1.0] * 9 + [3.0]]] * 30, half=[[[1.0] * 10]] * 30)},
            "10 % of the runs of baseline are outliers",
        ),
    ],
)
def test_each_doubt_comes_with_advice(changes, warning):
    sentences = [render(diagnostic) for diagnostic in stability.warnings(calm(**changes))]

    assert any(re.search(warning, sentence) for sentence in sentences), sentences


def test_advice_names_the_options_of_the_command_in_use():
    (diagnostic,) = stability.warnings(calm(threads=8))

    assert "set --threads to 4 or less" in render(diagnostic, BENCH)


def test_a_batch_that_was_asked_for_is_a_note():
    (diagnostic,) = stability.warnings(calm(batch={"baseline": 1, "half": 8}))

    assert diagnostic == Diagnostic("latency-of-batch", {"name": "half", "batch": 8}, severity="note")


def test_a_slow_first_run_is_told():
    import attrs

    slow = [{n: attrs.evolve(t, first_s=30.0) for n, t in block.items()} for block in calm().blocks]

    told = {diagnostic.fields["name"]: diagnostic for diagnostic in stability.warnings(calm(blocks=slow))}

    assert told["half"] == Diagnostic("cold-start-slow", {"name": "half", "first_s": 30.0, "factor": 60.0})
    assert "the first run of half takes 30.0 s, 60 times as long" in render(told["half"])


def test_outliers_are_counted_and_kept():
    samples = calm(blocks=blocks(baseline=[[[1.0, 1.01, 0.99, 5.0]]] * 20, half=[[[1.0] * 4]] * 20))

    assert stability.outliers(samples, "baseline") == 20
    assert samples.runs("baseline").max() == 5.0
