"""Distances from the limits as constraints: above 0 is violated."""

import pytest
from attrs import evolve

from edgecheck.gate.sentence import parse
from edgecheck.records import Attempt, Policy, Verdict
from edgecheck.search.margins import margins

POLICY = Policy(criteria=[parse("sp2ps.grad-cam >= 0.8"), parse("accuracy_drop_pp <= 2")])
DROP, SCORE = "accuracy_drop_pp <=", "sp2ps.grad-cam >="


def verdict(metric, op, limit, actual, status):
    return Verdict("v", metric, op, limit, actual, status, "fail", "")


def of(*verdicts, policy=POLICY):
    return margins(policy, Attempt("v", "b", "fails", verdicts=list(verdicts)))


def test_signs_and_sizes_by_hand():
    found = of(verdict("sp2ps.grad-cam", ">=", 0.8, 0.6, "FAIL"), verdict("accuracy_drop_pp", "<=", 2.0, 1.0, "PASS"))
    assert found == pytest.approx({SCORE: 0.2, DROP: -0.5})


def test_what_was_not_measured_is_violated():
    assert of(verdict("accuracy_drop_pp", "<=", 2.0, 3.0, "FAIL")) == pytest.approx({SCORE: 1.0, DROP: 1 / 3})
    assert of() == {SCORE: 1.0, DROP: 1.0}
    assert of(verdict("sp2ps.grad-cam", ">=", None, None, "MISSING"))[SCORE] == 1.0
    assert of(verdict("sp2ps.grad-cam", ">=", 0.8, float("nan"), "MISSING"))[SCORE] == 1.0


def test_a_value_within_the_limit_that_does_not_pass_is_violated():
    undecided = verdict("sp2ps.grad-cam", ">=", 0.8, 0.9, "INCONCLUSIVE")
    assert of(undecided)[SCORE] > 0
    assert of(undecided, policy=evolve(POLICY, inconclusive="warn"))[SCORE] <= 0


def test_a_limit_of_0_gives_a_bounded_number():
    policy = Policy(criteria=[parse("accuracy_drop_pp <= 0")])
    assert of(verdict("accuracy_drop_pp", "<=", 0.0, 5.0, "FAIL"), policy=policy) == pytest.approx({DROP: 1.0})


def test_of_two_violations_the_larger_is_told_as_larger_however_far_they_are():
    drops = [2.1, 7.5, 80.0]
    told = [of(verdict("accuracy_drop_pp", "<=", 2.0, drop, "FAIL"))[DROP] for drop in drops]
    assert told == sorted(told)
    assert 0 < told[0] < told[1] < told[2] < 1


def test_a_criterion_that_only_warns_is_no_constraint():
    assert of(policy=Policy(criteria=[parse("accuracy_drop_pp <= 1 warn")])) == {}
