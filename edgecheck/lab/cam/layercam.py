"""LayerCAM (Jiang et al. 2021), without the tanh scaling that the paper gives shallow layers."""

from __future__ import annotations

from torch import Tensor

from edgecheck.lab.cam.method import METHODS, Evidence
from edgecheck.registry import register


@register(METHODS, "layer-cam")
def layercam(evidence: Evidence) -> Tensor:
    """Return w_k = relu(dy/dA_k) pixel by pixel, `(N, K, h, w)`."""
    return evidence.gradients.relu()
