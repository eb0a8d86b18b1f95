"""`hrank`, `senpis` and `functionality` beside numpy, deletions by hand and figures worked out on paper."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from edgecheck.lab.prune import Samples, rank
from edgecheck.lab.prune.criteria.functionality import lessened
from edgecheck.lab.prune.criteria.senpis import attenuate
from edgecheck.records import Diagnostic
from edgecheck.steps import PruneStep
from tests.lab.prune.networks import EXAMPLE, Normed, Plain, randomized, samples, scores


def activations(model, images):
    """The maps of each layer of `Plain` behind its ReLU, written out."""
    first = torch.relu(model.norm(model.conv1(images)))
    second = torch.relu(model.conv2(first))
    return {"conv1": first, "conv2": second, "hidden": torch.relu(model.hidden(second.flatten(1)))}


def as_arrays(found):
    return {name: value.detach().double().numpy() for name, value in found.items()}


def test_hrank_is_the_mean_rank_over_the_side():
    model, seen = randomized(Normed()), samples(40)
    model.conv1.weight.data[1] = 0.0
    model.norm.bias.data[1] = 1.0  # a constant map, of rank 1
    expected = {}
    for layer, found in as_arrays(activations(model, seen.images)).items():
        found = found.reshape(*found.shape[:2], *(found.shape[2:] or (1, 1)))
        ranks = np.array([[np.linalg.matrix_rank(one, tol=1e-5) for one in image] for image in found])
        expected[layer] = ranks.mean(0) / min(found.shape[2:])
    ranked = scores("hrank", model, seen)
    assert set(ranked) == set(expected)
    assert all(ranked[layer].numpy() == pytest.approx(expected[layer]) for layer in expected)
    assert float(ranked["conv1"][1]) == pytest.approx(1 / 6)
    assert len(set(ranked["conv2"].tolist())) > 1  # not all of full rank


def test_hrank_says_which_maps_are_too_small():
    spec = PruneStep("hrank", "filters", "layer", 0.5)
    notes = rank(randomized(Plain()), spec, EXAMPLE, 0, samples()).notes
    # conv2 has maps of 4 x 4, and the output layer is not pruned.
    assert notes == [Diagnostic("maps-too-small-to-rank", {"layers": ["hidden"], "side": 4})]
    convolutions = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3)).eval()
    assert rank(convolutions, spec, EXAMPLE, 0, samples()).notes == []


def class_losses(model, seen):
    with torch.no_grad():
        logits = model(seen.images).double().numpy()
    losses = np.log(np.exp(logits).sum(1)) - logits[np.arange(len(logits)), seen.labels.numpy()]
    return np.array([losses[seen.labels.numpy() == label].mean() for label in np.unique(seen.labels)])


def without(layer, unit):
    """A `Plain` network whose readers of a filter have zeros for it: the filter deleted."""
    model = randomized(Plain())
    with torch.no_grad():
        if layer == "conv1":
            model.conv2.weight[:, unit] = 0
        elif layer == "conv2":
            model.hidden.weight[:, 16 * unit : 16 * (unit + 1)] = 0
        else:
            model.output.weight[:, unit] = 0
    return model


@pytest.mark.parametrize("count", [10, 40])
def test_senpis_faster_is_what_each_class_loses_by_a_deletion(count):
    """Classes of 4, 3 and 3 images weigh the same. 40 images are two batches."""
    seen = samples(count)
    whole = class_losses(randomized(Plain()), seen)
    for layer, found in scores("senpis-faster", randomized(Plain()), seen).items():
        changes = [np.abs(class_losses(without(layer, unit), seen) - whole).mean() for unit in range(len(found))]
        assert found.numpy() == pytest.approx(np.array(changes), rel=1e-4, abs=1e-7)


def test_senpis_counts_only_the_classes_that_images_show():
    seen = samples(10)
    seen = Samples(seen.images, torch.where(seen.labels == 1, 2, seen.labels))
    whole = class_losses(randomized(Plain()), seen)
    assert len(whole) == 2
    found = scores("senpis-faster", randomized(Plain()), seen)["hidden"]
    changes = [np.abs(class_losses(without("hidden", unit), seen) - whole).mean() for unit in range(5)]
    assert found.numpy() == pytest.approx(np.array(changes), rel=1e-4, abs=1e-7)


def test_attenuate_by_hand():
    """Pairs .9 .9 .1 .1 .1 .1: mean .3667, deviation .4131 (of a sample), so that only those above .7798 are alike."""
    alike = torch.tensor([[1, 0.9, 0.1, 0.1], [0.9, 1, 0.1, 0.9], [0.1, 0.1, 1, 0.1], [0.1, 0.9, 0.1, 1]])
    found = attenuate(torch.tensor([4.0, 2.0, 1.0, 3.0]).double(), alike.double())
    assert found.tolist() == pytest.approx([4.0, 2.0 * 0.9 * 0.9, 1.0, 3.0])
    same = attenuate(torch.tensor([2.0, 2.0, 1.0, 2.0]).double(), alike.double())
    assert same.tolist() == pytest.approx([2.0, 2.0 * 0.9, 1.0, 2.0 * 0.9])  # the earlier of two equal ones is spared
    alike[1, 3] = alike[3, 1] = 0.69  # now the limit is .6967; with the deviation of a population it would be .6648
    assert attenuate(torch.tensor([4.0, 2.0, 1.0, 3.0]).double(), alike.double()).tolist() == pytest.approx(
        [4.0, 2.0 * 0.9, 1.0, 3.0]
    )
    assert attenuate(torch.tensor([1.0, 2.0]), torch.ones(2, 2)).tolist() == [1.0, 2.0]  # one pair has no deviation


def test_senpis_is_senpis_faster_attenuated_by_the_cosines_of_maps():
    model, seen = randomized(Plain()), samples(40)
    plain, found = (as_arrays(scores(criterion, model, seen)) for criterion in ("senpis-faster", "senpis"))
    shrunk = 0
    for layer, maps in as_arrays(activations(model, seen.images)).items():
        flat = maps.swapaxes(0, 1).reshape(maps.shape[1], -1)
        count = len(flat)
        norms = [np.linalg.norm(row) for row in flat]
        cosine = [
            [flat[a] @ flat[b] / (norms[a] * norms[b]) if norms[a] * norms[b] else 0 for b in range(count)]
            for a in range(count)
        ]
        pairs = [cosine[a][b] for a in range(count) for b in range(a)]
        limit = np.mean(pairs) + np.std(pairs, ddof=1)
        for a in range(count):
            times = sum(plain[layer][b] > plain[layer][a] and cosine[a][b] > limit for b in range(count) if b != a)
            assert found[layer][a] == pytest.approx(plain[layer][a] * 0.9**times, rel=1e-9)
            shrunk += times
    assert shrunk > 0


def test_lessened_by_hand():
    """The second leans on the first, the fourth on the third (.9) more than on the first; negative ones count as 0."""
    alike = torch.tensor([[1, 0.5, -0.4, 0.2], [0.5, 1, 0.0, 0.1], [-0.4, 0.0, 1, 0.9], [0.2, 0.1, 0.9, 1]])
    found = lessened(torch.tensor([4.0, 2.0, 3.0, 1.0]), alike)
    assert found.tolist() == pytest.approx([4.0, 2.0 * 0.5, 3.0, 1.0 * 0.1])
    twins = lessened(torch.tensor([2.0, 2.0]), torch.ones(2, 2))
    assert twins.tolist() == [2.0, 0.0]  # one of two that say the same stays
    assert lessened(torch.tensor([5.0]), torch.ones(1, 1)).tolist() == [5.0]


@pytest.mark.parametrize("count", [10, 40])
def test_functionality_by_numpy_and_autograd(count):
    model, seen = randomized(Plain()), samples(count)
    found = scores("functionality", model, seen)
    maps = activations(model, seen.images)
    loss = F.cross_entropy(model.output(maps["hidden"]), seen.labels, reduction="sum")
    gradients = dict(zip(maps, torch.autograd.grad(loss, list(maps.values())), strict=True))
    for layer, value in as_arrays(maps).items():
        flow = value * gradients[layer].double().numpy()
        contribution = np.abs(flow.reshape(*flow.shape[:2], -1).sum(2)).mean(0)
        contribution /= contribution.mean()
        with np.errstate(invalid="ignore"):  # a unit that never fires has no correlation; it contributes nothing
            alike = np.nan_to_num(np.corrcoef(value.swapaxes(0, 1).reshape(value.shape[1], -1)).clip(0, 1))
        for unit, own in enumerate(contribution):
            above = [alike[unit, other] for other in range(len(contribution)) if contribution[other] > own]
            assert float(found[layer][unit]) == pytest.approx(own * (1 - max(above, default=0)), rel=1e-4, abs=1e-6)


def test_a_copy_of_a_filter_is_redundant():
    model = randomized(Plain())
    model.conv2.weight.data[3], model.conv2.bias.data[3] = model.conv2.weight.data[0], model.conv2.bias.data[0]
    found = scores("functionality", model, samples())["conv2"]
    assert min(float(found[0]), float(found[3])) == pytest.approx(0, abs=1e-9)
    assert max(float(found[0]), float(found[3])) > 0.01
