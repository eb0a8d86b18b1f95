"""Grad-CAM (Selvaraju et al. 2017, Eq. 1)."""

from __future__ import annotations

from torch import Tensor

from edgecheck.lab.cam.method import METHODS, Evidence
from edgecheck.registry import register


@register(METHODS, "grad-cam")
def gradcam(evidence: Evidence) -> Tensor:
    """Return w_k = mean over space of dy/dA_k, `(N, K, 1, 1)`."""
    return evidence.gradients.mean(dim=(2, 3), keepdim=True)
