"""The strengths of all severities, and the names of corruptions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecheck.corruption.table import KINDS, Corruption, of_metric, parse
from edgecheck.errors import ConfigError
from edgecheck.metrics import METRICS

# As printed in make_cifar_c.py and make_imagenet_c.py, in their order.
CIFAR = """
gaussian-noise 0.04 0.06 .08 .09 .10
shot-noise 500 250 100 75 50
defocus-blur (0.3,0.4) (0.4,0.5) (0.5,0.6) (1,0.2) (1.5,0.1)
contrast .75 .5 .4 .3 0.15
brightness .05 .1 .15 .2 .3
jpeg 80 65 58 50 40
pixelate 0.95 0.9 0.85 0.75 0.65
"""
IMAGENET = """
gaussian-noise .08 .12 0.18 0.26 0.38
shot-noise 60 25 12 5 3
defocus-blur (3,0.1) (4,0.5) (6,0.5) (8,0.5) (10,0.5)
contrast 0.4 .3 .2 .1 .05
brightness .1 .2 .3 .4 .5
jpeg 25 18 15 10 7
pixelate 0.6 0.5 0.4 0.3 0.25
"""


def printed(text):
    lines = [line.split() for line in text.strip().splitlines()]
    return {kind: [numbers(cell) for cell in cells] for kind, *cells in lines}


def numbers(cell):
    values = tuple(float(part) for part in cell.strip("()").split(","))
    return values if len(values) > 1 else values[0]


@pytest.mark.parametrize(("side", "text"), [(32, CIFAR), (84, CIFAR), (85, IMAGENET), (224, IMAGENET)])
def test_strengths_are_the_published_ones(side, text):
    found = {name: [kind.strength(s, side, 300) for s in range(1, 6)] for name, kind in KINDS.items()}
    assert found == printed(text)
    assert found == {name: [kind.strength(s, 300, side) for s in range(1, 6)] for name, kind in KINDS.items()}


@given(st.integers(1, 2000))
def test_the_strengths_are_those_of_the_size_that_is_nearer_as_a_ratio(side):
    nearer_to_small = side / 32 < 224 / side
    strength = KINDS["jpeg"].strength(1, side, side)
    assert strength == (80 if nearer_to_small else 25)


@given(st.sampled_from(sorted(KINDS)), st.integers(1, 5))
def test_a_name_is_read_back(kind, severity):
    one = Corruption(kind, severity)
    assert parse(one.name) == of_metric(one.metric) == one
    assert parse(kind) == Corruption(kind, 3)
    assert METRICS[one.metric].unit == "pp"
    assert METRICS[one.metric].better == "lower"


def test_other_metrics_are_about_no_corruption():
    assert of_metric("accuracy_drop_pp") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("jpg", r"unknown corruption 'jpg', did you mean 'jpeg'\?; known: gaussian-noise, .*, pixelate$"),
        ("JPEG-3", "unknown corruption 'JPEG', did you mean 'jpeg'"),
        ("fog", "unknown corruption 'fog'; known: "),
        ("", "unknown corruption ''"),
        ("jpeg-", "unknown corruption 'jpeg-', did you mean 'jpeg'"),
        ("jpeg-0", r"^corruption 'jpeg-0': the severity is 1 to 5; write jpeg, for jpeg-3, or jpeg-SEVERITY$"),
        ("jpeg-6", "the severity is 1 to 5"),
        ("gaussian-noise-33", "the severity is 1 to 5"),
    ],
)
def test_a_wrong_name_is_one_line(text, said):
    with pytest.raises(ConfigError, match=said):
        parse(text)


def test_a_severity_is_one_to_five():
    with pytest.raises(ValueError, match="severity must be between 1 and 5, not 6"):
        Corruption("jpeg", 6)
