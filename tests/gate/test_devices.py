"""Criteria that name a device are judged by the readings of that device, all others by those of the host."""

import attrs
import pytest

from edgecheck.config.gates import FLAG
from edgecheck.device.latency.stopping import Stopping
from edgecheck.errors import ConfigError
from edgecheck.gate import judge as judging
from edgecheck.gate.sentence import check_directions, parse
from edgecheck.records import HOST, Policy, Variant, reading
from tests.grounds import CHANCE, grounds

BASELINE, CONTROL = Variant("baseline", "baseline"), Variant("control", "control")
A, B = Variant("a", "candidate"), Variant("b", "candidate")
VARIANTS = [BASELINE, CONTROL, A, B]


def judge(sentences, readings, chances=None, variants=VARIANTS, **policy):
    asked = Policy(criteria=[parse(sentence, FLAG) for sentence in sentences], **policy)
    return judging.judge(asked, variants, [*grounds(variants), *readings], CHANCE, chances)


def statuses(judgement):
    return {(verdict.variant, verdict.name): verdict.status for verdict in judgement.verdicts}


def test_a_sentence_names_a_device():
    criterion = parse("latency.p90_s@pi4 <= 30 ms warn")
    assert (criterion.metric, criterion.device, criterion.level) == ("latency.p90_s", "pi4", "warn")
    assert criterion.limit == pytest.approx(0.03)
    assert criterion.name == "latency.p90_s@pi4"
    assert parse("agreement@host >= 0.9").device == parse("agreement >= 0.9").device == HOST


@pytest.mark.parametrize("device", ["", "-pi4", "pi@4", ".pi", "p" * 65, "pi/4", "pï"])
def test_names_that_no_device_can_have(device):
    with pytest.raises(ConfigError, match="device name has up to 64 letters"):
        parse(f"agreement@{device} >= 0.9")


def test_each_device_is_judged_by_its_own_readings():
    measured = [
        reading("a", "latency.p50_s", 0.010),
        reading("b", "latency.p50_s", 0.020),
        reading("a", "latency.p50_s", 0.040, device="pi4"),
        reading("b", "latency.p50_s", 0.050, device="pi4"),
    ]
    judged = judge(["latency.p50_s <= 15 ms", "latency.p50_s@pi4 <= 45 ms"], measured)
    assert statuses(judged) == {
        ("a", "latency.p50_s"): "PASS",
        ("a", "latency.p50_s@pi4"): "PASS",
        ("b", "latency.p50_s"): "FAIL",
        ("b", "latency.p50_s@pi4"): "FAIL",
    }
    assert [verdict.actual for verdict in judged.verdicts] == [0.010, 0.040, 0.020, 0.050]


def test_a_limit_relative_to_the_baseline_is_that_of_the_device():
    """Half of what the baseline takes there; on the host, `b` would miss it."""
    measured = [
        *(reading(name, "memory.rss_bytes", value) for name, value in (("baseline", 50), ("a", 20), ("b", 40))),
        *(reading(n, "memory.rss_bytes", v, device="pi4") for n, v in (("baseline", 100), ("a", 51), ("b", 50))),
    ]
    judged = judge(["memory.rss_bytes@pi4 <= 0.5 x baseline"], measured)
    assert [(v.variant, v.limit, v.status) for v in judged.verdicts] == [("a", 50, "FAIL"), ("b", 50, "PASS")]
    (lacking, _) = judge(["memory.rss_bytes@pi4 <= 0.5 x baseline"], measured[4:]).verdicts
    assert lacking.status == "MISSING"
    assert lacking.reason.startswith("the baseline has no reading of memory.rss_bytes, so there is no limit")


def test_a_device_that_did_not_measure_is_missing_and_says_what_to_do():
    judged = judge(["latency.p50_s@pi4 <= 45 ms"], [reading("a", "latency.p50_s", 0.01)])
    assert {verdict.status for verdict in judged.verdicts} == {"MISSING"}
    assert "no readings of pi4" in judged.verdicts[0].reason
    assert not judged.passed


def test_a_device_that_is_almost_called_so():
    measured = [reading("a", "latency.p50_s", 0.01, device=name) for name in ("pi5", "trt")]
    (reason, *_) = {verdict.reason for verdict in judge(["latency.p50_s@PI5 <= 45 ms"], measured).verdicts}
    assert reason == (
        "no readings of PI5, did you mean 'pi5'? For another device, run `edgecheck device run` there, then "
        "`edgecheck merge` its result"
    )


def test_a_reading_that_a_device_lacks_is_missing_with_its_note():
    measured = [reading("a", "latency.p50_s", 0.01, device="pi4")]
    gone = reading("a", "memory.rss_bytes", None, note="no /proc", device="pi4")
    judged = judge(["memory.rss_bytes@pi4 <= 1 MB"], [*measured, gone])
    lacking = "not measured on pi4: bundle the run again and measure it there, or add it from another tool with "
    assert [verdict.reason for verdict in judged.verdicts] == ["no /proc", f"{lacking}`edgecheck merge --csv`"]
    judged = judge(["sp2ps.score-cam@pi4 >= 0.9"], measured)
    assert "bundle a run with score-cam in explain.methods and measure it there" in judged.verdicts[0].reason


def test_the_limit_relative_to_the_control_is_that_of_the_device():
    measured = [
        *(reading("control", "sp2ps.grad-cam", value, device=device) for value, device in ((0.9, HOST), (0.8, "pi4"))),
        *(reading("a", "sp2ps.grad-cam", 0.85, device=device) for device in (HOST, "pi4")),
    ]
    measured = [attrs.evolve(one, source="artefact") for one in measured]
    judged = judge(["sp2ps.grad-cam >= control", "sp2ps.grad-cam@pi4 >= control"], measured, variants=VARIANTS[:3])
    assert statuses(judged) == {("a", "sp2ps.grad-cam"): "FAIL", ("a", "sp2ps.grad-cam@pi4"): "PASS"}
    assert [verdict.limit for verdict in judged.verdicts] == [0.9, 0.8]


@pytest.mark.parametrize(("right", "status"), [(0.9, "PASS"), (0.5, "MISSING")])
def test_accuracy_counts_only_if_the_baseline_recognizes_the_images_of_the_device(right, status):
    measured = [
        reading("baseline", "accuracy", right, n=100, device="pi4"),
        reading("a", "accuracy", 0.9, n=100, device="pi4"),
    ]
    judged = judge(["accuracy@pi4 >= 0.8"], measured, chances={"pi4": 0.5}, variants=[BASELINE, A])
    assert [verdict.status for verdict in judged.verdicts] == [status]


def test_external_readings_rest_on_the_images_of_the_host():
    judged = judge(["accuracy@trt >= 0.8"], [reading("a", "accuracy", 0.9, device="trt")], variants=[BASELINE, A])
    assert [verdict.status for verdict in judged.verdicts] == ["PASS"]


def test_the_recommendation_compares_sizes_of_the_host():
    measured = [
        reading("baseline", "size.bytes", 100),
        reading("a", "size.bytes", 50),
        reading("b", "size.bytes", 60),
        reading("b", "size.bytes", 10, device="pi4"),
        *(reading(name, "latency.p50_s", 0.01, device="pi4") for name in "ab"),
    ]
    assert judge(["latency.p50_s@pi4 <= 1 s"], measured).recommendation.variant == "a"


def test_a_two_sided_limit_has_both_sides_on_one_device():
    lower, upper = parse("latency.ratio@pi4 >= 0.1"), parse("latency.ratio <= 1")
    with pytest.raises(ConfigError, match=r"latency\.ratio@pi4 >= 0\.1.*rejects only better values"):
        check_directions([lower, upper])
    check_directions([lower, parse("latency.ratio@pi4 <= 1")])


def test_the_host_does_not_sample_for_criteria_of_other_devices():
    policy = Policy(criteria=[parse("latency.ratio@pi4 <= 1"), parse("latency.p50_s <= 5 ms")])
    assert [criterion.metric for criterion in Stopping.of(policy, ["a"]).criteria] == ["latency.p50_s"]


def test_no_device_measures_corrupted_images_and_says_so_before_and_after_its_result():
    text = "excess_error_pp.jpeg-3@pi4 <= control + 1"
    host = [reading(name, "excess_error_pp.jpeg-3", 0.0) for name in ("control", "a", "b")]
    said = (
        "not measured on pi4: devices measure no corrupted images; gate excess_error_pp.jpeg-3 without @pi4, or add it "
        "from another tool with `edgecheck merge --csv`"
    )
    of_pi4 = reading("a", "latency.p50_s", 0.040, device="pi4")
    before, after = judge([text], host), judge(["excess_error_pp.jpeg-3@pi4 <= 1"], [*host, of_pi4])
    assert {(one.status, one.reason) for one in (*before.verdicts, *after.verdicts)} == {("MISSING", said)}

    of_csv = [reading(name, "excess_error_pp.jpeg-3", 2.0, device="pi4") for name in ("control", "a", "b")]
    assert statuses(judge([text], [*host, *of_csv])) == {
        ("a", "excess_error_pp.jpeg-3@pi4"): "PASS",
        ("b", "excess_error_pp.jpeg-3@pi4"): "PASS",
    }


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("excess_error_pp.jpeg-3 <= 1", "run again with corruption: [jpeg-3]"),
        ("spearman.score-cam >= 0.9", "run again with score-cam in explain.methods"),
    ],
)
def test_what_the_run_has_not_measured_names_the_next_step(text, step):
    (first, _) = judge([text], []).verdicts
    assert (first.status, first.reason) == ("MISSING", f"not measured: {step}")


def test_no_number_of_seeds_makes_a_device_compare_populations():
    of_pi4 = reading("a", "latency.p50_s", 0.040, device="pi4")
    (before, _), (after, _) = (judge(["pie_rate@pi4 <= 1 %"], taken).verdicts for taken in ([], [of_pi4]))
    assert before.reason == after.reason
    assert "devices measure no populations of variants; gate pie_rate without @pi4" in after.reason


def test_no_excess_error_is_judged_beside_a_baseline_that_guesses():
    asked = Policy(criteria=[parse("excess_error_pp.jpeg-3 <= 1", FLAG)])
    readings = [reading("baseline", "accuracy", 0.1, n=200), reading("a", "excess_error_pp.jpeg-3", 0.0)]
    (verdict,) = judging.judge(asked, [BASELINE, A], readings, 0.1).verdicts
    assert verdict.status == "MISSING"
    assert "no better than a guess" in verdict.reason
