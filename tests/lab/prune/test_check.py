"""What cannot be carried out is refused before any work is done, in one line that says why."""

import pytest

from edgecheck.errors import ConfigError
from edgecheck.lab.prune import check_fits
from edgecheck.models.resnet_cifar import resnet8
from edgecheck.pruning.checks import check_step, needs_images
from edgecheck.pruning.criteria import CRITERIA
from edgecheck.steps import PruneStep
from tests.lab.prune.networks import EXAMPLE, Plain, prune_once

FILTERS_ONLY = [name for name, criterion in CRITERIA.items() if criterion.ranks == ("filters",)]


def spec(criterion="l1", structure="unstructured", scope="global", rate=0.5, **others):
    return PruneStep(criterion, structure, scope, rate, **others)


def refusal(checked):
    with pytest.raises(ConfigError) as caught:
        check_step(checked)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("structure", ["unstructured", "2:4"])
@pytest.mark.parametrize("criterion", FILTERS_ONLY)
def test_a_criterion_of_filters_cannot_rank_single_weights(criterion, structure):
    assert refusal(spec(criterion, structure)) == (
        f"criterion {criterion} cannot rank single weights; structure {structure} takes random, l1, l2, taylor"
    )


@pytest.mark.parametrize(
    ("odd", "says"),
    [
        (spec(round_to=8), "round_to counts channels; it goes with structure filters"),
        (spec(structure="2:4", round_to=8), "round_to counts channels; it goes with structure filters"),
        (spec(structure="2:4", share=0.5), "2:4 has no rates between, so it is pruned in one step"),
    ],
)
def test_pairs_that_make_no_sense(odd, says):
    assert refusal(odd) == says


@pytest.mark.parametrize("structure", ["4:2", "2:2", "0:4", "2-4", "2:4:8", "two:four"])
def test_what_looks_like_a_structure_and_is_none(structure):
    assert "unknown structure" in refusal(spec(structure=structure))


@pytest.mark.parametrize(
    "sound",
    [
        spec(structure="filters", scope="layer", share=1 / 3, round_to=8),
        spec(structure="unstructured", share=1 / 3),
        spec("taylor", "1:16"),
        *(spec(criterion, "filters", "layer") for criterion in CRITERIA),
    ],
)
def test_sound_ones_pass(sound):
    check_step(sound)
    check_fits(sound.criterion, resnet8())


@pytest.mark.parametrize("structure", ["unstructured", "2:4", "filters"])
def test_taylor_without_images(structure):
    assert needs_images(spec("taylor", structure))
    with pytest.raises(ConfigError, match="criterion taylor looks at images of the training split") as caught:
        prune_once(Plain(), spec("taylor", structure), EXAMPLE, 0)
    assert "\n" not in str(caught.value)
