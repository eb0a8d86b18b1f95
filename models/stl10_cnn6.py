"""The paper's network for STL-10: 6 convolutions, 5 poolings, 1 linear layer (Renza & Ballesteros 2023)."""

from __future__ import annotations

from edgecheck.models.plain_cnn import Convolution, PlainCNN, Step

STEPS: tuple[Step, ...] = (
    *(Convolution(32), "M"),
    *(Convolution(64), "M"),
    *(Convolution(128), "M"),
    *(Convolution(128), "M"),
    *(Convolution(256, padding=0), Convolution(256, padding=0), "M"),
)  # fmt: skip


def stl10_cnn6(classes: int = 10) -> PlainCNN:
    """Return the untrained network for images `(N, 3, 96, 96)`; 1,128,650 parameters with 10 classes."""
    return PlainCNN(STEPS, classes)
