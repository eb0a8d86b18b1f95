"""The list `corruption:`, what the gate adds to it, and what is refused."""

from importlib import resources
from pathlib import Path

import pytest

from edgecheck.config import reader
from edgecheck.config.corruptions import asked_for
from edgecheck.corruption.table import KINDS
from edgecheck.errors import ConfigError
from edgecheck.records import Policy

HEAD = "data: {dataset: digits}\n"


def names(text, **overrides):
    return [one.name for one in reader.parse(HEAD + text, Path("edgecheck.yaml"), overrides).corruption]


def test_names_stand_for_severity_3_and_each_corruption_is_measured_once():
    assert names("corruption: [gaussian-noise-3, contrast, jpeg-5, contrast-3, jpeg-1]\n") == [
        *("gaussian-noise-3", "contrast-3", "jpeg-5", "jpeg-1")
    ]
    assert names("corruption: jpeg\n") == ["jpeg-3"]
    assert names("") == names("corruption: []\n") == []


def test_a_gate_alone_is_enough():
    criteria = "excess_error_pp.jpeg-2 <= control + 1, accuracy_drop_pp <= 1, excess_error_pp.jpeg-2 <= 3"
    gate = f"gate: {{criteria: [{criteria}]}}\n"
    assert names(gate) == ["jpeg-2"]
    assert names("corruption: [contrast, jpeg-2]\n" + gate) == ["contrast-3", "jpeg-2"]


def test_criteria_of_the_command_line_count_and_those_that_they_replace_do_not():
    gate = "gate: {criteria: [excess_error_pp.jpeg-2 <= 1]}\n"
    assert names(gate, gate={"criteria": ["excess_error_pp.pixelate-4 <= 1 warn"]}) == ["pixelate-4"]


def test_what_is_asked_of_a_device_is_not_measured_here():
    assert names("gate: {criteria: [excess_error_pp.jpeg-2@pi4 <= 1, accuracy_drop_pp <= 1]}\n") == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("corruption: [contrast,\n  jpg-5]\n", "edgecheck.yaml:3: unknown corruption 'jpg', did you mean 'jpeg'"),
        ("corruption:\n- contrast\n- gaussian-noise-9\n", "edgecheck.yaml:4: corruption 'gaussian-noise-9': the sev"),
        ("corruption: blur\n", f"edgecheck.yaml:2: unknown corruption 'blur'.*known: {', '.join(KINDS)}$"),
        ("corruption: [3]\n", "edgecheck.yaml:2: corruption.0: expected text, not 3"),
        ("corruption: {jpeg: 3}\n", "edgecheck.yaml:2: corruption: expected a list, not the keys jpeg"),
        (
            "gate: {criteria: [excess_error_pp.jpeg-6 <= 1]}\n",
            "edgecheck.yaml:2: unknown metric 'excess_error_pp.jpeg-6'",
        ),
        ("gate: {criteria: [excess_error_pp.jpeg <= 1]}\n", "unknown metric 'excess_error_pp.jpeg', did you mean"),
        (
            "gate: {criteria: [excess_error_pp.jpeg-3 <= 1 %]}\n",
            "'%' does not fit excess_error_pp.jpeg-3, which takes pp",
        ),
        ("gate: {criteria: [excess_error_pp.jpeg-3 >= 1]}\n", "rejects only better values"),
    ],
)
def test_mistakes_name_file_and_line(text, said):
    with pytest.raises(ConfigError, match=said):
        names(text)


def test_the_template_names_every_kind_and_is_a_configuration_with_its_line():
    text = (resources.files("edgecheck.cli") / "edgecheck.yaml").read_text()
    assert "excess_error_pp." in text
    lines = text.split("# corruption: ")[1].split("\n\n")[0]
    assert all(kind in lines for kind in KINDS)
    written = text.replace("# corruption: ", "corruption: ").replace("# - excess_error_pp", "- excess_error_pp")
    plan = reader.parse(written, Path("edgecheck.yaml"), {})
    assert [one.name for one in plan.corruption] == ["gaussian-noise-3", "jpeg-5"]
    assert asked_for([], plan.policy, {}, "") == plan.corruption[:1]
    assert asked_for([], Policy(), {}, "") == []
