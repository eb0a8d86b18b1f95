"""The optimizer against Optuna itself."""

import math
import sys

import pytest

from edgecheck.errors import DependencyError
from edgecheck.search.optimizing import Optimizer, need_optuna

AXES = {"a": 6, "b": 6}


@pytest.fixture
def optimizer():
    pytest.importorskip("optuna")
    return Optimizer(AXES, seed=3)


def told(optimizer):
    return optimizer._study.trials


def test_enqueued_points_come_first_in_their_order(optimizer):
    points = [{"a": 1, "b": 1}, {"a": 5, "b": 0}]
    for point in points:
        optimizer.enqueue(point)
    proposals = []
    for _ in range(3):
        proposals.append(optimizer.ask())
        optimizer.tell(proposals[-1], 1.0, {"c": 0.0})
    assert [one.point for one in proposals[:2]] == points
    assert all(0 <= value < AXES[name] for name, value in proposals[2].point.items())


def test_constraints_are_there_when_a_value_is_and_are_never_nan(optimizer):
    for constraints in ({"c": 0.5}, {"c": math.nan}, {"c": math.inf}):
        optimizer.tell(optimizer.ask(), 1.0, constraints)
    assert [trial.constraints for trial in told(optimizer)] == [{"c": 0.5}, {"c": 1.0}, {"c": 1.0}]
    assert all(trial.state.is_finished() for trial in told(optimizer))


def test_equal_seeds_propose_equal_points():
    pytest.importorskip("optuna")
    runs = []
    for _ in range(2):
        one, points = Optimizer(AXES, seed=7), []
        for _ in range(15):
            proposal = one.ask()
            points.append(dict(proposal.point))
            one.tell(proposal, float(sum(proposal.point.values())), {"c": -1.0})
        runs.append(points)
    assert runs[0] == runs[1]


def test_it_looks_where_constraints_hold(optimizer):
    """The value falls with a, and nothing above 2 is allowed: later points are mostly within, and near the limit."""
    points = []
    for _ in range(60):
        proposal = optimizer.ask()
        points.append(proposal.point["a"])
        optimizer.tell(proposal, -float(points[-1]), {"c": float(points[-1] - 2)})
    assert sum(a <= 2 for a in points[30:]) > 15
    assert points[30:].count(2) > points[:10].count(2)


def test_without_optuna_one_line_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(DependencyError, match=r"needs Optuna, but optuna is not installed; run: pip install '.*search"):
        need_optuna()
