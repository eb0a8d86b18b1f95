"""ReciproCAM (Byun & Lee, arXiv 2209.14074), with one position at a time instead of a Gaussian neighbourhood."""

from __future__ import annotations

from edgecheck.attribution.evidence import Array, Evidence


def recipro_cam(evidence: Evidence) -> Array:
    """Return the map whose value at a position is the logit with only this position of the feature maps kept.

    Values may be negative; there is no ReLU. On a pooling and linear head the map is CAM, without the ReLU, plus a
    constant.
    """
    return evidence.positions()
