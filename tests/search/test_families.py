import pytest

from edgecheck.gate.sentence import parse
from edgecheck.metrics import METRICS
from edgecheck.search.families import deciding, family, keep_predictions, of_family

# Of every metric, written down one by one: a new one has to be thought about.
COSTS = {
    "size.bytes", "size.zlib_bytes", "params", "params.graph", "params.nonzero", "macs", "macs.nonzero", "flops",
    "memory.activation_bytes", "memory.rss_bytes",
}  # fmt: skip
TIMES = {"latency.p50_s", "latency.p90_s", "latency.cold_s", "latency.ratio", "energy.per_inference_j"}


@pytest.mark.parametrize("metric", [name for name in METRICS if not name.startswith("test")])
def test_each_metric_has_a_family(metric):
    assert family(metric) == ("cost" if metric in COSTS else "time" if metric in TIMES else "quality")


def test_criteria_on_other_devices_are_left_to_their_results():
    criteria = [parse(text) for text in ("size.bytes <= 1 MB", "accuracy >= 90 %", "accuracy@pi4 >= 90 %")]
    assert of_family(criteria, "quality") == criteria[1:2]
    assert of_family(criteria, "cost") == criteria[:1]
    assert of_family(criteria, "time") == []


def test_only_criteria_that_fail_a_variant_decide():
    criteria = [parse(text) for text in ("size.bytes <= 1 MB", "size.zlib_bytes <= 1 MB warn")]
    assert deciding(criteria, "cost") == criteria[:1]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("accuracy_drop_pp <= 2", True),
        ("sp2ps.ablation-cam >= 0.9", True),
        ("accuracy_drop_pp <= 2 warn", False),
        ("parity.max_abs <= 0.001", False),
        ("cam.degenerate_share <= 0.05", False),
        ("fidelity.grad-cam >= 0.9", False),
        ("excess_error_pp.jpeg-3 <= 1", False),
        ("size.bytes <= 1 MB", False),
    ],
)
def test_what_can_hold_for_a_network_that_lost_all_keeps_no_predictions(text, kept):
    assert keep_predictions([parse(text)]) == kept
