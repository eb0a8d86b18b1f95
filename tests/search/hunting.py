"""A search over made-up landscapes: each branch has sizes and limits, and no network is made."""

from types import SimpleNamespace

from edgecheck.config.branches import Branch
from edgecheck.config.plan import VariantSpec
from edgecheck.gate.sentence import parse
from edgecheck.pipeline.search import costs, hunt
from edgecheck.progress import Silent
from edgecheck.records import Attempt, Policy, Variant, reading
from edgecheck.search.budget import Budget, Spending

BASELINE = 1000.0


class Landscape:
    """What a variant would measure: `sizes`, `outcomes` and `ratios` by branch, and what was asked."""

    def __init__(self, sizes, outcomes, ratios=None):
        self.sizes, self.outcomes, self.ratios = sizes, outcomes, ratios
        self.branches = [_branch(name, len(sizes[name])) for name in sizes]
        self.tried = []

    def attempt(self, _bench, branch, index):
        self.tried.append((branch.criterion, index))
        outcome = self.outcomes[branch.criterion][index]
        yield "made"
        size = self.sizes[branch.criterion][index]
        return Attempt(branch.specs[index].name, branch.label, outcome, size)

    def first_cheap(self, _bench, branch, limit):
        yield "weighed"
        sizes = self.sizes[branch.criterion]
        return next((i for i, size in enumerate(sizes) if limit([reading("v", "size.bytes", size)])), len(sizes))

    def timed(self, _bench, branch, stop):
        yield "timed"
        ratios = self.ratios[branch.criterion][:stop]
        return {
            i: [reading("v", "latency.ratio", ratio, (ratio - 0.01, ratio + 0.01))]
            for i, ratio in enumerate(ratios)
            if ratio is not None
        }


def _branch(name, count):
    specs = tuple(VariantSpec(f"{name}-{index}", ()) for index in range(count))
    return Branch(name, "filters", "", "none", "paper", specs, specs, True)


def searched(landscape, monkeypatch, minimize="size.bytes", criteria=(), budget=None):
    """Search a landscape; return the hunt."""
    monkeypatch.setattr(hunt, "attempt", landscape.attempt)
    monkeypatch.setattr(costs, "first_cheap", landscape.first_cheap)
    monkeypatch.setattr(costs, "timed", landscape.timed)
    policy = Policy(criteria=[parse(text) for text in criteria])
    baseline = SimpleNamespace(
        variant=Variant("baseline", "baseline"), readings=[reading("baseline", "size.bytes", BASELINE)]
    )
    run = SimpleNamespace(plan=SimpleNamespace(policy=policy))
    bench = SimpleNamespace(run=run, policy=policy, baseline=baseline, minimize=minimize)
    found = hunt.Hunt(bench, Spending(Budget.of(budget)), Silent(), sum(map(len, landscape.sizes.values())))
    for branch in landscape.branches:
        for _ in hunt.explore(found, branch):
            pass
    return found
