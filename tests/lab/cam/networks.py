"""Small networks of the shapes that break a CAM engine, with the layer that a user of grad-cam would name."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgecheck.config.plan import Preprocessing
from edgecheck.images import ImageSet

CLASSES = 5
HOW = Preprocessing(mean=[0.5, 0.5, 0.5], std=[0.25, 0.25, 0.25])


def images(count: int, side: int = 32, seed: int = 0) -> ImageSet:
    draw = np.random.default_rng(seed)
    blobs = draw.integers(0, 256, (count, side // 8, side // 8, 3), dtype=np.uint8)
    return ImageSet(
        blobs.repeat(8, 1).repeat(8, 2), np.zeros(count, dtype=np.int64), tuple(str(name) for name in range(CLASSES))
    )


def seeded(kind: type[nn.Module], seed: int = 0) -> nn.Module:
    """A network with weights, BatchNorm statistics and affine parameters that all matter."""
    torch.manual_seed(seed)
    model = kind()
    for part in model.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(part.running_mean, std=0.2)
            nn.init.uniform_(part.running_var, 0.5, 2.0)
            if part.affine:
                nn.init.uniform_(part.weight, 0.5, 1.5)
                nn.init.normal_(part.bias, std=0.3)
    return model.eval()


def convolution(inputs: int, outputs: int, inplace: bool = False) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=inplace)]


class Plain(nn.Sequential):
    """Pooling, flattening and one linear layer behind the target: the closed form."""

    target = "6"

    def __init__(self) -> None:
        super().__init__(
            *convolution(3, 8), nn.MaxPool2d(2), *convolution(8, 12)[:2], nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(12 * 64, CLASSES),
        )  # fmt: skip


class Block(nn.Module):
    """torchvision's way: one in-place ReLU called twice, `out += identity`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, maps: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(maps)))
        out = self.bn2(self.conv2(out))
        out += maps
        return self.relu(out)


class Residual(nn.Module):
    """A skip connection before the target, pooling to 1x1 and `view` with a size read off a tensor behind it."""

    target = "stages"

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*convolution(3, 8, inplace=True), nn.MaxPool2d(2))
        self.stages = nn.Sequential(Block(8), Block(8))
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.stages(self.stem(x))
        return self.fc(F.adaptive_avg_pool2d(maps, 1).view(maps.size(0), -1))


class Curved(nn.Module):
    """VGG's way: two linear layers with a ReLU between them behind the target."""

    target = "features.7"

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *convolution(3, 8, inplace=True), nn.MaxPool2d(2), *convolution(8, 12, inplace=True)[:2], nn.Dropout(),
            nn.ReLU(inplace=True), nn.MaxPool2d(2),
        )  # fmt: skip
        self.avgpool = nn.AdaptiveAvgPool2d(4)
        self.classifier = nn.Sequential(
            nn.Linear(12 * 16, 32), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(32, CLASSES)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


class ConvolutionHead(nn.Module):
    """SqueezeNet's way: concatenation, dropout, a convolution as classifier with a ReLU behind it."""

    target = "features"

    def __init__(self) -> None:
        super().__init__()
        self.features = Fire()
        self.classifier = nn.Sequential(
            nn.Dropout(), nn.Conv2d(12, CLASSES, 1), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.flatten(self.classifier(self.features(x)), 1)


class Fire(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.squeeze = nn.Sequential(*convolution(3, 4), nn.MaxPool2d(2))
        self.narrow = nn.Conv2d(4, 6, 1)
        self.wide = nn.Conv2d(4, 6, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = self.squeeze(x)
        return torch.cat([F.relu(self.narrow(squeezed)), F.relu(self.wide(squeezed))], 1)


class Dense(nn.Module):
    """DenseNet's way: an in-place functional ReLU overwrites what the last module gave."""

    target = "features.norm+relu"
    relu_is_module = False

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential()
        self.features.add_module("stem", nn.Sequential(*convolution(3, 8), nn.MaxPool2d(2)))
        self.features.add_module("grow", Grow())
        self.features.add_module("norm", nn.BatchNorm2d(12))
        self.relu = nn.ReLU()
        self.classifier = nn.Linear(12, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x)
        out = self.relu(features) if self.relu_is_module else F.relu(features, inplace=True)
        out = F.adaptive_avg_pool2d(out, (1, 1))
        return self.classifier(torch.flatten(out, 1))


class Grow(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(8)
        self.conv = nn.Conv2d(8, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.conv(F.relu(self.norm(x)))], 1)


class Middle(nn.Module):
    """Explained in the middle: a skip connection runs past the target, more convolutions follow."""

    target = "second"

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(*convolution(3, 8), nn.MaxPool2d(2))
        self.second = nn.Sequential(*convolution(8, 8))
        self.third = nn.Conv2d(8, 8, 3, padding=1)
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        skipped = self.first(x)
        maps = self.second(skipped)
        return self.fc((self.third(maps).relu_() + skipped).relu().mean((2, 3)))


class Branching(Residual):
    """Branches on a value, so that nothing of it can be traced."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if x.abs().sum() > 0 else x + 1)


class Untraceable(nn.Module):
    """A module that fx cannot look into, for the middle of a network."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).relu() if float(x.detach().sum()) == float(x.detach().sum()) else x


class PartlyTraceable(nn.Module):
    """The branching is inside one module; around it the network can be traced."""

    target = "strange"

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*convolution(3, 8), nn.MaxPool2d(2))
        self.strange = Untraceable()
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.strange(self.stem(x)).mean((2, 3)))


SMALL = (Plain, Residual, Curved, ConvolutionHead, Dense, Middle, Branching, PartlyTraceable)
