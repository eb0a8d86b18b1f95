from pathlib import Path

import pytest

from edgecheck.config import reader
from edgecheck.errors import ConfigError
from edgecheck.records import Waiver

ENTRY = {
    "variant": "l1-filters-0.60",
    "metric": "size.bytes",
    "reason": "the flash grows in March",
    "approved_by": "QA (jane)",
    "expires": "2027-01-31",
}


def read(waivers):
    text = f"data: {{dataset: digits}}\ngate:\n  criteria: [size.bytes <= 1 MB]\n  waivers:\n{waivers}"
    return reader.parse(text, Path("edgecheck.yaml"), {}).policy


def entry(**changed):
    lines = [f"{key}: {value}" for key, value in {**ENTRY, **changed}.items() if value is not None]
    return "    - " + "\n      ".join(lines) + "\n"


def test_a_waiver_is_read_with_its_place():
    assert read(entry()).waivers == [Waiver(**ENTRY, where="edgecheck.yaml:5")]


@pytest.mark.parametrize("day", ["2027-01-31", '"2027-01-31"'])
def test_the_day_may_be_a_date_or_text(day):
    assert read(entry(expires=day)).waivers[0].expires == "2027-01-31"


def test_a_folded_text_becomes_one_line():
    folded = ">\n        the flash grows\n        in March\n"
    assert read(entry(reason=folded)).waivers[0].reason == "the flash grows in March"


def test_a_waiver_may_name_a_device():
    assert read(entry(metric="latency.p90_s@pi4")).waivers[0].metric == "latency.p90_s@pi4"


def test_the_host_need_not_be_named():
    assert read(entry(metric="size.bytes@host")).waivers[0].metric == "size.bytes"
    with pytest.raises(ConfigError, match="a second waiver of"):
        read(entry() + entry(metric="size.bytes@host"))


def test_words_of_any_script_are_words():
    assert read(entry(reason="フラッシュ不足", approved_by="Ольга")).waivers[0].approved_by == "Ольга"


def test_two_waivers_of_one_variant():
    assert [one.metric for one in read(entry() + entry(metric="macs")).waivers] == ["size.bytes", "macs"]


@pytest.mark.parametrize(
    ("changed", "line", "words"),
    [
        ({"reason": None}, 5, "missing key 'reason'"),
        ({"approved_by": None}, 5, "missing key 'approved_by'"),
        ({"expires": None}, 5, "missing key 'expires'"),
        ({"reason": "''"}, 7, "gate.waivers.0.reason: it is empty"),
        ({"reason": '" \\n "'}, 7, "it is empty"),
        ({"approved_by": "''"}, 8, "it is empty"),
        ({"reason": '"no\\e[2K\\rPASS"'}, 7, "cannot be printed"),
        ({"approved_by": '"QA \\u202e"'}, 8, "cannot be printed"),
        ({"reason": "[a, b]"}, 7, "expected text"),
        ({"reason": "'-'"}, 7, "'-' holds no letter and no digit"),
        ({"reason": '"\\u0301"'}, 7, "no letter and no digit"),
        ({"approved_by": '"\\u3164"'}, 8, "no letter and no digit"),
        ({"approved_by": '"\\u2800"'}, 8, "no letter and no digit"),
        ({"expires": "31.01.2027"}, 9, "expected a day such as 2027-01-31, not '31.01.2027'"),
        ({"expires": "2027-02-30"}, 9, "2027-02-30 is not a day: day is out of range"),
        ({"expires": "'2027-02-30'"}, 9, "expected a day"),
        ({"expires": "20270131"}, 9, "expected a day"),
        ({"expires": "2027-01-31 12:00:00"}, 9, "expected a day"),
        ({"expires": "never"}, 9, "expected a day"),
        ({"expires": "''"}, 9, "expected a day"),
        ({"expires": None, "expire": "2027-01-31"}, 9, "unknown key 'expire', did you mean 'expires'"),
        ({"metric": "size.byte"}, 6, "unknown metric 'size.byte', did you mean 'size.bytes'"),
        ({"metric": "size.bytes@"}, 6, "no name of a device"),
        ({"metric": "parity.max_abs"}, 6, "cannot be waived"),
        ({"metric": "parity.agreement@pi4"}, 6, "cannot be waived"),
        ({"metric": "cam.degenerate_share"}, 6, "cannot be waived"),
        ({"variant": '"*"'}, 5, "without *"),
        ({"variant": '"l1-*"'}, 5, "without *"),
    ],
)
def test_a_malformed_waiver_is_refused_with_its_line(changed, line, words):
    with pytest.raises(ConfigError) as error:
        read(entry(**changed))
    assert str(error.value).startswith(f"edgecheck.yaml:{line}: ")
    assert words in str(error.value)
    assert str(error.value).isprintable()


def test_a_second_waiver_for_the_same_is_refused():
    with pytest.raises(ConfigError, match=r"^edgecheck.yaml:10: .*a second waiver of size.bytes for l1-filters-0.60"):
        read(entry() + entry(reason="again", variant="'l1-filters-0.60 '"))


def test_a_waiver_is_no_mapping():
    with pytest.raises(ConfigError, match=r"expected a list, not the keys variant"):
        read(entry().replace("    - ", "      "))
