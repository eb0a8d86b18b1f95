"""Grad-CAM (Selvaraju et al. 2017, Eq. 1)."""

from __future__ import annotations

from edgecheck.attribution.evidence import Array, Evidence, weighted_map


def grad_cam(evidence: Evidence) -> Array:
    """Return the map with w_k = mean over space of dy/dA_k."""
    return weighted_map(evidence, evidence.namespace.mean(evidence.gradients(), axis=(2, 3), keepdims=True))
