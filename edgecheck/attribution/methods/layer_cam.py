"""LayerCAM (Jiang et al. 2021), without the tanh scaling that the paper applies to shallow layers."""

from __future__ import annotations

from edgecheck.attribution.evidence import Array, Evidence, relu, weighted_map


def layer_cam(evidence: Evidence) -> Array:
    """Return the map with one weight per pixel, relu(dy/dA_k)."""
    return weighted_map(evidence, relu(evidence.gradients()))
