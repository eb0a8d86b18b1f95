from attrs import evolve

from edgecheck.gate.margins import shortfall
from edgecheck.records import Attempt, Verdict
from edgecheck.search.nearest import nearest


def verdict(metric, op, limit, actual, status="FAIL"):
    return Verdict("v", metric, op, limit, actual, status, "fail", "")


def attempt(name, *verdicts, value=1.0):
    return Attempt(name, "branch", "fails", value, list(verdicts))


CLOSE = attempt("close", verdict("sp2ps.grad-cam", ">=", 0.95, 0.93), verdict("accuracy_drop_pp", "<=", 2, 1, "PASS"))
FAR = attempt("far", verdict("sp2ps.grad-cam", ">=", 0.95, 0.94), verdict("accuracy_drop_pp", "<=", 2, 5))


def test_the_worst_criterion_counts_relative_to_its_limit():
    assert shortfall(CLOSE.verdicts) == abs(0.93 - 0.95) / 0.95
    assert shortfall(FAR.verdicts) == 1.5
    assert nearest([FAR, CLOSE]) is CLOSE


def test_of_equally_near_ones_the_smallest():
    small = evolve(CLOSE, variant="small", value=0.5)
    assert nearest([CLOSE, small]) is small


def test_what_was_never_judged_is_not_near():
    assert nearest([Attempt("broken", "branch", "fails", reason="cannot be made"), FAR]) is FAR
    assert nearest([Attempt("broken", "branch", "fails", reason="cannot be made")]) is None
    missing = attempt("missing", verdict("sp2ps.grad-cam", ">=", 0.95, None, "MISSING"))
    assert nearest([missing]) is None


def test_what_no_attempt_has_does_not_make_them_equal():
    lacking = verdict("parity.max_abs", "<=", 0.001, None, "MISSING")
    near = attempt("near", verdict("sp2ps.grad-cam", ">=", 0.95, 0.935), lacking, value=0.9)
    far = attempt("far", verdict("sp2ps.grad-cam", ">=", 0.95, 0.875), lacking, value=0.5)
    assert nearest([far, near]) is near
