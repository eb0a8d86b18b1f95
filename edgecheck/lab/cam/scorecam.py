"""Score-CAM (Wang et al. 2020): a channel weighs what the network says of the part of the image it marks.

Softmax over the masked logits themselves, as grad-cam takes it. The paper's increase of confidence over a baseline
image would give the same: it subtracts one number from all channels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from edgecheck.lab.cam.method import METHODS, Evidence
from edgecheck.registry import register

# grad-cam's guard of the division: a constant channel masks everything.
EPSILON = 1e-8

# Bytes of masks made at once, one channel of the batch at least. The network's own feature maps are some ten to a
# hundred times as large, and larger chunks leave the cache.
CHUNK_BYTES = 2**17


@register(METHODS, "score-cam")
def scorecam(evidence: Evidence) -> Tensor:
    """Return w_k = softmax over k of the logit with the inputs times mask k, `(N, K, 1, 1)`.

    Mask k is A_k at the inputs' size, bilinear with corners on corners, then min-max to 0..1. The whole network runs
    once a channel.
    """
    images, (height, width) = len(evidence.activations), evidence.size
    at_once = max(1, CHUNK_BYTES // (images * height * width * evidence.activations.element_size()))
    scores = [evidence.score(_masks(maps, evidence.size)) for maps in evidence.activations.split(at_once, dim=1)]
    return torch.cat(scores, dim=1).softmax(dim=1)[:, :, None, None]


def _masks(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Return maps `(N, C, h, w)` as masks `(N, C, H, W)` in 0..1."""
    grown = F.interpolate(maps, size=size, mode="bilinear", align_corners=True)
    low, high = grown.amin((2, 3), keepdim=True), grown.amax((2, 3), keepdim=True)
    return (grown - low) / (high - low + EPSILON)
