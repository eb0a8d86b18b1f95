"""Two residual networks for CIFAR-10 whose trained weights are public.

- `resnet20`: He et al. 2016, section 4.2, in the form of akamaster/pytorch_resnet_cifar10; shortcuts without
  parameters ("option A").
- `resnet8`: the image-classification reference of MLPerf Tiny (Banbury et al. 2021), a Keras network; hence biases in
  the convolutions, TensorFlow's padding and its BatchNorm epsilon.

Every use of an activation is a module of its own, so that it can be a target layer.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (16, 32, 64)
KERAS_EPSILON = 1e-3  # Keras' default, where PyTorch has 1e-5


class OptionAShortcut(nn.Module):
    """Every other pixel, then zero channels, half of them before and half after the given ones.

    A module of its own, since a pruner must know that output channel `before + i` is input channel `i`.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        added = channels_out - channels_in
        self.before = added // 2
        self.after = added - self.before

    def forward(self, maps: Tensor) -> Tensor:
        """Return `(N, before + C + after, H / 2, W / 2)` of `(N, C, H, W)`."""
        return F.pad(maps[:, :, ::2, ::2], (0, 0, 0, 0, self.before, self.after))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut; a change of width halves the map."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        changes = channels_in != channels_out
        stride = 2 if changes else 1
        self.conv1 = nn.Conv2d(channels_in, channels_out, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels_out, channels_out, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.shortcut = OptionAShortcut(channels_in, channels_out) if changes else nn.Identity()
        self.relu2 = nn.ReLU()

    def forward(self, maps: Tensor) -> Tensor:
        """Return `(N, channels_out, H, W)`, or half that height and width where the width changes."""
        residual = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(maps)))))
        return self.relu2(residual + self.shortcut(maps))


class ResNetCifar(nn.Module):
    """A convolution, three stages of `blocks` basic blocks, global average pooling, a linear layer."""

    def __init__(self, blocks: int, classes: int) -> None:
        super().__init__()
        narrow, middle, wide = WIDTHS
        self.conv1 = nn.Conv2d(3, narrow, kernel_size=3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(narrow)
        self.relu = nn.ReLU()
        self.layer1 = _stage(narrow, narrow, blocks)
        self.layer2 = _stage(narrow, middle, blocks)
        self.layer3 = _stage(middle, wide, blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.linear = nn.Linear(wide, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits `(N, classes)` of images `(N, 3, H, W)`."""
        maps = self.relu(self.bn1(self.conv1(images)))
        maps = self.layer3(self.layer2(self.layer1(maps)))
        return self.linear(self.flatten(self.pool(maps)))


class KerasBlock(nn.Module):
    """A basic block as Keras builds it; where the width changes, the shortcut is a 1x1 convolution of stride 2."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        changes = channels_in != channels_out
        stride, padding = (2, 0) if changes else (1, 1)
        # TensorFlow's "same" at stride 2 and an even side: one row and column, and they go to the bottom and right.
        self.pad = nn.ZeroPad2d((0, 1, 0, 1)) if changes else nn.Identity()
        self.conv1 = nn.Conv2d(channels_in, channels_out, kernel_size=3, stride=stride, padding=padding)
        self.bn1 = nn.BatchNorm2d(channels_out, eps=KERAS_EPSILON)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels_out, channels_out, kernel_size=3, padding=1)
        self.bn2 = nn.BatchNorm2d(channels_out, eps=KERAS_EPSILON)
        self.short = nn.Conv2d(channels_in, channels_out, kernel_size=1, stride=2) if changes else nn.Identity()
        self.relu2 = nn.ReLU()

    def forward(self, maps: Tensor) -> Tensor:
        """Return `(N, channels_out, H, W)`, or half that (even) height and width where the width changes."""
        residual = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(self.pad(maps))))))
        return self.relu2(residual + self.short(maps))


class ResNetKeras(nn.Module):
    """A convolution, three blocks, global average pooling, a linear layer."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        narrow, middle, wide = WIDTHS
        self.conv = nn.Conv2d(3, narrow, kernel_size=3, padding=1)
        self.bn = nn.BatchNorm2d(narrow, eps=KERAS_EPSILON)
        self.relu = nn.ReLU()
        self.s1 = KerasBlock(narrow, narrow)
        self.s2 = KerasBlock(narrow, middle)
        self.s3 = KerasBlock(middle, wide)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(wide, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits `(N, classes)` of images `(N, 3, H, W)` whose sides are multiples of 4."""
        maps = self.s3(self.s2(self.s1(self.relu(self.bn(self.conv(images))))))
        return self.fc(self.flatten(self.pool(maps)))


def resnet20(classes: int = 10) -> ResNetCifar:
    """Return the untrained ResNet-20; 269,722 parameters with 10 classes."""
    return ResNetCifar(blocks=3, classes=classes)


def resnet8(classes: int = 10) -> ResNetKeras:
    """Return the untrained ResNet-8; 78,186 parameters with 10 classes."""
    return ResNetKeras(classes)


def _stage(channels_in: int, channels_out: int, blocks: int) -> nn.Sequential:
    first = BasicBlock(channels_in, channels_out)
    return nn.Sequential(first, *(BasicBlock(channels_out, channels_out) for _ in range(blocks - 1)))
