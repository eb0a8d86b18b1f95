"""The plain networks of the paper: convolutions and poolings in a row, then one linear layer.

Layer numbers and names are those of pytorch-playground, where the paper's baselines were trained, so that its
weight files fit as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from attrs import frozen
from torch import Tensor, nn


@frozen
class Convolution:
    """A 3x3 convolution of stride 1 with bias, then BatchNorm without affine parameters, then ReLU.

    `padding` 1 keeps the map's size, 0 ("valid") takes 2 off each side length.
    """

    channels: int
    padding: int = 1


Step = Convolution | Literal["M"]
"""One step of a network: a convolution, or "M", a 2x2 max pooling."""


class PlainCNN(nn.Module):
    """A row of `steps` from RGB images to 1x1 maps, then a linear layer to `classes` logits."""

    def __init__(self, steps: Sequence[Step], classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for step in steps:
            if isinstance(step, Convolution):
                layers += [
                    nn.Conv2d(channels, step.channels, kernel_size=3, padding=step.padding),
                    nn.BatchNorm2d(step.channels, affine=False),
                    nn.ReLU(),
                ]
                channels = step.channels
            else:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.flatten = nn.Flatten()
        self.classifier = nn.Sequential(nn.Linear(channels, classes))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits `(N, classes)` of images `(N, 3, H, W)` of the size the network was laid out for."""
        return self.classifier(self.flatten(self.features(images)))
