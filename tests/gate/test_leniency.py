import pytest

from edgecheck.gate.leniency import counts_as, status_of
from edgecheck.records import Policy, Verdict


def verdict(status, level="fail"):
    return Verdict("v", "accuracy", ">=", 0.9, None, status, level, "")


@pytest.mark.parametrize(
    ("status", "level", "policy", "counts"),
    [
        ("PASS", "fail", Policy(), None),
        ("FAIL", "fail", Policy(missing="warn", inconclusive="warn"), "fail"),
        ("WARN", "warn", Policy(), "warn"),
        ("MISSING", "fail", Policy(), "fail"),
        ("MISSING", "fail", Policy(missing="warn"), "warn"),
        ("MISSING", "warn", Policy(), "warn"),
        ("MISSING", "fail", Policy(inconclusive="warn"), "fail"),
        ("INCONCLUSIVE", "fail", Policy(inconclusive="warn"), "warn"),
        ("INCONCLUSIVE", "fail", Policy(missing="warn"), "fail"),
    ],
)
def test_what_a_verdict_counts_as(status, level, policy, counts):
    assert counts_as(policy, verdict(status, level)) == counts
    assert status_of(policy, verdict(status, level)) == ("WARN" if counts == "warn" else status)
