"""Configurations that would grow without end are refused at once, at their line."""

import pytest
from ruamel.yaml.error import MarkedYAMLError

from edgecheck.config import bounded_yaml, document
from edgecheck.config.bounded_yaml import MOST_DEPTH, MOST_NODES, load
from edgecheck.errors import ConfigError


def laughs(levels, first="a"):
    rows = [f"{first}0: &{first}0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"{first}{n}: &{first}{n} [{', '.join([f'*{first}{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(rows)


def test_a_billion_laughs_are_refused_at_the_line_where_they_become_too_many():
    # Line n (from 1) holds 10**n items and the lists above them; the fifth is the first with over 100,000.
    with pytest.raises(ConfigError, match=r"^bomb.yaml:5: not YAML: more than 100,000 items after expanding aliases$"):
        document.read(laughs(9), "bomb.yaml")


def test_merge_keys_count_too():
    rows = ["k0: &k0 {a: 1}"] + [
        f"k{n}: &k{n} {{b{n}: 1, <<: [{', '.join([f'*k{n - 1}'] * 10)}]}}" for n in range(1, 9)
    ]
    with pytest.raises(MarkedYAMLError, match="after expanding aliases"):
        load("\n".join(rows))


def test_aliases_within_the_limit_are_what_they_stand_for():
    assert load("a: &a [1, 2]\nb: *a\nc: {<<: &m {d: 3}, e: 4}\nf: *m\n") == {
        "a": [1, 2],
        "b": [1, 2],
        "c": {"d": 3, "e": 4},
        "f": {"d": 3},
    }


def test_an_alias_inside_itself_is_refused():
    with pytest.raises(ConfigError, match=r"^a.yaml:2: not YAML: an alias inside its own anchor$"):
        document.read("b: 1\na: &a [*a]\n", "a.yaml")


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_deep_nesting_is_refused(opening):
    with pytest.raises(ConfigError, match=f"nested more than {MOST_DEPTH} levels deep"):
        document.read(f"a:\n  {opening * 5000}", "deep.yaml")


def test_the_limits_are_where_they_are_said_to_be(monkeypatch):
    assert load("[" * (MOST_DEPTH - 1) + "x" + "]" * (MOST_DEPTH - 1))
    with pytest.raises(MarkedYAMLError):
        load("[" * MOST_DEPTH + "x" + "]" * MOST_DEPTH)
    monkeypatch.setattr(bounded_yaml, "MOST_NODES", 7)
    assert load("a: &a [1, 2]\nb: 1") == {"a": [1, 2], "b": 1}  # the mapping, 2 keys, a list of 2, a number
    with pytest.raises(MarkedYAMLError):
        load("a: &a [1, 2]\nb: *a")


def test_a_sweep_of_a_thousand_variants_is_far_from_the_limit():
    row = "  - criterion: l1\n    structure: filters\n    rate: 0.5\n"
    assert len(load("variants:\n" + row * 1000)["variants"]) == 1000
    assert MOST_NODES > 10 * 7000
