"""torchvision's architectures with each kind of their blocks, but few of them: time to trace, export or prune a network
grows with its layers, and what a layer needs does not. Tests marked thorough take the whole networks."""

import torch
from torch import nn

from edgecheck.lab.torchvision_cure import cure

cure()  # without which torchvision may not import
CLASSES = 10  # a head of 1000 would have more weights than all that is pruned


def densenet() -> nn.Module:
    """Two layers in each block of densenet121 instead of 6 to 24."""
    from torchvision.models import DenseNet

    return DenseNet(growth_rate=32, block_config=(2, 2, 2, 2), num_init_features=64, num_classes=CLASSES)


def mobilenet_v2() -> nn.Module:
    """The first 3 of its 7 stages: one block or two each."""
    from torchvision.models import MobileNetV2

    return MobileNetV2(CLASSES, inverted_residual_setting=[[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 1, 2]])


def mobilenet_v3() -> nn.Module:
    """The first 5 of the 11 blocks of mobilenet_v3_small: with and without a gate, both activations, a residual sum."""
    from torchvision.models.mobilenetv3 import InvertedResidualConfig, MobileNetV3

    blocks = [
        (16, 3, 16, 16, True, "RE", 2),
        (16, 3, 72, 24, False, "RE", 2),
        (24, 3, 88, 24, False, "RE", 1),
        (24, 5, 96, 40, True, "HS", 2),
        (40, 5, 240, 40, True, "HS", 1),
    ]
    settings = [InvertedResidualConfig(*block, dilation=1, width_mult=1.0) for block in blocks]
    return MobileNetV3(settings, last_channel=1024, num_classes=CLASSES)


def efficientnet() -> nn.Module:
    """3 of the 7 stages of efficientnet_b0, and of its repeated blocks one."""
    from torchvision.models.efficientnet import EfficientNet, MBConvConfig

    stages = [(1, 3, 1, 32, 16, 1), (6, 3, 2, 16, 24, 2), (6, 5, 2, 24, 40, 1)]
    return EfficientNet([MBConvConfig(*stage) for stage in stages], dropout=0.2, num_classes=CLASSES)


def vgg11_bn() -> nn.Module:
    """As it is, but for the width of its head, which would have 120 million weights."""
    from torchvision.models import VGG
    from torchvision.models.vgg import cfgs, make_layers

    with torch.device("meta"):  # neither these features nor this head stay
        model = VGG(nn.Identity(), init_weights=False)
    model.features = make_layers(cfgs["A"], batch_norm=True)
    for layer in model.features:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    hidden = nn.Linear(512 * 7 * 7, 64), nn.ReLU(True), nn.Dropout(), nn.Linear(64, 64), nn.ReLU(True), nn.Dropout()
    model.classifier = nn.Sequential(*hidden, nn.Linear(64, CLASSES))
    return model
