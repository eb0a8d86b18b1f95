"""HiResCAM (Draelos & Carin 2020): gradients are not averaged over space."""

from __future__ import annotations

from edgecheck.attribution.evidence import Array, Evidence, weighted_map


def hires_cam(evidence: Evidence) -> Array:
    """Return the map with one weight per pixel, dy/dA_k."""
    return weighted_map(evidence, evidence.gradients())
