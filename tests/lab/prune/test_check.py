"""What cannot be carried out is refused before any work is done, in one line that says why."""

import pytest

from edgecheck.config.plan import VariantSpec
from edgecheck.errors import ConfigError
from edgecheck.lab.prune import CRITERIA, check_fits, check_spec, needs_images, prune
from edgecheck.models.resnet_cifar import resnet8
from tests.lab.prune.networks import EXAMPLE, Plain

FILTERS_ONLY = [name for name, criterion in CRITERIA.items() if criterion.weights is None]


def spec(criterion="l1", structure="unstructured", scope="global", rate=0.5, **others):
    return VariantSpec("mine", criterion, structure, scope, rate, **others)


def refusal(checked):
    with pytest.raises(ConfigError) as caught:
        check_spec(checked)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("structure", ["unstructured", "2:4"])
@pytest.mark.parametrize("criterion", FILTERS_ONLY)
def test_a_criterion_of_filters_cannot_rank_single_weights(criterion, structure):
    assert refusal(spec(criterion, structure)) == (
        f"variant mine: criterion {criterion} cannot rank single weights; "
        f"structure {structure} takes l1, l2, random, taylor"
    )


@pytest.mark.parametrize(
    ("odd", "says"),
    [
        (spec(round_to=8), "variant mine: round_to counts channels; it goes with structure filters"),
        (spec(structure="2:4", round_to=8), "variant mine: round_to counts channels; it goes with structure filters"),
        (spec(structure="2:4", steps=2), "variant mine: 2:4 has no rates between, so it is pruned in one step"),
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
        spec(structure="filters", scope="layer", steps=3, round_to=8),
        spec(structure="unstructured", steps=3),
        spec("taylor", "1:16"),
        *(spec(criterion, "filters", "layer") for criterion in CRITERIA),
    ],
)
def test_sound_ones_pass(sound):
    check_spec(sound)
    check_fits(sound, resnet8())


@pytest.mark.parametrize("structure", ["unstructured", "2:4", "filters"])
def test_taylor_without_images(structure):
    assert needs_images(spec("taylor", structure))
    with pytest.raises(ConfigError, match="criterion taylor looks at images of the training split") as caught:
        prune(Plain(), spec("taylor", structure), EXAMPLE, 0)
    assert "\n" not in str(caught.value)


def test_the_control_needs_no_images():
    assert not needs_images(VariantSpec("control", "", "", "global", 0.0))
