"""Grad-CAM++ (Chattopadhay et al. 2018, Eqs 7 and 19), with higher derivatives as powers of the first."""

from __future__ import annotations

from edgecheck.attribution.evidence import Array, Evidence, weighted_map

# The constant that `grad-cam` adds to the divisor. It dominates where gradients are small, so another constant gives
# other maps.
EPSILON = 1e-6


def grad_cam_plusplus(evidence: Evidence) -> Array:
    """Return the map with w_k = sum relu(g) a, where a = g^2 / (2 g^2 + sum(A_k) g^3 + 1e-6) and g = dy/dA_k."""
    namespace, gradients = evidence.namespace, evidence.gradients()
    squared = gradients * gradients
    mass = namespace.sum(evidence.activations, axis=(2, 3), keepdims=True)
    shares = squared / (2 * squared + mass * squared * gradients + EPSILON)
    # Selected, not multiplied by 0: the share of a negative gradient may be infinite, and 0 times infinity is NaN.
    kept = namespace.where(gradients > 0, gradients * shares, namespace.zeros_like(gradients))
    return weighted_map(evidence, namespace.sum(kept, axis=(2, 3), keepdims=True))
