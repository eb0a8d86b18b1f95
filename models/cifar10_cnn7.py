"""The paper's network for CIFAR-10: 7 convolutions, 4 poolings, 1 linear layer (Renza & Ballesteros 2023)."""

from __future__ import annotations

from edgecheck.models.plain_cnn import Convolution, PlainCNN, Step

STEPS: tuple[Step, ...] = (
    *(Convolution(128), Convolution(128), "M"),
    *(Convolution(256), Convolution(256), "M"),
    *(Convolution(512), Convolution(512), "M"),
    *(Convolution(1024, padding=0), "M"),
)  # fmt: skip


def cifar10_cnn7(classes: int = 10) -> PlainCNN:
    """Return the untrained network for images `(N, 3, 32, 32)`; 9,306,250 parameters with 10 classes."""
    return PlainCNN(STEPS, classes)
