"""Grad-CAM++ (Chattopadhay et al. 2018, Eqs 7 and 19), with higher derivatives as powers of the first."""

from __future__ import annotations

import torch
from torch import Tensor

from edgecheck.lab.cam.method import METHODS, Evidence
from edgecheck.registry import register

# grad-cam's guard of the division; where gradients are small it decides the value, so another one gives other maps.
EPSILON = 1e-6


@register(METHODS, "grad-cam++")
def gradcam_plusplus(evidence: Evidence) -> Tensor:
    """Return w_k = sum relu(g) a with a = g^2 / (2 g^2 + sum(A_k) g^3 + 1e-6), 0 where g = 0, `(N, K, 1, 1)`."""
    gradients = evidence.gradients
    squared = gradients.square()
    mass = evidence.activations.sum(dim=(2, 3), keepdim=True)
    shares = squared / (2 * squared + mass * squared * gradients + EPSILON)
    # A negative gradient has no weight, whatever its share: 0 times an infinite share would be no number.
    return torch.where(gradients > 0, gradients * shares, 0).sum(dim=(2, 3), keepdim=True)
