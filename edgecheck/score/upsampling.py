"""Bilinear upsampling of one axis in closed form: derives properties of all samples from the few coarse nodes.

A heatmap is H = U A V^T: A `(h, w)` holds its values at the nodes of the coarse map, U `(H, h)` interpolates down the
rows and V `(W, w)` along the columns. Whatever is linear or quadratic in H is therefore known from A and from small
matrices that depend on U or on V alone.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from attrs import frozen
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from edgecheck.score.cam import CACHED_MATRICES, interpolation
from edgecheck.score.ssim import TAPS, WINDOW


@frozen(eq=False)
class Axis:
    """One axis, `old` nodes upsampled to `new` samples; each matrix, float64, acts on values at the nodes.

    Attributes:
        ends: `(m, old)`, m <= 2 old + 2, those rows of U that are the ends of a stretch between two nodes: what is
            linear on each stretch takes its extremes there.
        isometry: `(old, old)`, keeps lengths and angles: |isometry a| = |U a|.
        means: `(new - 10, old)`, the samples' mean under each whole window of SSIM.
        refined: `(2 old - 1, old)`, the values at the nodes and half way between two nodes.
        product_means: `(new - 10, 2 old - 1)`, the means under each window of a product of two such functions, from
            the product's values at nodes and half way: a product of two lines is a parabola, which three values fix.
    """

    ends: NDArray[np.float64]
    isometry: NDArray[np.float64]
    means: NDArray[np.float64]
    refined: NDArray[np.float64]
    product_means: NDArray[np.float64]


@lru_cache(maxsize=CACHED_MATRICES)
def axis(old: int, new: int) -> Axis | None:
    """Return the axis of `old` nodes and `new` samples, at least SSIM's 11; None where only the samples will do.

    That is where a sample draws on more than two neighbouring nodes, as no parabola then follows the products, and
    where nodes lie less than two samples apart, as the matrices then are no smaller than the samples.
    """
    weights = interpolation(old, new)
    # No weight is negative: nodes two or more apart meet in no sample only if their product is 0 in every one.
    apart = np.triu(weights.T @ weights, 2)
    if apart.any() or 2 * old - 1 > new:
        return None
    return Axis(
        ends=_shared(_ends(weights)),
        isometry=_shared(np.linalg.qr(weights)[1]),
        means=_shared(_under_windows(weights)),
        refined=_shared(_halved(old)),
        product_means=_shared(_under_windows(_parabolas(weights))),
    )


def _shared(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    matrix.flags.writeable = False
    return matrix


def _ends(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    left = (weights > 0).argmax(axis=1)
    last = np.flatnonzero(np.diff(left))
    return weights[np.unique(np.concatenate([[0], last, last + 1, [len(weights) - 1]]))]


def _halved(old: int) -> NDArray[np.float64]:
    nodes = np.eye(old)
    refined = np.empty((2 * old - 1, old))
    refined[::2] = nodes
    refined[1::2] = (nodes[:-1] + nodes[1:]) / 2
    return refined


def _parabolas(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights `(new, 2 old - 1)` that nodes and points half way have in a piecewise parabola.

    Lagrange's on [0, 1] with nodes 0, 1/2, 1 are (1 - x)(1 - 2x), 4x(1 - x) and x(2x - 1); the linear weights of the
    two nodes are 1 - x and x.
    """
    parabolas = np.empty((len(weights), 2 * weights.shape[1] - 1))
    parabolas[:, ::2] = weights * (2 * weights - 1)
    parabolas[:, 1::2] = 4 * weights[:, :-1] * weights[:, 1:]
    return parabolas


def _under_windows(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    return sliding_window_view(samples, TAPS, axis=0) @ WINDOW
