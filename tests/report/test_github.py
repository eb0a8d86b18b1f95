"""Workflow commands, read back as GitHub's runner reads them."""

import re
from collections import Counter

from attrs import evolve
from hypothesis import given, settings

from edgecheck.gate.judgement import judged
from edgecheck.records import Criterion, Policy
from edgecheck.report import github
from edgecheck.report.decision import decide
from tests.report.conftest import renamed
from tests.report.test_hostile import TEXT

COMMAND = re.compile(r"::(?P<level>\w+) (?P<properties>[^:]*)::(?P<message>.*)")
# In the order in which the runner undoes them: the sign of escapes last.
ESCAPES = {"%0D": "\r", "%0A": "\n", "%3A": ":", "%2C": ",", "%25": "%"}


def unescaped(text):
    for escape, sign in ESCAPES.items():
        text = text.replace(escape, sign)
    return text


def read(text):
    """Return (level, title, message) of each line, which must be a command with a title alone."""
    for line in text.splitlines():
        command = COMMAND.fullmatch(line)
        properties = dict(one.split("=", 1) for one in command["properties"].split(","))
        assert list(properties) == ["title"]
        yield command["level"], unescaped(properties["title"]), unescaped(command["message"])


def test_golden(report, golden):
    golden("github.txt", github.render(report))


def test_the_decision_is_the_first_annotation(report):
    level, title, message = next(read(github.render(report)))
    decided = decide(report)
    assert (level, title) == ("error", f"edgecheck: {decided.headline}")
    assert decided.gate in message


def test_where_the_gate_holds_there_is_no_error(report):
    passing = evolve(report, passed=True, policy=evolve(report.policy, require="any"))
    told = list(read(github.render(passing)))
    assert told[0][0] == "notice"
    assert {level for level, *_ in told} == {"notice", "warning"}
    assert any("another variant passes" in message for _, _, message in told)


def test_the_worst_of_each_variant_comes_before_the_second_of_any(report):
    errors = [title for level, title, _ in read(github.render(report)) if level == "error"][1:]
    assert [title.split(":")[0] for title in errors[:3]] == [
        "l1-filters-0.6",
        "random-filters-0.2",
        "l1-unstructured-0.4",
    ]


def test_what_github_would_not_show_is_counted(report):
    failing = [Criterion(metric, "<=", 0.0) for metric in ("size.bytes", "latency.ratio", "params", "macs")]
    made = judged(report, Policy(criteria=failing))
    told = list(read(github.render(made)))
    assert Counter(level for level, *_ in told)["error"] == 10
    assert "12 further errors: report.html" in [message for level, _, message in told if level == "error"][-1]


def test_an_unverified_run_says_so(report):
    told = list(read(github.render(evolve(report, unverified=["a.onnx was changed"]))))
    assert ("warning", "edgecheck: not verified") in [one[:2] for one in told]


@settings(deadline=None, max_examples=25)
@given(TEXT)
def test_no_text_adds_a_command_or_a_property(text):
    harmless = [level for level, *_ in read(github.render(renamed("harmless")))]
    assert [level for level, *_ in read(github.render(renamed(text)))] == harmless
