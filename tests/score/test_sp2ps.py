import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import hmean

from edgecheck.score.sam import similarity
from edgecheck.score.sp2ps import sp2ps
from edgecheck.score.ssim import ssim
from tests.score.maps import kinds

UNIT = arrays(np.float64, 5, elements=st.floats(0, 1))


def test_by_hand() -> None:
    found = sp2ps(np.array([1, 0.5, 0.9, 0, 0, 0.8]), np.array([1, 1, 0.6, 0, 0.7, -0.3]))
    np.testing.assert_allclose(found, [1, 2 / 3, 0.72, 0, 0, 0], rtol=1e-15)


def test_is_the_harmonic_mean() -> None:
    sam, ssims = np.random.default_rng(0).uniform(0.01, 1, (2, 50))
    np.testing.assert_allclose(sp2ps(sam, ssims), hmean([sam, ssims]), rtol=1e-12)


def test_degenerate_maps() -> None:
    maps = kinds()
    for kind in ("map", "rgb"):
        for a, b, expected in (("zero", "zero", 1), ("zero", "spike", 0), ("spike", "zero", 0), ("spike", "spike", 1)):
            u, v = maps[a][None], maps[b][None]
            assert sp2ps(similarity(u, v, kind), ssim(u, v)) == expected, (kind, a, b)


@settings(deadline=None)
@given(UNIT, UNIT)
def test_finite_bounded_symmetric_and_no_mutation(sam: np.ndarray, ssims: np.ndarray) -> None:
    before = sam.copy(), ssims.copy()
    found = sp2ps(sam, ssims)
    assert ((found >= 0) & (found <= 1)).all()
    np.testing.assert_array_equal(found, sp2ps(ssims, sam))
    assert (found <= 2 * np.minimum(sam, ssims) + 1e-12).all()
    np.testing.assert_array_equal((sam, ssims), before)
