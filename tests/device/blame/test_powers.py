import math

import numpy as np
import pytest

from edgecheck.device.blame.powers import Power


def test_decibels_by_hand():
    """A tenth of the amplitude is 20 dB: 10 log10((9 + 16) / (0.09 + 0.16)); batches add up."""
    exact = np.array([[3.0], [-4.0]], np.float32)
    found = Power().plus(exact[:1], exact[:1] * np.float32(1.1)).plus(exact[1:], exact[1:] * np.float32(0.9))

    assert (found.signal, found.noise) == (25.0, pytest.approx(0.25, rel=1e-6))
    assert found.sqnr_db == pytest.approx(20.0, abs=1e-5)


@pytest.mark.parametrize(
    ("exact", "rounded", "ratio"),
    [([1.0], [1.0], 0.0), ([0.0], [0.0], 0.0), ([0.0], [1.0], math.inf), ([1.0], [math.inf], math.inf)],
)
def test_no_decibels_without_noise_or_signal_or_with_overflow(exact, rounded, ratio):
    found = Power().plus(np.array(exact, np.float32), np.array(rounded, np.float32))

    assert (found.ratio, found.sqnr_db) == (ratio, None)


def test_values_that_are_not_numbers_are_the_worst_noise():
    assert Power().plus(np.ones(1, np.float32), np.full(1, np.nan, np.float32)).ratio == math.inf
