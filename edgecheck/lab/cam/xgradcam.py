"""XGrad-CAM (Fu et al. 2020)."""

from __future__ import annotations

from torch import Tensor

from edgecheck.lab.cam.method import METHODS, Evidence
from edgecheck.registry import register

# grad-cam's guard of the division. It has a sign: a channel whose sum is just below 0 keeps its large weight.
EPSILON = 1e-7


@register(METHODS, "xgrad-cam")
def xgradcam(evidence: Evidence) -> Tensor:
    """Return w_k = sum over space of dy/dA_k A_k / (sum A_k + 1e-7), `(N, K, 1, 1)`."""
    mass = evidence.activations.sum(dim=(2, 3), keepdim=True)
    return (evidence.gradients * evidence.activations / (mass + EPSILON)).sum(dim=(2, 3), keepdim=True)
