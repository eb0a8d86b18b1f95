import re
from importlib import resources
from pathlib import Path

import pytest
from attrs import evolve

from edgecheck.attribution.table import default_criteria, default_methods
from edgecheck.config import gates, reader
from edgecheck.errors import ConfigError, InputError
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


def test_a_two_sided_limit_replaces_both_sides_and_is_replaced_whole():
    pair = read("gate: {profile: paper, criteria: [accuracy_drop_pp in -1 .. 2.5]}\n")
    sides = [(one.op, one.limit) for one in pair.criteria if one.metric == "accuracy_drop_pp"]
    assert sides == [(">=", -1), ("<=", 2.5)]
    replaced = gates.amended(pair, ["accuracy_drop_pp <= 1"])
    assert [(one.op, one.limit) for one in replaced.criteria if one.metric == "accuracy_drop_pp"] == [("<=", 1)]
    assert gates.amended(replaced, ["accuracy_drop_pp in -1 .. 2.5"]).criteria[-2:] == [
        evolve(one, where="--gate") for one in pair.criteria[-2:]
    ]


def test_half_a_two_sided_limit_cannot_replace_the_other():
    with pytest.raises(ConfigError, match=r"^--gate: 'accuracy_drop_pp >= -1' rejects only better values"):
        gates.amended(read(), ["accuracy_drop_pp >= -1"])


def test_dropping_a_metric_of_a_profile_keeps_the_others():
    kept = read("gate: {profile: paper, drop: [parity.max_abs, parity.agreement]}\n").criteria
    assert kept == [one for one in read().criteria if not one.metric.startswith("parity.")]
    assert read("gate: {drop: parity.max_abs}\n").profile == "paper"


@pytest.mark.parametrize(
    ("gate", "words"),
    [
        ("{profile: paper, drop: [parity.maxabs]}", "did you mean 'parity.max_abs'?; known: sp2ps.grad-cam"),
        ("{profile: paper, drop: [macs]}", "no criterion on 'macs' to drop; known"),
        ("{criteria: [macs <= 1 M], drop: [macs]}", "since there is no profile"),
    ],
)
def test_what_a_profile_does_not_ask_for_cannot_be_dropped(gate, words):
    with pytest.raises(ConfigError, match=r"^edgecheck.yaml:2: ") as error:
        read(f"gate: {gate}\n")
    assert words in str(error.value)


def test_dropping_everything_is_refused(tmp_path):
    (tmp_path / "own.yaml").write_text("criteria: [macs <= 1 M]")
    text = "data: {dataset: digits}\ngate: {profile: own.yaml, drop: [macs]}\n"
    with pytest.raises(ConfigError, match=r"edgecheck.yaml:2: gate.drop leaves no criterion"):
        reader.parse(text, tmp_path / "edgecheck.yaml", {})


def test_a_profile_on_the_command_line_stands_in_place_of_what_the_file_drops():
    assert read("gate: {drop: [parity.max_abs]}\n", profile="paper") == read()


@pytest.fixture
def own(tmp_path):
    """Write a profile of one's own, and return the policy of a configuration beside it that names it."""

    def policy(content, gate="profile: sub/own.yaml", **flags):
        (tmp_path / "sub").mkdir(exist_ok=True)
        (tmp_path / "sub" / "own.yaml").write_text(content)
        text = f"data: {{dataset: digits}}\ngate: {{{gate}}}\n"
        return reader.parse(text, tmp_path / "edgecheck.yaml", {"gate": flags} if flags else {}).policy

    return policy


def test_a_profile_of_ones_own_is_found_beside_the_configuration_and_names_its_lines(own, tmp_path):
    policy = own("criteria:\n  - macs <= 1 M\n  - parity.max_abs <= 0.01\n")
    assert policy.profile == "sub/own.yaml"
    assert written(policy) == {
        "macs": ("<=", 1e6, f"{tmp_path}/sub/own.yaml:2"),
        "parity.max_abs": ("<=", 0.01, f"{tmp_path}/sub/own.yaml:3"),
    }


def test_a_profile_of_ones_own_may_extend_one_that_ships(own):
    policy = own("extends: release\ndrop: js_divergence\ncriteria: [accuracy_drop_pp <= 1]\n", "profile: sub/own.yaml")
    expected = {**{one.name: (one.op, one.limit, "") for one in gates.profile("release")}}
    del expected["js_divergence"]
    assert {name: told for name, told in written(policy).items() if name != "accuracy_drop_pp"} == {
        name: told for name, told in expected.items() if name != "accuracy_drop_pp"
    }
    assert written(policy)["accuracy_drop_pp"][1] == 1


def test_on_the_command_line_a_profile_is_relative_to_the_current_folder(own, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path / "..")
    (tmp_path / "beside.yaml").write_text("criteria: [macs <= 2 M]\n")
    policy = own("criteria: [macs <= 1 M]", profile=f"{tmp_path.name}/beside.yaml")
    assert [one.limit for one in policy.criteria] == [2e6]


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        ("criteria: [acuracy >= 0.9]", "own.yaml:1: unknown metric 'acuracy', did you mean 'accuracy'"),
        ("criterias: [accuracy >= 0.9]", "own.yaml:1: criterias: unknown key 'criterias', did you mean 'criteria'"),
        ("criteria: []", "own.yaml: no criteria, so every variant would pass"),
        ("extends: papre", "own.yaml:1: unknown profile 'papre', did you mean 'paper'"),
        ("extends: own.yaml", "own.yaml:1: extends names a profile that ships, not a file"),
        ("extends: paper\ndrop: [macs]", "own.yaml:2: no criterion on 'macs' to drop"),
        ("criteria: [accuracy <= 0.9]", "own.yaml:1: 'accuracy <= 0.9' rejects only better values"),
        ("criteria: [accuracy >= 0.9", "own.yaml:1: not YAML"),
    ],
)
def test_errors_in_a_profile_of_ones_own_name_its_line(own, profile, words):
    with pytest.raises(ConfigError) as error:
        own(profile)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_profile_file_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"none.yaml: no such file; name a profile that ships"):
        reader.parse("data: {dataset: digits}\ngate: {profile: none.yaml}\n", tmp_path / "edgecheck.yaml", {})


def test_the_examples_of_the_template_can_be_commented_in():
    text = resources.files("edgecheck.cli").joinpath("edgecheck.yaml").read_text()
    gate = text[text.index("\ngate:\n") :]
    example = r"(?m)^( +)# (?=(?:drop|waivers|profile):|- |  - variant| {4}(?:metric|reason|approved|expires))"
    uncommented = re.sub(example, r"\1", gate)
    (waiver,) = read(uncommented.replace("profile: release", "profile: paper")).waivers
    assert (waiver.variant, waiver.metric, waiver.expires) == ("l1-filters-0.40", "size.bytes", "2027-01-31")
    assert read(gate).waivers == []
