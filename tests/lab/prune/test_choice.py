"""How many channels stay, and which, beside counting by brute force."""

from collections import Counter

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from edgecheck.lab.prune import rank
from edgecheck.lab.prune.dependency_groups import Cut, DependencyGroup
from edgecheck.lab.prune.selection import lowest_overall, lowest_per_layer, width_to_keep
from edgecheck.models.resnet_cifar import resnet20
from edgecheck.records import Diagnostic
from edgecheck.steps import PruneStep
from tests.lab.prune.networks import EXAMPLE, Plain, prune_once, randomized

RGB = torch.zeros(1, 3, 32, 32)


def group(root, size, *others):
    units = torch.arange(size)
    cuts = [Cut(name, "out", units, units) for name in (root, *others)]
    return DependencyGroup(root, size, cuts, cuts)


def kept(removals):
    found = Counter()
    for one, removed in removals:
        found.update(dict.fromkeys(one.layers, int((~removed).sum())))
    return found


@given(width=st.integers(1, 600), rate=st.floats(0, 1), round_to=st.integers(2, 64))
def test_the_nearest_multiple_is_kept(width, rate, round_to):
    wanted = (1 - rate) * width
    found = width_to_keep(width, rate, round_to)
    multiples = list(range(round_to, width + 1, round_to))
    assert found in [*multiples, width]
    nearest = min([*multiples, multiples[-1] + round_to] if multiples else [width], key=lambda m: abs(m - wanted))
    assume(abs(abs(nearest - wanted) - round_to / 2) > 1e-6)  # of two equally near ones, see below
    assert found == min(nearest, width)


@pytest.mark.parametrize(
    ("width", "rate", "round_to", "stay"),
    [
        (16, 0.5, 8, 8),
        (24, 0.5, 8, 16),  # 12 lies in the middle
        (20, 0.4, 8, 16),  # so does 12 of 20, whatever 1 - 0.4 is in binary
        (58, 0.8, 8, 8),  # 11.6 is nearer to 8 than to 16
        (16, 0.99, 8, 8),  # at least one multiple
        (22, 0.01, 8, 22),  # never more than all
        (6, 0.5, 8, 6),
        (16, 0.99, 1, 1),
        (10, 0.25, 1, 8),
    ],
)
def test_widths_by_hand(width, rate, round_to, stay):
    assert width_to_keep(width, rate, round_to) == stay


SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=5)


@given(SIZES, st.floats(0.01, 1), st.integers(2, 16), st.integers(0, 10**6), st.booleans())
def test_layers_keep_a_multiple_or_all(sizes, rate, round_to, seed, overall):
    groups = [group(f"layer{place}", size) for place, size in enumerate(sizes)]
    generator = torch.Generator().manual_seed(seed)
    scores = {one.root: torch.rand(one.size, generator=generator) for one in groups}
    choose, how = (lowest_overall, rate) if overall else (lowest_per_layer, lambda _: rate)
    removals, _ = choose(groups, scores, how, round_to)
    exact, _ = choose(groups, scores, how, 1)
    for (one, removed), (_, without) in zip(removals, exact, strict=True):
        stay = one.size - int(removed.sum())
        assert stay == one.size or (stay > 0 and stay % round_to == 0)
        assert set(removed.nonzero().flatten().tolist()) == set(scores[one.root].argsort()[: one.size - stay].tolist())
        if overall:  # some come back, and no more than it takes
            assert bool((without | ~removed).all())
            assert 0 <= stay - (one.size - int(without.sum())) < round_to


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_widths_of_resnet20_are_multiples_of_8_whatever_the_rate(scope):
    """Three groups share its wide layers: 16 channels run through, 16 and 32 are added by shortcuts (option A)."""
    model = randomized(resnet20())
    spec = PruneStep("random", "filters", scope, 0.5, round_to=8)
    for rate in (0.1, 0.3, 0.55, 0.9):
        changed = PruneStep("random", "filters", scope, rate, round_to=8)
        pruned = prune_once(model, changed, RGB, 3, ranking=rank(model, spec, RGB, 3))
        convolutions = {n: m.out_channels for n, m in pruned.model.named_modules() if isinstance(m, nn.Conv2d)}
        assert all(width > 0 and width % 8 == 0 for width in convolutions.values()), convolutions
        if scope == "layer":
            full = {n: m.out_channels for n, m in model.named_modules() if isinstance(m, nn.Conv2d)}
            assert convolutions == {name: width_to_keep(width, rate, 8) for name, width in full.items()}
        with torch.no_grad():
            assert torch.isfinite(pruned.model(RGB + 1)).all()


def emptied(*layers):
    fields = [{"layer": layer, "kept": kept, "width": width} for layer, kept, width in layers]
    return Diagnostic("rate-empties-layers", {"layers": fields})


def test_layers_that_a_rate_would_empty_are_named():
    model = randomized(Plain())  # 4, 6 and 5 filters
    pruned = prune_once(model, PruneStep("l1", "filters", "layer", 0.9), EXAMPLE, 0)
    assert [len(pruned.model.get_submodule(name).weight) for name in ("conv1", "conv2", "hidden")] == [1, 1, 1]
    assert pruned.notes == [emptied(("conv1", 1, 4), ("hidden", 1, 5))]
    assert prune_once(model, PruneStep("l1", "filters", "layer", 0.8), EXAMPLE, 0).notes == []
    rounded = prune_once(model, PruneStep("l1", "filters", "layer", 0.9, round_to=2), EXAMPLE, 0)
    assert rounded.notes == [emptied(("conv1", 2, 4), ("hidden", 2, 5))]


@settings(max_examples=50)
@given(SIZES, st.floats(0.01, 1), st.integers(0, 10**6))
def test_the_lowest_of_the_whole_network_go_first(sizes, rate, seed):
    groups = [group(f"layer{place}", size) for place, size in enumerate(sizes)]
    generator = torch.Generator().manual_seed(seed)
    scores = {one.root: torch.rand(one.size, generator=generator) for one in groups}
    removals, notes = lowest_overall(groups, scores, rate, 1)
    left, budget = dict(zip(scores, sizes, strict=True)), round(rate * sum(sizes))
    gone = set()
    for _, root, unit in sorted((float(s), root, u) for root, part in scores.items() for u, s in enumerate(part)):
        if len(gone) < budget and left[root] > 1:
            left[root] -= 1
            gone.add((root, unit))
    assert {(one.root, unit) for one, mask in removals for unit in mask.nonzero().flatten().tolist()} == gone
    assert (len(gone) < budget) <= bool(notes)


def test_a_layer_that_several_groups_widen_keeps_its_share_of_all():
    """Layer b has 4 channels of the first group and 5 of its own: at 0.5 it keeps 4 of 9, 2 of them the first's."""
    groups = [group("a", 4, "b"), group("b", 5)]
    scores = {"a": torch.arange(4.0), "b": torch.arange(5.0)}
    removals, _ = lowest_per_layer(groups, scores, lambda _: 0.5, 1)
    assert kept(removals) == {"a": 2, "b": 4}
