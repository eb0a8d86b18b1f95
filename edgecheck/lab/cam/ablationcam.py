"""Ablation-CAM (Desai & Ramaswamy 2020, Eq. 3), with channels set to zero as in the paper."""

from __future__ import annotations

import torch
from torch import Tensor

from edgecheck.lab.cam.method import METHODS, Evidence
from edgecheck.registry import register


@register(METHODS, "ablation-cam")
def ablationcam(evidence: Evidence) -> Tensor:
    """Return w_k = (y - y_k) / y, `(N, K, 1, 1)`; all 0 where y = 0, for then no share of it can be lost."""
    logits = evidence.logits[:, None]
    weights = torch.where(logits == 0, 0, evidence.drops() / logits)
    return weights[:, :, None, None]
