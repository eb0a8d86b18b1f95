"""The stopping rule decides what is clear, leaves open what is not, and is hardly ever wrong, often as it looks."""

import attrs
import numpy as np
import pytest

from edgecheck.device.latency.stopping import ALPHA, FIRST_LOOK, Stopping
from edgecheck.gate.sentence import parse
from edgecheck.records import Policy
from tests.device.timings import blocks, calm


def policy(*sentences, decide=None):
    return Policy("all", decide, "fail", "fail", [parse(sentence) for sentence in sentences])


def samples_of(ratios):
    """Samples whose blocks have these ratios."""
    return calm(blocks=blocks(baseline=[[[1.0] * 6]] * len(ratios), half=[[[ratio] * 6] for ratio in ratios]))


def first_stop(rule, ratios):
    """Return after how many blocks the rule stops, None if it never does."""
    whole = samples_of(ratios)
    for count in range(2, len(ratios) + 1):
        if rule(attrs.evolve(whole, blocks=whole.blocks[:count])):
            return count
    return None


@pytest.mark.parametrize("sentence", ["latency.ratio <= 1.02", "latency.p50_s <= 2 s", "latency.ratio >= 0.2"])
def test_what_is_clear_is_decided_at_the_first_look(sentence):
    rule = Stopping.of(policy(sentence), ["half"])

    assert first_stop(rule, 0.9 + 0.01 * np.sin(np.arange(40.0) * 2)) == FIRST_LOOK


def test_what_lies_at_the_limit_is_left_open():
    random = np.random.default_rng(0)

    assert first_stop(Stopping.of(policy("latency.ratio <= 1"), ["half"]), 1 + 0.02 * random.normal(size=150)) is None


def test_every_criterion_of_every_candidate_has_to_be_decided():
    random = np.random.default_rng(0)
    rule = Stopping.of(policy("latency.ratio <= 1", "latency.p50_s <= 5 s"), ["half"])

    assert first_stop(rule, 1 + 0.02 * random.normal(size=60)) is None


def test_without_criteria_precision_decides():
    random = np.random.default_rng(1)
    calm_ratios, wild_ratios = 1 + 0.005 * random.normal(size=60), 1 + 0.3 * random.normal(size=60)

    assert first_stop(Stopping.of(policy("accuracy_drop_pp <= 1"), ["half"]), calm_ratios) == FIRST_LOOK
    assert first_stop(Stopping.of(policy("latency.ratio <= 1.1", decide="point"), ["half"]), calm_ratios) == FIRST_LOOK
    assert first_stop(Stopping([], []), wild_ratios) is None


def test_blocks_that_resemble_each_other_decide_less():
    """Five states of ten blocks each tell as much as five blocks."""
    random = np.random.default_rng(2)
    states = np.repeat(0.97 + 0.03 * random.random(5), 10) + 1e-4 * random.normal(size=50)

    shuffled = random.permutation(states)

    assert Stopping.of(policy("latency.ratio <= 1.01"), ["half"])(samples_of(shuffled))
    assert not Stopping.of(policy("latency.ratio <= 1.01"), ["half"])(samples_of(states))


def test_files_of_different_batches_have_no_ratio_to_decide():
    rule = Stopping.of(policy("latency.ratio <= 1"), ["half"])
    samples = attrs.evolve(samples_of([1.0] * FIRST_LOOK), batch={"baseline": 1, "half": 4})

    assert rule(samples)


@pytest.mark.parametrize("truth", [1.0, 1.005])
def test_wrong_decisions_are_rare_in_spite_of_looking_again_and_again(truth):
    """At the limit itself (median 1.0) either decision is wrong; 200 series of up to 120 blocks with a heavy tail."""
    wrong = 0
    for seed in range(200):
        noise = np.random.default_rng(seed).standard_t(3, size=120)
        rule = Stopping.of(policy("latency.ratio <= 1.0"), ["half"])
        stopped = first_stop_quick(rule, truth + 0.01 * noise)
        wrong += stopped is not None and (truth == 1.0 or np.median(truth + 0.01 * noise[:stopped]) <= 1.0)
    # At most ALPHA each: 0.2 of 200 expected, more than 2 once in a thousand times.
    assert wrong <= 2
    assert ALPHA == 0.001


def first_stop_quick(rule, ratios):
    """As `first_stop`, looking only where the rule does."""
    whole, count = samples_of(ratios), FIRST_LOOK
    while count <= len(ratios):
        if rule(attrs.evolve(whole, blocks=whole.blocks[:count])):
            return count
        count = int(np.ceil(1.25 * count))
    return None
