import re

import pytest

from edgecheck.device.latency import stability
from tests.device.timings import blocks, calm

SWITCHING = [[[1.0]] * 3] * 10 + [[[1.5]] * 3] * 10 + [[[1.0]] * 3] * 10


def test_no_warning_where_all_is_well():
    assert stability.warnings(calm()) == []
    assert stability.warnings(calm(other_load=None, stolen=None)) == []
    assert stability.warnings(calm(governor="performance")) == []


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ({"threads": 8}, "8 threads on 4 cores .* set measure.intra_op_threads to 4 or fewer"),
        ({"other_load": 0.6}, "other processes kept 60% of the machine's cores busy"),
        ({"stolen": 0.1}, "the hypervisor gave 10% of this machine's time to others"),
        ({"governor": "ondemand"}, "the CPU governor is ondemand"),
        ({"clock_s": 0.02}, r"a run of half takes 5.0e-01 s, but the clock moves in steps of 2.0e-02 s"),
        ({"batch": {"baseline": 1, "half": 8}}, "half takes 8 images at once"),
        (
            {"blocks": blocks(baseline=[[[1.0]]] * 30, half=[[[1.0 + i / 60]] for i in range(30)])},
            r"the latency of half changed by \+3\d% .* let the device cool",
        ),
        (
            {"blocks": blocks(baseline=[[[1.0]] * 3] * 30, half=SWITCHING)},
            r"go up and down for seconds at a time: half \(1.00 to 1.50\)",
        ),
        (
            {"blocks": blocks(baseline=[[[1.0] * 9 + [3.0]]] * 30, half=[[[1.0] * 10]] * 30)},
            "10% of the runs of baseline are outliers",
        ),
    ],
)
def test_each_doubt_comes_with_advice(changes, warning):
    told = stability.warnings(calm(**changes))

    assert any(re.search(warning, line) for line in told), told
    assert not any("\n" in line for line in told)


def test_a_slow_first_run_is_told():
    import attrs

    slow = [{n: attrs.evolve(t, first_s=30.0) for n, t in block.items()} for block in calm().blocks]

    assert any(
        "the first run of half takes 30 s, 60 times as long" in line for line in stability.warnings(calm(blocks=slow))
    )


def test_outliers_are_counted_and_kept():
    samples = calm(blocks=blocks(baseline=[[[1.0, 1.01, 0.99, 5.0]]] * 20, half=[[[1.0] * 4]] * 20))

    assert stability.outliers(samples, "baseline") == 20
    assert samples.runs("baseline").max() == 5.0
