"""HiResCAM (Draelos & Carin 2020): the gradients are not averaged over space."""

from __future__ import annotations

from torch import Tensor

from edgecheck.lab.cam.method import METHODS, Evidence
from edgecheck.registry import register


@register(METHODS, "hires-cam")
def hirescam(evidence: Evidence) -> Tensor:
    """Return w_k = dy/dA_k pixel by pixel, `(N, K, h, w)`."""
    return evidence.gradients
