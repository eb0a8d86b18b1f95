import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from edgecheck.errors import DataError
from edgecheck.score.parity import PROBABILITY_FLOOR, Parity, is_softmax, log_probabilities, parity

LOGITS = np.random.default_rng(0).normal(size=(40, 10)) * 3


def test_logits_by_hand() -> None:
    file = np.array([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0], [5.0, 1.0]])
    twin = np.array([[1.0, 2.25], [3.0, 0.0], [1.0, 0.5], [5.0, 1.0]])
    assert parity(file, twin) == Parity(max_abs=1.0, agreement=0.75, n=4)


def test_softmax_is_told_from_logits() -> None:
    assert is_softmax(softmax(LOGITS, axis=1).astype(np.float32))
    assert is_softmax(softmax(LOGITS, axis=1).astype(np.float16))
    assert not is_softmax(LOGITS)
    assert not is_softmax(np.abs(LOGITS))
    assert not is_softmax(LOGITS / LOGITS.sum(axis=1, keepdims=True))  # sums to 1, but is negative here and there


def test_log_probabilities_are_those_of_scipy_above_the_floor() -> None:
    expected = np.maximum(log_softmax(LOGITS, axis=1), np.log(PROBABILITY_FLOOR))
    np.testing.assert_allclose(log_probabilities(LOGITS), expected, atol=1e-12)
    np.testing.assert_allclose(log_probabilities(softmax(LOGITS, axis=1)), expected, atol=1e-12)


@pytest.mark.parametrize("swap", [False, True])
def test_a_file_that_ends_in_softmax_agrees_with_its_twin_of_logits(swap: bool) -> None:
    sides = [softmax(LOGITS, axis=1).astype(np.float32), LOGITS.astype(np.float32) + 100]
    found = parity(*(sides[::-1] if swap else sides))
    assert found.agreement == 1
    assert found.max_abs < 1e-4


def test_probabilities_of_0_are_floored_on_both_sides() -> None:
    logits = np.array([[200.0, 0.0]])
    assert parity(np.array([[1.0, 0.0]]), logits).max_abs == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_never_agrees(bad: float) -> None:
    broken = LOGITS.copy()
    broken[3, LOGITS[3].argmax()] = bad
    assert parity(broken, broken) == Parity(max_abs=np.inf, agreement=39 / 40, n=40)


@pytest.mark.parametrize("shape", [(40, 9), (39, 10), (40, 10, 1)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="one shape"):
        parity(np.zeros(shape), LOGITS)


def test_no_images_are_refused() -> None:
    with pytest.raises(DataError, match=r"\(0, 10\)"):
        parity(LOGITS[:0], LOGITS[:0])
