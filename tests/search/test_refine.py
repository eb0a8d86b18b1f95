"""Rates of single layers over a made-up landscape: no network is made, and a script stands for Optuna."""

from pathlib import Path

import pytest
from attrs import evolve

from edgecheck.config import reader
from edgecheck.config.branches import branches
from edgecheck.config.refinement import Area
from edgecheck.config.variants import Settings
from edgecheck.errors import ModelError
from edgecheck.gate.sentence import parse
from edgecheck.pipeline.search import costs, hunt
from edgecheck.pipeline.search.refine import refine
from edgecheck.records import Attempt, Policy, Verdict, reading
from edgecheck.search.optimizing import Proposal
from tests.search.hunting import Landscape, searched

SEARCH = "search: {rate: [0.2, 0.4, 0.6, 0.8], recipe: none, quantization: none}\n"
TEXT = "data: {dataset: digits}\nmodel: {factory: 'edgecheck:digits_cnn'}\n" + SEARCH
LIMIT = 1.0  # of the harm that two layers may do together


class Script:
    """Proposes the enqueued points, then those of a list, again and again."""

    def __init__(self, points):
        self.queue, self.points, self.told = [], points, []

    def enqueue(self, point):
        self.queue.append(dict(point))

    def ask(self):
        return Proposal(self.queue.pop(0) if self.queue else self.points[len(self.told) % len(self.points)])

    def tell(self, proposal, value, constraints):
        self.told.append((dict(proposal.point), value, dict(constraints)))


class World:
    """Two layers: the first is half of the file and four times as sensitive as the second."""

    def __init__(self, broken=()):
        self.made, self.broken = [], broken

    def rates(self, spec):
        step = spec.pruning
        return [step.rate_of("first"), step.rate_of("second")]

    def size(self, spec):
        first, second = self.rates(spec)
        return 1000 - 500 * first - 500 * second

    def attempt(self, _bench, branch, index):
        spec = branch.specs[index]
        self.made.append(spec.name)
        yield "made"
        if self.rates(spec) in self.broken:
            return Attempt(spec.name, branch.label, "fails", reason="it broke")
        first, second = self.rates(spec)
        harm = 2 * first + 0.5 * second
        passes = harm <= LIMIT
        verdict = Verdict("v", "accuracy_drop_pp", "<=", LIMIT, harm, "PASS" if passes else "FAIL", "fail", "")
        return Attempt(spec.name, branch.label, "passes" if passes else "fails", self.size(spec), [verdict])

    def weighed(self, _bench, branch, index):
        yield "weighed"
        spec = branch.untrained[index]
        if "heavy" in self.broken and self.rates(spec) == [0.0, 0.8]:
            raise ModelError("cannot be pruned")
        return [reading(spec.name, "size.bytes", self.size(spec))]


def area_of(centre=0.4):
    plan = reader.parse(TEXT, Path("edgecheck.yaml"), {})
    (branch,) = branches(plan.search, Settings.of(plan))
    return Area(branch, plan.search, Settings.of(plan), [["first"], ["second"]], centre)


def refined(monkeypatch, points, trials=3, broken=(), bisected=True, budget=None):
    """Search the branch, refine it, and return the hunt, the script, and what was made."""
    world, area, script = World(broken), area_of(0.4 if bisected else 0.2), Script(points)
    found = searched(Landscape({}, {}), monkeypatch, budget=budget)
    found.bench.policy = Policy(criteria=[parse(f"accuracy_drop_pp <= {LIMIT}")])
    monkeypatch.setattr(hunt, "attempt", world.attempt)
    monkeypatch.setattr(costs, "weighed", world.weighed)
    if bisected:
        for _ in hunt.explore(found, area.branch):
            pass
    found.results.setdefault(area.branch.label, None)
    world.before = list(world.made)
    for _ in refine(found, area, script, trials):
        pass
    return found, script, world


def point(first, second):
    return {"rate.0": first, "rate.1": second}


def test_what_the_bisection_tried_is_told_first_and_not_made_again(monkeypatch):
    found, script, world = refined(monkeypatch, [point(1, 4)])
    tried = [spec for spec in area_of().branch.specs if spec.name in world.before]
    first = [told for told, _, _ in script.told[: len(tried)]]
    assert {one["rate.0"] for one in first} == {1 + area_of().branch.specs.index(spec) for spec in tried}
    assert all(one["rate.0"] == one["rate.1"] for one in first)
    assert len(world.made) == len(set(world.made))
    assert found.best[0] == pytest.approx(500)  # 20 % and 80 %: harm 0.8
    assert found.best[1].outcome == "passes"


def test_equal_points_are_made_once_and_told_twice(monkeypatch):
    _, script, world = refined(monkeypatch, [point(1, 4)], trials=5)
    assert len(world.made) == len(set(world.made))
    repeated = [(value, constraints) for where, value, constraints in script.told if where == point(1, 4)]
    assert len(repeated) > 1
    assert all(one == repeated[0] for one in repeated[1:])


def test_what_fails_is_told_as_violated_and_never_offered(monkeypatch):
    found, script, _ = refined(monkeypatch, [point(4, 4)])
    (_, value, constraints) = next(one for one in script.told if one[0] == point(4, 4))
    assert value == pytest.approx(200)
    assert constraints["accuracy_drop_pp <="] > 0
    assert found.best[0] > 200


def test_an_error_is_told_as_violated_with_the_size_of_the_baseline(monkeypatch):
    found, script, _ = refined(monkeypatch, [point(1, 4)], broken=([0.2, 0.8],))
    told = [one for one in script.told if one[0] == point(1, 4)]
    assert told[0][1:] == (1000, {"accuracy_drop_pp <=": 1.0})
    assert found.best[0] >= 600


def test_what_cannot_be_made_is_told_as_violated_and_not_tried(monkeypatch):
    _, script, world = refined(monkeypatch, [point(0, 4)], broken=("heavy",))
    told = next(one for one in script.told if one[0] == point(0, 4))
    assert told[1] == 1000
    assert all(excess > 0 for excess in told[2].values())
    assert not any(spec in world.made[len(world.before) :] for spec in [area_of().at(point(0, 4)).branch.specs[0].name])


def test_a_variant_that_is_not_smaller_is_not_made(monkeypatch):
    _, script, world = refined(monkeypatch, [point(0, 1)])
    (_, value, constraints) = next(one for one in script.told if one[0] == point(0, 1))
    assert value == 900
    assert constraints["smaller than the best"] > 0
    assert area_of().at(point(0, 1)).branch.specs[0].name not in world.made


def test_nothing_removed_is_told_as_violated(monkeypatch):
    _, script, _ = refined(monkeypatch, [point(0, 0)])
    assert next(one for one in script.told if one[0] == point(0, 0))[1:] == (1000, {"accuracy_drop_pp <=": 1.0})


def test_it_ends_after_so_many_variants_and_after_so_many_proposals(monkeypatch):
    _, _, world = refined(monkeypatch, [point(1, 4), point(1, 3), point(2, 4)], trials=1)
    assert len(world.made) - len(world.before) == 1
    _, script, _ = refined(monkeypatch, [point(0, 0)], trials=2)
    assert len(script.told) == 20


def test_the_budget_ends_it(monkeypatch):
    _, _, world = refined(monkeypatch, [point(1, 4)], trials=5, budget="1 variant")
    assert len(world.made) == 1


def test_without_a_bisection_it_starts_at_the_lowest_rate(monkeypatch):
    found, script, _ = refined(monkeypatch, [point(1, 4)], bisected=False)
    assert script.told[0][0] == point(0, 1)
    assert found.best is not None


def test_the_result_stands_beside_those_of_the_branches(monkeypatch):
    found, _, _ = refined(monkeypatch, [point(1, 4)])
    label = evolve(area_of().branch, refined=True).label
    assert found.results[label].smallest == found.best[1].variant
    assert found.results[label].variants == sum(one.branch == label for one in found.attempts.values())
    assert {spec.name for spec in found.specs} >= {found.best[1].variant}
