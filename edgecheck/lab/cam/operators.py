"""What operators do with the channels of a feature map, by their names."""

from __future__ import annotations

from torch import fx, nn

from edgecheck.lab.cam.trace import SHAPE, function_name, module_of

# By the names of torch.nn's modules and of the functions they stand for. An operator that does something else under
# one of these names is caught by the check that every shortcut must pass (`ablate`).
AFFINE = frozenset(
    [
        "BatchNorm1d",
        "BatchNorm2d",
        "AvgPool2d",
        "AdaptiveAvgPool2d",
        "Flatten",
        "Identity",
        "Dropout",
        "Dropout1d",
        "Dropout2d",
        "batch_norm",
        "avg_pool2d",
        "adaptive_avg_pool2d",
        "flatten",
        "view",
        "reshape",
        "squeeze",
        "mean",
        "contiguous",
        "clone",
        "dropout",
        "dropout2d",
    ]
)
CURVED = frozenset(
    [
        "ReLU",
        "ReLU6",
        "LeakyReLU",
        "PReLU",
        "ELU",
        "SiLU",
        "GELU",
        "Mish",
        "Hardswish",
        "Hardsigmoid",
        "Hardtanh",
        "Sigmoid",
        "Tanh",
        "MaxPool2d",
        "AdaptiveMaxPool2d",
        "relu",
        "relu_",
        "relu6",
        "leaky_relu",
        "elu",
        "silu",
        "gelu",
        "mish",
        "hardswish",
        "hardsigmoid",
        "hardtanh",
        "clamp",
        "sigmoid",
        "tanh",
        "max_pool2d",
        "adaptive_max_pool2d",
        "amax",
    ]
)
MIXES = frozenset(["Linear", "Conv2d", "linear", "conv2d"])


def does(step: fx.Node, model: nn.Module, names: frozenset[str]) -> bool:
    """Return whether a step calls one of the operators."""
    module = module_of(step, model)
    return (type(module).__name__ if module is not None else function_name(step)) in names


def tensors_of(step: fx.Node) -> list[fx.Node]:
    """Return the tensors that a step takes, parameters aside."""
    return [value for value in step.all_input_nodes if SHAPE in value.meta and value.op != "get_attr"]
