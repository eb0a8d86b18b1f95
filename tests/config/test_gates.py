from importlib import resources
from pathlib import Path

import pytest

from edgecheck.attribution.table import default_criteria, default_methods
from edgecheck.config import gates, reader
from edgecheck.errors import ConfigError
from edgecheck.gate.sentence import check_directions, parse

NAMES = sorted(
    entry.name.removesuffix(".yaml")
    for entry in resources.files(gates.PROFILES).iterdir()
    if entry.name.endswith(".yaml")
)


def read(gate="", **flags):
    text = "data: {dataset: digits}\n" + gate
    return reader.parse(text, Path("edgecheck.yaml"), {"gate": flags} if flags else {}).policy


def written(policy):
    return {one.name: (one.op, one.limit, one.where) for one in policy.criteria}


@pytest.mark.parametrize("name", NAMES)
def test_every_profile_is_a_gate_that_can_fail_and_asks_for_parity(name):
    criteria = gates.profile(name)
    check_directions(criteria)
    assert {"cam.degenerate_share", "parity.max_abs", "parity.agreement"} <= {one.metric for one in criteria}
    assert not [one for one in criteria if one.where]  # those with a place would be judged on files without a twin
    assert read(f"gate: {{profile: {name}}}").criteria == criteria


def test_the_paper_is_the_default_and_has_the_thresholds_of_the_methods():
    assert read() == read("gate: {profile: paper}")
    assert read().profile == "paper"
    thresholds = [parse(text) for text in default_criteria(default_methods())]
    limits = {one.metric: one.limit for one in gates.profile("paper")}
    assert {one.metric: one.limit for one in thresholds}.items() <= limits.items()


def test_a_threshold_of_a_plugin_joins_the_profile_of_the_paper(monkeypatch):
    monkeypatch.setattr(gates, "default_criteria", lambda _: ["sp2ps.layer-cam >= 0.7", "sp2ps.grad-cam >= 0.1"])
    limits = {one.metric: one.limit for one in gates.profile("paper")}
    assert (limits["sp2ps.layer-cam"], limits["sp2ps.grad-cam"]) == (0.7, 0.95)


def test_criteria_are_the_whole_gate_and_beside_a_profile_they_replace_its_own():
    alone = read("gate:\n  criteria:\n    - accuracy_drop_pp <= 5\n")
    assert written(alone) == {"accuracy_drop_pp": ("<=", 5, "edgecheck.yaml:4")}
    assert alone.profile == ""
    beside = read(
        "gate:\n  profile: paper\n  require: any\n  criteria:\n    - accuracy_drop_pp <= 5\n    - macs <= 1 M\n"
    )
    expected = {
        **written(read()),
        "accuracy_drop_pp": ("<=", 5, "edgecheck.yaml:6"),
        "macs": ("<=", 1e6, "edgecheck.yaml:7"),
    }
    assert written(beside) == expected
    assert (beside.profile, beside.require) == ("paper", "any")


def test_a_profile_on_the_command_line_stands_in_place_of_the_criteria_of_the_file():
    file = "gate:\n  missing: warn\n  criteria: [macs <= 1 M]\n"
    assert read(file, profile="relative").criteria == gates.profile("relative")
    assert read(file, profile="relative").missing == "warn"
    both = read(file, profile="relative", criteria=["accuracy_drop_pp <= 5"])
    assert written(both)["accuracy_drop_pp"] == ("<=", 5, "--gate")
    assert "macs" not in written(both)


def test_an_unknown_profile_names_the_known_ones_and_its_line():
    with pytest.raises(ConfigError, match=r"^edgecheck.yaml:3: unknown profile 'papre'.*paper.*relative"):
        read("gate:\n  profile: papre\n")
    for file in ("", "gate:\n  profile: paper\n"):
        with pytest.raises(ConfigError, match=r"^--profile: unknown profile 'papre'"):
            read(file, profile="papre")
    for empty in ({"gate": "gate: {profile: ''}"}, {"profile": ""}):
        with pytest.raises(ConfigError, match=r"unknown profile ''; known"):
            read(**empty)


def test_an_empty_gate_is_refused_but_not_beside_a_profile():
    with pytest.raises(ConfigError, match=r"edgecheck.yaml:2: gate.criteria is empty"):
        read("gate: {criteria: []}\n")
    assert read("gate: {profile: relative, criteria: []}\n").criteria == gates.profile("relative")
