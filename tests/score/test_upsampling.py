import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecheck.score import upsampling
from edgecheck.score.cam import interpolation
from edgecheck.score.ssim import TAPS, WINDOW
from edgecheck.score.upsampling import Axis, axis

SIZES = [(1, 11), (2, 11), (2, 32), (3, 11), (4, 16), (6, 11), (7, 224), (8, 32), (14, 224), (13, 227), (16, 32)]


def windowed(samples: np.ndarray) -> np.ndarray:
    return np.array([np.convolve(column, WINDOW, mode="valid") for column in samples.T]).T


def closed(old: int, new: int) -> Axis:
    found = axis(old, new)
    assert found is not None
    return found


@pytest.mark.parametrize(("old", "new"), SIZES)
def test_each_matrix_says_of_the_nodes_what_the_samples_say(old: int, new: int) -> None:
    u, v = np.random.default_rng(0).normal(size=(2, old, 5))
    matrix, found = interpolation(old, new), closed(old, new)
    np.testing.assert_allclose(found.means @ u, windowed(matrix @ u), rtol=0, atol=1e-14)
    np.testing.assert_allclose((found.isometry @ u).T @ (found.isometry @ v), (matrix @ u).T @ (matrix @ v), atol=1e-12)
    np.testing.assert_array_equal((found.ends @ u).max(axis=0), (matrix @ u).max(axis=0))
    np.testing.assert_array_equal((found.ends @ u).min(axis=0), (matrix @ u).min(axis=0))
    assert len(found.ends) <= 2 * old + 2
    product = (found.refined @ u) * (found.refined @ v)
    np.testing.assert_allclose(found.product_means @ product, windowed((matrix @ u) * (matrix @ v)), atol=1e-13)


def test_matrices_by_hand() -> None:
    found = closed(2, 12)  # samples 0..2 are node 0 and 9..11 node 1; between them steps of a sixth from a twelfth on
    np.testing.assert_array_equal(found.refined, [[1, 0], [0.5, 0.5], [0, 1]])
    assert found.means.shape == (12 - TAPS + 1, 2)
    np.testing.assert_allclose(found.means.sum(axis=1), 1, rtol=1e-15)
    np.testing.assert_allclose(found.product_means.sum(axis=1), 1, rtol=1e-15)
    np.testing.assert_allclose(found.ends[[0, -1]], np.eye(2), atol=1e-15)


@pytest.mark.parametrize(("old", "new"), [(11, 11), (7, 12), (32, 32), (40, 11), (224, 32)])
def test_no_closed_form_where_nodes_lie_close(old: int, new: int) -> None:
    assert axis(old, new) is None


def test_no_closed_form_where_a_sample_draws_on_three_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    smooth = interpolation(4, 32) @ np.array([[2, 1, 0, 0], [1, 2, 1, 0], [0, 1, 2, 1], [0, 0, 1, 2]]) / 4
    monkeypatch.setattr(upsampling, "interpolation", lambda old, new: smooth)
    assert axis.__wrapped__(4, 32) is None


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 12), st.integers(11, 60), st.integers(0, 2**32 - 1))
def test_the_ends_hold_the_extremes_of_both_axes(old: int, new: int, seed: int) -> None:
    rows, columns = axis(old, new), axis(3, 17)
    if rows is None or columns is None:
        return
    nodes = np.random.default_rng(seed).normal(size=(old, 3))
    samples = interpolation(old, new) @ nodes @ interpolation(3, 17).T
    ends = rows.ends @ nodes @ columns.ends.T
    np.testing.assert_allclose((ends.min(), ends.max()), (samples.min(), samples.max()), rtol=0, atol=1e-15)


def test_matrices_are_shared_and_cannot_be_changed() -> None:
    assert axis(3, 20) is axis(3, 20)
    with pytest.raises(ValueError, match="read-only"):
        closed(3, 20).isometry[0, 0] = 5
