import contextlib
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecheck.errors import ConfigError
from edgecheck.gate.sentence import SUFFIXES, check_directions, parse, parse_all
from edgecheck.metrics import METRICS


@pytest.mark.parametrize(
    ("sentence", "metric", "op", "limit", "level"),
    [
        ("sp2ps.grad-cam >= 0.95", "sp2ps.grad-cam", ">=", 0.95, "fail"),
        ("sp2ps.grad-cam++>=0.95", "sp2ps.grad-cam++", ">=", 0.95, "fail"),
        ("accuracy_drop_pp <= 2", "accuracy_drop_pp", "<=", 2, "fail"),
        ("accuracy_drop_pp <= 2 pp", "accuracy_drop_pp", "<=", 2, "fail"),
        ("size.bytes <= 300 kB", "size.bytes", "<=", 300_000, "fail"),
        ("size.bytes <= 300KiB warn", "size.bytes", "<=", 307_200, "warn"),
        ("latency.p90_s <= 5 ms warn", "latency.p90_s", "<=", 0.005, "warn"),
        ("latency.p90_s <= 5e-3 s", "latency.p90_s", "<=", 0.005, "fail"),
        ("  accuracy  >  90 % fail ", "accuracy", ">", 0.9, "fail"),
        ("macs < 12.5M", "macs", "<", 12_500_000, "fail"),
        ("latency.ratio <= 0.5x", "latency.ratio", "<=", 0.5, "fail"),
        ("accuracy_drop_pp >= -1.5", "accuracy_drop_pp", ">=", -1.5, "fail"),
    ],
)
def test_sentences(sentence, metric, op, limit, level):
    criterion = parse(sentence)
    assert (criterion.metric, criterion.op, criterion.level) == (metric, op, level)
    assert criterion.limit == pytest.approx(limit)


@pytest.mark.parametrize(
    ("sentence", "word"),
    [
        ("sp2ps.gradcam >= 0.95", "did you mean 'sp2ps.grad-cam'"),
        ("accuracy >= nan", "finite"),
        ("accuracy >= .inf", "finite"),
        ("accuracy >= -inf", "finite"),
        ("accuracy >= 2 pp", "takes %"),
        ("accuracy_drop_pp <= 2 %", "takes pp"),
        ("size.bytes <= 3 kb", "kB, KiB"),
        ("accuracy >=", "METRIC"),
        ("accuracy => 1", "METRIC"),
        ("accuracy 0.9", "METRIC"),
        ("", "METRIC"),
        ("accuracy >= 0.9 maybe", "does not fit"),
        ("accuracy >= 1.2.3", "not a number"),
        ("latency.p90_s <= 5", "needs a unit; write one of s, ms, us"),
        ("latency.cold_s <= 0.5 warn", "needs a unit"),
        ("energy.per_inference_j <= 5", "needs a unit; write one of J, mJ, uJ"),
    ],
)
def test_refusals_name_place_and_cure(sentence, word):
    with pytest.raises(ConfigError) as error:
        parse(sentence, "edgecheck.yaml:7")
    assert str(error.value).startswith("edgecheck.yaml:7: ")
    assert word in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("sentence", "offset", "level"),
    [
        ("sp2ps.grad-cam >= control - 0.02", -0.02, "fail"),
        ("sp2ps.grad-cam>=control-0.02", -0.02, "fail"),
        ("sp2ps.grad-cam >= control + .5e-1 warn", 0.05, "warn"),
        ("sp2ps.grad-cam >= control", 0, "fail"),
        (" sp2ps.grad-cam  >=  control  warn ", 0, "warn"),
        ("accuracy_drop_pp <= control + 1 pp", 1, "fail"),
        ("accuracy >= control - 2 %", -0.02, "fail"),
        ("accuracy >= control - 2 pp", -0.02, "fail"),
        ("size.bytes < control - 300 kB warn", -300_000, "warn"),
        ("opset == control", 0, "fail"),
    ],
)
def test_sentences_relative_to_the_control(sentence, offset, level):
    criterion = parse(sentence)
    assert (criterion.relative_to, criterion.level) == ("control", level)
    assert criterion.limit == criterion.offset == pytest.approx(offset)
    assert parse("sp2ps.grad-cam >= 0.95").offset is None


@pytest.mark.parametrize(
    ("ending", "word"),
    [
        ("control -", "control - NUMBER"),
        ("control - warn", "control - NUMBER"),
        ("controll", "control - NUMBER"),
        ("controll - 0.02", "control - NUMBER"),
        ("Control - 0.02", "control - NUMBER"),
        ("controlwarn", "control - NUMBER"),
        ("control 0.02", "control - NUMBER"),
        ("control * 0.98", "control - NUMBER"),
        ("control - - 0.02", "control - NUMBER"),
        ("0.98 control", "does not fit"),
        ("control - nan", "finite"),
        ("control + .inf", "finite"),
        ("control - 1.2.3", "not a number"),
        ("control - 2 kB", "takes %"),
        ("baselin - 0.02", "control - NUMBER"),
        ("0.98 * baseline", "does not fit"),
        ("0 x baseline", "above 0"),
        ("-0.5 x control", "above 0"),
        ("nan x control", "finite"),
        ("1.2.3 x control", "not a number"),
        ("x baseline", "control - NUMBER"),
        ("0.98 x", "does not fit"),
        ("control - 0.02 maybe", "does not fit"),
    ],
)
def test_refusals_of_what_is_nearly_relative(ending, word):
    with pytest.raises(ConfigError) as error:
        parse(f"accuracy >= {ending}", "edgecheck.yaml:7")
    assert str(error.value).startswith("edgecheck.yaml:7: ")
    assert word in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("metric", [name for name in METRICS if name.startswith("latency.")])
@pytest.mark.parametrize("limit", ["control", "baseline + 1 ms", "0.5 x baseline"])
def test_a_latency_relative_to_a_measured_one_is_refused(metric, limit):
    with pytest.raises(ConfigError, match=r"latency.ratio, which is relative to the baseline"):
        parse(f"{metric} <= {limit}")


@pytest.mark.parametrize(
    ("sentence", "times", "offset", "reference"),
    [
        ("size.bytes <= 0.5 x baseline", 0.5, 0, "baseline"),
        ("size.bytes<=.5x baseline+300kB warn", 0.5, 300_000, "baseline"),
        ("accuracy >= baseline - 1 %", 1, -0.01, "baseline"),
        ("accuracy >= baseline - 1 pp", 1, -0.01, "baseline"),
        ("js_divergence <= 2 x control + 0.01", 2, 0.01, "control"),
        ("error_ratio <= 1.5 x control", 1.5, 0, "control"),
        ("error_ratio <= 0.5x", 1, None, ""),
    ],
)
def test_a_limit_may_be_a_multiple_of_a_reading(sentence, times, offset, reference):
    criterion = parse(sentence)
    assert (criterion.times, criterion.offset, criterion.relative_to) == (times, offset, reference)


@pytest.mark.parametrize(
    ("sentence", "low", "high", "level"),
    [
        ("accuracy_drop_pp in -1 .. 2", -1, 2, "fail"),
        ("accuracy_drop_pp in -1..2 pp warn", -1, 2, "warn"),
        ("accuracy@pi4 in .5...9", 0.5, 0.9, "fail"),
        ("accuracy in 90 % .. 95 %", 0.9, 0.95, "fail"),
        ("size.bytes in 1 kB..2MB", 1_000, 2_000_000, "fail"),
        ("latency.p90_s in 1..5 ms", 0.001, 0.005, "fail"),
        ("sp2ps.grad-cam in control - 0.02 .. control + 0.01", -0.02, 0.01, "fail"),
        ("size.bytes in 0.2 x baseline .. 0.5 x baseline", 0, 0, "fail"),
    ],
)
def test_a_two_sided_sentence_is_two_criteria(sentence, low, high, level):
    below, above = parse_all(sentence, "edgecheck.yaml:7")
    assert (below.op, above.op) == (">=", "<=")
    assert (below.limit, above.limit) == pytest.approx((low, high))
    assert {(one.level, one.text, one.where, one.name) for one in (below, above)} == {
        (level, sentence, "edgecheck.yaml:7", sentence.split()[0])
    }
    check_directions([below, above])


def test_a_one_sided_sentence_is_one_criterion():
    assert parse_all("accuracy >= 0.9", "here") == [parse("accuracy >= 0.9", "here")]


@pytest.mark.parametrize(
    ("sentence", "word"),
    [
        ("accuracy_drop_pp in 2 .. -1", "lower one first"),
        ("size.bytes in 0.5 x baseline + 1 .. 0.5 x baseline", "lower one first"),
        ("accuracy in 0.9 .. 95 %", "write % after both"),
        ("size.bytes in 1..2 MB", "write MB after both"),
        ("latency.p90_s in 1..5", "needs a unit"),
        ("acuracy in 0..1", "did you mean 'accuracy'"),
        ("accuracy in 0.9", "METRIC"),
        ("accuracy in 0.9 ..", "METRIC"),
        ("accuracy in 0.9..nan", "finite"),
        ("accuracy in 0..0.9..1", "not a number"),
        ("latency.p90_s in 1 ms .. baseline", "latency.ratio"),
    ],
)
def test_refusals_of_two_sided_sentences(sentence, word):
    with pytest.raises(ConfigError) as error:
        parse_all(sentence, "edgecheck.yaml:7")
    assert str(error.value).startswith("edgecheck.yaml:7: ")
    assert word in str(error.value)
    assert "\n" not in str(error.value)


@settings(deadline=None)
@given(
    st.sampled_from(sorted(name for name in METRICS if not name.startswith("latency."))),
    st.floats(0, 1e9),
    st.sampled_from("+-"),
    st.data(),
)
def test_units_multiply_offsets_too(name, number, sign, data):
    suffixes = SUFFIXES[METRICS[name].unit]
    suffix = data.draw(st.sampled_from(sorted(suffixes)))
    criterion = parse(f"{name} <= control {sign} {number!r} {suffix}")
    assert criterion.offset == float(f"{sign}{number!r}") * suffixes[suffix]


@settings(deadline=None)
@given(st.sampled_from(sorted(METRICS)), st.floats(-1e9, 1e9), st.data())
def test_units_multiply(name, number, data):
    suffixes = SUFFIXES[METRICS[name].unit]
    suffix = data.draw(st.sampled_from(sorted(suffixes)))
    assert parse(f"{name} <= {number!r} {suffix}").limit == number * suffixes[suffix]


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_a_criterion_or_a_config_error(text):
    with contextlib.suppress(ConfigError):
        assert parse(text).metric in METRICS


@settings(deadline=None)
@given(st.text("control+-0.9 %ekBwarnif", max_size=24))
def test_any_ending_is_a_criterion_or_a_config_error(ending):
    with contextlib.suppress(ConfigError):
        criterion = parse(f"accuracy >= {ending}")
        assert bool(criterion.relative_to) == ending.lstrip().startswith("control")


@settings(deadline=None)
@given(st.text("baseline x0.9 +-.e1%pkBwarn", max_size=28))
def test_any_range_is_two_inclusive_criteria_or_a_config_error(text):
    with contextlib.suppress(ConfigError):
        below, above = parse_all(f"accuracy in {text}")
        assert (below.op, above.op) == (">=", "<=")
        assert below.times > 0
        assert above.times > 0
        assert math.isfinite(below.limit)
        assert math.isfinite(above.limit)
        references = [part.partition("baseline")[1] for part in text.split("..", 1)]
        assert [below.relative_to, above.relative_to] == references


@pytest.mark.parametrize(
    ("sentences", "turned"),
    [
        (["accuracy_drop_pp >= 2"], "<="),
        (["accuracy_drop_pp >= control - 1 pp"], "<="),
        (["size.bytes >= 0.5 x baseline"], "<="),
        (["accuracy < baseline - 1 %", "size.bytes <= 0.5 x baseline"], ">"),
        (["sp2ps.grad-cam < 0.9"], ">"),
        (["size.bytes > 1 MB", "accuracy >= 0.9"], "<"),
        (["accuracy_drop_pp >= 2", "accuracy_drop_pp >= 1"], "<="),
        (["accuracy_drop_pp >= 2", "accuracy_drop_pp == 3"], "<="),
        (["accuracy_drop_pp >= 2", "accuracy_drop_pp <= 3 warn"], "<="),
        (["accuracy_drop_pp >= 2 warn"], "<="),
    ],
)
def test_a_bound_that_refuses_only_what_is_better_is_refused(sentences, turned):
    with pytest.raises(ConfigError, match="rejects only better values") as error:
        check_directions([parse(sentence, "edgecheck.yaml:7") for sentence in sentences])
    assert str(error.value).startswith(f"edgecheck.yaml:7: {sentences[0]!r}")
    assert f"write {turned}, or" in str(error.value)


@pytest.mark.parametrize(
    "sentences",
    [
        ["accuracy_drop_pp <= 2", "accuracy >= 0.9", "opset <= 21"],
        ["accuracy_drop_pp >= -1", "accuracy_drop_pp <= 2"],
        ["opset >= 13 warn", "opset <= 17 warn"],
        ["opset >= 13 warn", "opset <= 17"],
        ["sp2ps.grad-cam <= 0.99", "sp2ps.grad-cam >= control - 0.02"],
        ["opset == 18"],
    ],
)
def test_two_sided_limits_and_equality_stay_allowed(sentences):
    check_directions([parse(sentence) for sentence in sentences])
