"""The search over branches, against looking at every variant."""

import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgecheck.config.plan import VariantSpec
from edgecheck.steps import FineTuneStep, Preserve, Recipe
from tests.search.hunting import BASELINE, Landscape, searched

NAMES = ("a", "b", "c", "d")


@st.composite
def monotone(draw):
    """Branches whose sizes fall with the rate, and which pass up to some rate."""
    sizes, outcomes, ratios = {}, {}, {}
    for name in NAMES:
        count = draw(st.integers(1, 12))
        different = st.lists(st.integers(1, 999), min_size=count, max_size=count, unique=True)
        sizes[name] = sorted(draw(different), reverse=True)
        passing = draw(st.integers(0, count))
        outcomes[name] = ["passes"] * passing + ["fails"] * (count - passing)
        hundredths = st.lists(st.integers(20, 160), min_size=count, max_size=count)
        ratios[name] = [hundredth / 100 for hundredth in draw(hundredths)]
    return Landscape(sizes, outcomes, ratios)


def best(landscape, value, allowed=lambda _name, _index: True):
    """Return the smallest value among all variants that pass; None if none is below the baseline."""
    known = [
        value(name, index)
        for name in NAMES
        for index, outcome in enumerate(landscape.outcomes[name])
        if outcome == "passes" and allowed(name, index)
    ]
    return min(known, default=None)


patched = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@patched
@given(landscape=monotone())
def test_it_finds_the_smallest_of_all_that_pass(landscape, monkeypatch):
    found = searched(landscape, monkeypatch)
    expected = best(landscape, lambda name, index: landscape.sizes[name][index])
    if expected is None or expected >= 0.99 * BASELINE:
        assert found.best is None
    else:
        assert found.best[0] == expected
    assert len(landscape.tried) == len(set(landscape.tried))


@patched
@given(landscape=monotone(), limit=st.integers(1, 999))
def test_limits_on_size_are_bisected_from_the_other_side(landscape, limit, monkeypatch):
    found = searched(landscape, monkeypatch, criteria=[f"size.bytes <= {limit} B"])
    small = lambda name, index: landscape.sizes[name][index] <= limit  # noqa: E731
    expected = best(landscape, lambda name, index: landscape.sizes[name][index], small)
    assert (found.best[0] if found.best else None) == (expected if expected and expected < 0.99 * BASELINE else None)
    assert all(landscape.sizes[name][index] <= limit for name, index in landscape.tried)


@patched
@given(landscape=monotone(), share=st.integers(1, 99))
def test_limits_relative_to_the_baseline_are_bisected_as_numbers(landscape, share, monkeypatch):
    relative = searched(landscape, monkeypatch, criteria=[f"size.bytes <= {share / 100} x baseline - 1 B"])
    tried = list(landscape.tried)
    landscape.tried.clear()
    absolute = searched(landscape, monkeypatch, criteria=[f"size.bytes <= {share * BASELINE / 100 - 1} B"])
    assert relative.best == absolute.best
    assert tried == landscape.tried


def test_a_limit_relative_to_what_the_baseline_lacks_is_why_a_branch_has_no_result(monkeypatch):
    landscape = Landscape({"l1": [900.0, 500.0]}, {"l1": ["passes", "passes"]})
    found = searched(landscape, monkeypatch, criteria=["macs <= 0.5 x baseline"])
    assert found.best is None
    (result,) = found.results.values()
    assert result.note.startswith("macs <= 0.5 x baseline: the baseline has no reading of macs, so there is no limit")


@patched
@given(landscape=monotone())
def test_it_finds_the_fastest_although_latency_is_not_monotone(landscape, monkeypatch):
    found = searched(landscape, monkeypatch, minimize="latency.ratio")
    expected = best(landscape, lambda name, index: landscape.ratios[name][index])
    assert (found.best[0] if found.best else None) == (expected if expected and expected < 0.95 else None)
    assert all(one.value is not None for one in found.attempts.values())
    assert found.best is None or found.best[1].value == expected


@patched
@given(landscape=monotone())
def test_a_limit_on_latency_holds_for_the_whole_interval(landscape, monkeypatch):
    found = searched(landscape, monkeypatch, criteria=["latency.ratio <= 1"])
    fast = lambda name, index: landscape.ratios[name][index] + 0.01 <= 1  # noqa: E731
    expected = best(landscape, lambda name, index: landscape.sizes[name][index], fast)
    assert (found.best[0] if found.best else None) == (expected if expected and expected < 0.99 * BASELINE else None)


def test_a_branch_that_cannot_beat_the_best_one_is_not_tried(monkeypatch):
    landscape = Landscape({"a": [400, 300], "b": [900, 500]}, {"a": ["passes"] * 2, "b": ["passes"] * 2})
    found = searched(landscape, monkeypatch)
    assert found.best[0] == 300
    assert {name for name, _ in landscape.tried} == {"a"}
    assert "no variant of it is smaller" in found.results["b, filters, recipe paper"].note


def test_the_budget_ends_the_search_with_what_is_known(monkeypatch):
    landscape = Landscape({"a": [900, 800, 700, 600, 500]}, {"a": ["passes"] * 5})
    found = searched(landscape, monkeypatch, budget="2 variants")
    assert len(landscape.tried) == 2
    assert found.best is not None
    assert found.results["a, filters, recipe paper"].note == "the budget ended"


@pytest.mark.parametrize("outcome", ["fails", "undecided", "unchanged"])
def test_only_a_variant_that_passes_is_found(outcome, monkeypatch):
    landscape = Landscape({"a": [900, 800]}, {"a": [outcome] * 2})
    assert searched(landscape, monkeypatch).best is None


def test_a_branch_that_the_gate_could_only_judge_by_trained_maps_is_not_tried(monkeypatch):
    landscape = Landscape({"a": [900, 800]}, {"a": ["passes"] * 2})
    kept = FineTuneStep(Recipe(preserve=Preserve()), 0)
    specs = tuple(VariantSpec(f"a-{index}", (kept,)) for index in range(2))
    landscape.branches = [evolve(landscape.branches[0], specs=specs)]
    found = searched(landscape, monkeypatch, criteria=["sp2ps.grad-cam >= 0.95"])
    assert (landscape.tried, found.best) == ([], None)
    assert "add `sp2ps.ablation-cam >= 0.90` to the gate" in found.results["a, filters, recipe paper"].note
    found = searched(landscape, monkeypatch, criteria=["sp2ps.grad-cam >= 0.95", "sp2ps.ablation-cam >= 0.9"])
    assert found.best is not None
