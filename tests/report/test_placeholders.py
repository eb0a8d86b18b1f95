import pytest

from edgecheck.report.placeholders import Setting, fill


@pytest.mark.parametrize(
    ("sentence", "value", "text"),
    [
        ("{x}", "as it is", "as it is"),
        ("{x:s}", 0.0123, "12.3 ms"),
        ("{x:bytes}", 1_250_000, "1.25 MB"),
        ("{x:fraction}", 0.125, "12.50 %"),
        ("{x:ratio}", 1.5, "1.50x"),
        ("{x:percent}", 0.374, "37 %"),
        ("{x:change}", 0.12, "+12 %"),
        ("{x:change}", -0.12, "-12 %"),
        ("{x:#image}", 1, "1 image"),
        ("{x:#image}", 2000, "2,000 images"),
        ("{x:list}", ["a", "b"], "a, b"),
        ("{x:.1f}", 2.25, "2.2"),
        ("{x:s}", None, "—"),
    ],
)
def test_each_form(sentence, value, text):
    assert fill(sentence, {"x": value}) == text


def test_a_setting_is_spelled_as_the_command_in_use_does():
    sentence = "set {setting:measure.batch}"
    assert fill(sentence, {"setting": Setting({})}) == "set measure.batch"
    assert fill(sentence, {"setting": Setting({"measure.batch": "--batch"})}) == "set --batch"


def test_placeholders_in_a_value_stay_text():
    assert fill("{name} is slow", {"name": "{name.__class__} {}"}) == "{name.__class__} {} is slow"


def test_a_missing_field_is_an_error():
    with pytest.raises(KeyError, match="share"):
        fill("{share:percent}", {})
