"""The networks that benchmarks compare on, with their target layers as the design names them."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from attrs import frozen
from torch import Tensor, nn

from edgecheck.config.plan import Preprocessing
from edgecheck.images import ImageSet, head, load_npz
from edgecheck.lab.weights import load_weights
from edgecheck.models.cifar10_cnn7 import cifar10_cnn7
from edgecheck.models.resnet_cifar import resnet8, resnet20

IMAGENET = Preprocessing(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])


@frozen
class Subject:
    """A network, its images, and how the `grad-cam` package is pointed at the same layer.

    `peer_images` is how many the package's Ablation-CAM gets: it takes seconds an image.
    """

    make: Callable[[], nn.Module]
    target: str
    side: int
    count: int
    peer_images: int
    weights: str = ""
    wrap: Callable[[nn.Module], tuple[nn.Module, nn.Module]] | None = None
    preprocessing: Preprocessing = IMAGENET

    def build(self) -> nn.Module:
        torch.manual_seed(0)
        model = self.make()
        path = real_data() / "weights" / self.weights
        if self.weights and path.is_file():
            load_weights(model, path)
        return model

    def images(self, count: int) -> ImageSet:
        path = real_data() / "cifar10" / "test.npz"
        if self.weights and path.is_file():
            return head(load_npz(path), count)
        pixels = np.random.default_rng(0).integers(0, 256, (count, self.side, self.side, 3), dtype=np.uint8)
        return ImageSet(pixels, np.zeros(count, np.int64), ("none",))

    def peer(self, model: nn.Module) -> tuple[nn.Module, nn.Module]:
        """Return the model and layer to give to the package."""
        return self.wrap(model) if self.wrap else (model, model.get_submodule(self.target))


def real_data() -> Path:
    return Path(os.environ.get("EDGECHECK_DATA", "nowhere"))


class DenseNet(nn.Module):
    """torchvision's DenseNet with its last ReLU as a module: the package overwrites its map otherwise."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.features, self.relu, self.classifier = model.features, nn.ReLU(), model.classifier

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(F.adaptive_avg_pool2d(self.relu(self.features(x)), (1, 1)), 1))


def wrapped(model: nn.Module) -> tuple[nn.Module, nn.Module]:
    whole = DenseNet(model).eval()
    return whole, whole.relu


def torchvision(name: str) -> Callable[[], nn.Module]:
    return lambda: getattr(importlib.import_module("torchvision.models"), name)()


SUBJECTS = {
    "cifar10_cnn7": Subject(cifar10_cnn7, "features.23", 32, 256, 1),
    "resnet20": Subject(resnet20, "layer3", 32, 512, 8, "resnet20_akamaster.pt"),
    "resnet18": Subject(torchvision("resnet18"), "layer4", 224, 96, 1),
    "mobilenet_v2": Subject(torchvision("mobilenet_v2"), "features", 224, 96, 1),
    "vgg11_bn": Subject(torchvision("vgg11_bn"), "features.27", 224, 32, 1),
    "densenet121": Subject(torchvision("densenet121"), "features.norm5+relu", 224, 32, 1, wrap=wrapped),
    "squeezenet1_1": Subject(torchvision("squeezenet1_1"), "features", 224, 64, 1),
}


@frozen
class Prunable:
    """A network to prune, its image's side and its classes.

    `few` is how many images the senpis criteria get. They run the network once a filter; where there are ten thousand
    filters, one image takes minutes.
    """

    make: Callable[[], nn.Module]
    side: int
    classes: int
    few: int = 4


PRUNABLE = {
    "resnet8": Prunable(resnet8, 32, 10),
    "resnet20": Prunable(resnet20, 32, 10),
    "cifar10_cnn7": Prunable(cifar10_cnn7, 32, 10, few=2),
    "resnet18": Prunable(torchvision("resnet18"), 64, 1000),
    "mobilenet_v2": Prunable(torchvision("mobilenet_v2"), 64, 1000, few=1),
    "densenet121": Prunable(torchvision("densenet121"), 64, 1000, few=1),
}
