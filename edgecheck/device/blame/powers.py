"""Signal-to-quantization-noise ratio: how far rounding moved a tensor, in decibels."""

from __future__ import annotations

import math

import numpy as np
from attrs import frozen
from numpy.typing import NDArray


@frozen
class Power:
    """Sums of squares over a tensor on all images: of the float values, and of what rounding changed."""

    signal: float = 0.0
    noise: float = 0.0

    def plus(self, exact: NDArray[np.float32], rounded: NDArray[np.float32]) -> Power:
        """Return the sums with further images."""
        real = exact.astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):  # float16 can overflow: the noise is infinite then
            difference = rounded.astype(np.float64) - real
            return Power(self.signal + float(np.vdot(real, real)), self.noise + float(np.vdot(difference, difference)))

    @property
    def ratio(self) -> float:
        """Noise by signal: 0 where nothing changed, infinite where there is no signal or the noise is not finite."""
        if not math.isfinite(self.noise):
            return math.inf
        if self.noise == 0:
            return 0.0
        return self.noise / self.signal if self.signal else math.inf

    @property
    def sqnr_db(self) -> float | None:
        """10 log10(signal / noise); None where one of them is 0 or not finite."""
        return -10 * math.log10(self.ratio) if 0 < self.ratio < math.inf else None
