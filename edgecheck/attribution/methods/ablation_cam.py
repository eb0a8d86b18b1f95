"""Ablation-CAM (Desai & Ramaswamy 2020, Eq. 3), with channels set to zero as in the paper."""

from __future__ import annotations

from edgecheck.attribution.evidence import Array, Evidence, weighted_map


def ablation_cam(evidence: Evidence) -> Array:
    """Return the map with w_k = (y - y_k) / y; all zero where y = 0, since the ratio is undefined."""
    namespace, logits = evidence.namespace, evidence.logits[:, None]
    divisors = namespace.where(logits == 0, namespace.ones_like(logits), logits)
    drops = evidence.drops()
    weights = namespace.where(logits == 0, namespace.zeros_like(drops), drops / divisors)
    return weighted_map(evidence, weights[:, :, None, None])
