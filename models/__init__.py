"""Reference subjects: networks with known figures, installed as `edgecheck.models`.

Importing this package needs no PyTorch; the networks themselves do.
"""

MODELS: dict[str, str] = {
    "digits_cnn": "edgecheck.models.digits_cnn:digits_cnn",
    "cifar10_cnn7": "edgecheck.models.cifar10_cnn7:cifar10_cnn7",
    "stl10_cnn6": "edgecheck.models.stl10_cnn6:stl10_cnn6",
    "resnet20": "edgecheck.models.resnet_cifar:resnet20",
    "resnet8": "edgecheck.models.resnet_cifar:resnet8",
}
"""What `edgecheck:NAME` may name: module and function of each factory, imported only when asked for."""
