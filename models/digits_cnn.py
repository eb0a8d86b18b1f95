"""A small network for scikit-learn's handwritten digits: the demonstration's subject, trained in seconds."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

# (output channels, pooled afterwards): 32x32 becomes 16x16, then 8x8, so that a heatmap has 64 cells to speak with.
STAGES = ((16, True), (32, True), (64, False), (64, False))


class DigitsCNN(nn.Module):
    """Four 3x3 convolutions, each with BatchNorm and ReLU, global average pooling, one linear layer.

    Takes grey images `(N, 1, 32, 32)`, gives logits `(N, classes)`; 61,050 parameters with 10 classes.
    """

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        channels = 1
        for number, (width, pooled) in enumerate(STAGES, start=1):
            # BatchNorm subtracts the mean, and with it any bias a convolution could add.
            layers[f"conv{number}"] = nn.Conv2d(channels, width, kernel_size=3, padding=1, bias=False)
            layers[f"bn{number}"] = nn.BatchNorm2d(width)
            layers[f"relu{number}"] = nn.ReLU()
            if pooled:
                layers[f"pool{number}"] = nn.MaxPool2d(2)
            channels = width
        self.features = nn.Sequential(layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(channels, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits `(N, classes)` of images `(N, 1, H, W)`."""
        return self.classifier(self.flatten(self.pool(self.features(images))))


def digits_cnn(classes: int = 10) -> DigitsCNN:
    """Return the untrained network; `digits_cnn.safetensors` beside this file holds weights for it."""
    return DigitsCNN(classes)
