"""Compression that should make a file faster, and does not."""

import pytest

from edgecheck.gate.slowdowns import slowdowns
from edgecheck.records import Diagnostic, Variant, reading

BASELINE = Variant("baseline", "baseline")
INT8 = Variant("a", "candidate", weight_bytes={"int8": 900, "float32": 100})
FLOAT = Variant("a", "candidate", weight_bytes={"float32": 1000})
UNKNOWN = Variant("a", "candidate")


def found(variant, ratio, share_of_macs=1.0, margin=0.01):
    readings = [
        reading("baseline", "macs", 100),
        reading(variant.name, "macs", 100 * share_of_macs),
        reading(variant.name, "latency.ratio", ratio, (ratio - margin, ratio + margin)),
    ]
    return list(slowdowns([BASELINE, variant], {(r.variant, r.metric): r for r in readings}))


@pytest.mark.parametrize(
    ("variant", "share_of_macs", "ids"),
    [
        (FLOAT, 1.0, []),
        (UNKNOWN, 1.0, []),
        (FLOAT, 0.6, ["gate-fewer-macs-slower"]),
        (FLOAT, 0.96, []),  # too little to promise a gain
        (INT8, 1.0, ["gate-int8-slower"]),
        (INT8, 0.6, ["gate-fewer-macs-slower", "gate-int8-slower"]),
    ],
)
def test_each_reason_to_expect_a_gain(variant, share_of_macs, ids):
    slower = found(variant, 1.5, share_of_macs)
    assert slower == [Diagnostic(id, {"ratios": [{"name": "a", "ratio": 1.5}]}) for id in ids]
    assert found(variant, 0.5, share_of_macs) == []


def test_a_ratio_that_may_be_1_is_not_slower():
    assert found(INT8, 1.01, 0.6, margin=0.02) == []


def test_without_a_latency_there_is_nothing_to_say():
    readings = [reading("baseline", "macs", 100), reading("a", "macs", 60)]
    assert list(slowdowns([BASELINE, INT8], {(r.variant, r.metric): r for r in readings})) == []
