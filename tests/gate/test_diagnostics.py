"""What the readings of a run show together."""

from edgecheck.gate.diagnostics import diagnose
from edgecheck.gate.sentence import parse
from edgecheck.records import Diagnostic, Policy, Variant, reading
from edgecheck.report.diagnostics import render

VARIANTS = [Variant("baseline", "baseline"), Variant("control", "control"), Variant("a", "candidate")]
POLICY = Policy(criteria=[parse("sp2ps.grad-cam >= 0.95")])


def found(*readings, variants=VARIANTS, policy=POLICY, classes=10):
    return diagnose(variants, readings, policy, classes)


def test_a_baseline_near_chance():
    assert found(reading("baseline", "accuracy", 0.12)) == [
        Diagnostic("gate-baseline-near-chance", {"accuracy": 0.12, "classes": 10})
    ]
    assert found(reading("baseline", "accuracy", 0.5)) == []
    assert found(reading("a", "accuracy", 0.12)) == []


def test_of_two_classes_half_is_no_sign_of_anything():
    assert found(reading("baseline", "accuracy", 0.5), classes=2) == []


def test_a_limit_above_the_noise_floor():
    (above,) = found(reading("control", "sp2ps.grad-cam", 0.9))
    assert above.id == "gate-limit-above-noise-floor"
    assert "sp2ps.grad-cam >= 0.95 lies above the noise floor" in render(above)
    assert "`sp2ps.grad-cam >= control - 0.02`" in render(above)
    assert found(reading("control", "sp2ps.grad-cam", 0.96)) == []


def test_a_limit_relative_to_the_control_cannot_lie_above_its_floor():
    policy = Policy(criteria=[parse("sp2ps.grad-cam >= control + 0.02")])
    assert found(reading("control", "sp2ps.grad-cam", 0.9), policy=policy) == []


def test_several_controls_make_one_floor():
    variants = [*VARIANTS, Variant("control-seed1", "control")]
    readings = [reading("control", "sp2ps.grad-cam", 0.92), reading("control-seed1", "sp2ps.grad-cam", 0.96)]
    (above,) = found(*readings, variants=variants)
    assert "reaches 0.940 (0.920..0.960 of 2 controls) after" in render(above)


def test_a_control_that_failed():
    variants = [Variant("control", "control"), Variant("control-seed1", "control")]
    readings = [reading("control", "accuracy", 0.9), reading("control-seed1", "accuracy", None, note="loss is nan")]
    assert found(*readings, variants=variants, policy=Policy()) == [
        Diagnostic("gate-control-failed", {"controls": ["control-seed1"]})
    ]


def test_slowdowns_are_among_them():
    slower = [reading(name, "macs", macs) for name, macs in (("baseline", 100), ("a", 60))]
    (warning,) = found(*slower, reading("a", "latency.ratio", 1.2, (1.1, 1.3)))
    assert warning == Diagnostic("gate-fewer-macs-slower", {"ratios": [{"name": "a", "ratio": 1.2}]})
