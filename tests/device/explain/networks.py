"""Small networks in two parts, `maps` (x -> A) and `scores` (A, x -> logits), so that autograd can stand between."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

CLASSES = 5
SHAPE = (3, 12, 10)  # not square, so that height and width cannot be mixed up
CHANNELS = 6


def convolution(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, stride, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]


class Split(nn.Module):
    """Two convolutions, and a head of one linear layer behind a global average."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(*convolution(3, 4), *convolution(4, CHANNELS, stride=2))
        self.head = self.make_head()

    def make_head(self) -> nn.Module:
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(CHANNELS, CLASSES))

    def maps(self, x: Tensor) -> Tensor:
        return self.features(x)

    def scores(self, maps: Tensor, x: Tensor) -> Tensor:
        return self.head(maps)

    def forward(self, x: Tensor) -> Tensor:
        return self.scores(self.maps(x), x)


class MaxPooled(Split):
    def make_head(self) -> nn.Module:
        return nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(CHANNELS * 3 * 2, CLASSES))


class GlobalMax(Split):
    def make_head(self) -> nn.Module:
        return nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(CHANNELS, CLASSES))


class PaddedAverage(Split):
    """Windows that overlap and reach over the edge, whose padding does not count."""

    def make_head(self) -> nn.Module:
        pool = nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)
        return nn.Sequential(pool, nn.Flatten(), nn.Linear(CHANNELS * 3 * 3, CLASSES))


class Flat(Split):
    def make_head(self) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(CHANNELS * 6 * 5, CLASSES))


class Hidden(Split):
    """VGG's head."""

    def make_head(self) -> nn.Module:
        return nn.Sequential(
            nn.MaxPool2d(2), nn.Flatten(), nn.Linear(CHANNELS * 3 * 2, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 7),
            nn.ReLU(), nn.Linear(7, CLASSES),
        )  # fmt: skip


class PointwiseHead(Split):
    """SqueezeNet's head: a 1x1 convolution, and the average of its maps."""

    def make_head(self) -> nn.Module:
        return nn.Sequential(
            nn.Dropout(), nn.Conv2d(CHANNELS, CLASSES, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )


class MapOutput(Split):
    """Logits `(N, C, 1, 1)`."""

    def make_head(self) -> nn.Module:
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(CHANNELS, CLASSES, 1))


class Gated(Split):
    """A residual sum behind an activation and a gate of the map by itself, as in squeeze-and-excitation."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Conv2d(CHANNELS, CHANNELS, 1)
        self.shortcut = nn.Conv2d(3, CHANNELS, 1, stride=2)

    def maps(self, x: Tensor) -> Tensor:
        inner = self.features(x)
        gates = torch.sigmoid(self.gate(inner.mean((2, 3), keepdim=True)))
        return torch.relu(inner * gates + self.shortcut(x))


class Bypass(Split):
    """What follows the target adds something that was made before it, and convolves."""

    def __init__(self) -> None:
        super().__init__()
        self.shortcut = nn.Conv2d(3, CHANNELS, 1, stride=2)
        self.after = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)

    def scores(self, maps: Tensor, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.after(maps) + self.shortcut(x)))


class Viewed(Split):
    """The number of images is read from the input, and the head reshapes with it."""

    def scores(self, maps: Tensor, x: Tensor) -> Tensor:
        return self.head[2](self.head[0](maps).view(x.shape[0], -1))


class ViewedMap(Split):
    """The number of images is read from the map, as `x.view(x.size(0), -1)`."""

    def scores(self, maps: Tensor, x: Tensor) -> Tensor:
        pooled = self.head[0](maps)
        return self.head[2](pooled.view(pooled.size(0), -1))


class ChannelsLast(Split):
    """Takes `(N, H, W, C)`."""

    def maps(self, x: Tensor) -> Tensor:
        return super().maps(x.permute(0, 3, 1, 2))


class Wrapped(nn.Module):
    """A network that gives probabilities."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return torch.softmax(self.inner(x), dim=1)


def seeded(kind: type[Split], seed: int = 0) -> Split:
    """Return a network with weights, BatchNorm statistics and affine parameters that all matter."""
    torch.manual_seed(seed)
    model = kind()
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.running_mean, std=0.2)
            nn.init.uniform_(part.running_var, 0.5, 2.0)
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, std=0.3)
    return model.eval()


def write(
    model: nn.Module, path: Path, batch: int | None = None, last: bool = False, shape: tuple[int, ...] = SHAPE
) -> Path:
    """Export a network; `batch` fixes the number of images."""
    sizes = (*shape[1:], shape[0]) if last else shape
    free: dict[str, Any] = {} if batch else {"dynamic_axes": {"input": {0: "n"}, "scores": {0: "n"}}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model.eval(), (torch.rand(batch or 2, *sizes),), str(path), input_names=["input"], output_names=["scores"],
            dynamo=False, opset_version=17, **free,
        )  # fmt: skip
    return path
