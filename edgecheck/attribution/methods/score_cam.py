"""Score-CAM (Wang et al. 2020): the weight of a channel is the network's score for the image masked by the channel.

The softmax is computed over the masked logits, as in `grad-cam`. The paper's increase of confidence over a baseline
image gives the same weights, since it subtracts the same number from all channels.
"""

from __future__ import annotations

from typing import Any

import array_api_compat

from edgecheck.attribution.evidence import Array, Evidence, relu, weighted_map

# The constant that `grad-cam` adds to the divisor; a constant channel then masks everything.
EPSILON = 1e-8

# Bytes of masks made at once, one channel of the batch at least. The network's own feature maps are ten to a hundred
# times as large, and larger chunks leave the cache.
CHUNK_BYTES = 2**17


def score_cam(evidence: Evidence) -> Array:
    """Return the map with w_k = softmax over k of the logit of the inputs times mask k.

    Mask k is A_k at the size of the inputs (bilinear, corners aligned), scaled to 0..1 per image. The whole network
    runs once per channel.
    """
    namespace, activations = evidence.namespace, evidence.activations
    images, channels, _, _ = activations.shape
    height, width = evidence.size
    at_once = max(1, CHUNK_BYTES // (images * height * width * activations.dtype.itemsize))
    scores = [
        evidence.score(_masks(activations[:, start : start + at_once, :, :], evidence.size))
        for start in range(0, channels, at_once)
    ]
    return weighted_map(evidence, _softmax(namespace, namespace.concat(scores, axis=1))[:, :, None, None])


def _masks(maps: Array, size: tuple[int, int]) -> Array:
    """Return maps `(N, C, h, w)` as masks `(N, C, H, W)` in 0..1."""
    namespace = array_api_compat.array_namespace(maps)
    rows, columns = (
        _interpolation(maps, old, new) for old, new in zip((maps.shape[2], maps.shape[3]), size, strict=True)
    )
    grown = rows @ (maps @ namespace.matrix_transpose(columns))
    low = namespace.min(grown, axis=(2, 3), keepdims=True)
    high = namespace.max(grown, axis=(2, 3), keepdims=True)
    return (grown - low) / (high - low + EPSILON)


def _interpolation(like: Array, old: int, new: int) -> Array:
    """Return the matrix `(new, old)` that interpolates one axis linearly, first on first and last on last sample."""
    namespace = array_api_compat.array_namespace(like)
    device = array_api_compat.device(like)
    places = namespace.linspace(0, old - 1, new, dtype=namespace.float64, device=device)
    samples = namespace.arange(old, dtype=namespace.float64, device=device)
    return namespace.astype(relu(1 - namespace.abs(places[:, None] - samples[None, :])), like.dtype)


def _softmax(namespace: Any, scores: Array) -> Array:
    """Return the softmax over the last axis of `(N, K)`."""
    powers = namespace.exp(scores - namespace.max(scores, axis=1, keepdims=True))
    return powers / namespace.sum(powers, axis=1, keepdims=True)
