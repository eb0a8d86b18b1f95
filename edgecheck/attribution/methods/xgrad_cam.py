"""XGrad-CAM (Fu et al. 2020)."""

from __future__ import annotations

from edgecheck.attribution.evidence import Array, Evidence, weighted_map

# The constant that `grad-cam` adds to the divisor. It is not added to the magnitude, so a channel whose sum is just
# below 0 has a large weight.
EPSILON = 1e-7


def xgrad_cam(evidence: Evidence) -> Array:
    """Return the map with w_k = sum over space of dy/dA_k A_k / (sum A_k + 1e-7)."""
    namespace, activations = evidence.namespace, evidence.activations
    mass = namespace.sum(activations, axis=(2, 3), keepdims=True)
    shares = evidence.gradients() * activations / (mass + EPSILON)
    return weighted_map(evidence, namespace.sum(shares, axis=(2, 3), keepdims=True))
