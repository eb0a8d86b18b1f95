"""What the operators behind the target layer do with its channels, according to their graph.

From the feature map to the logits, operators first work on each channel by itself (pooling, ReLU, BatchNorm,
flattening). Then one mixes the channels (a linear layer, a convolution), and the rest follows. Where this structure is
visible, ablating a channel does not take a run through the whole tail.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import takewhile
from typing import Any

from attrs import frozen
from torch import Tensor, fx, nn

from edgecheck.lab.cam.cut import Split, cut
from edgecheck.lab.cam.trace import SHAPE, function_name, module_of

Values = tuple[Any, ...]

# By the names of torch.nn's modules and of the functions they stand for. An operator that does something else under
# one of these names is caught by the check that every shortcut must pass (`ablate`).
_AFFINE = frozenset(
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
_CURVED = frozenset(
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
_MIXES = frozenset(["Linear", "Conv2d", "linear", "conv2d"])


@frozen(eq=False)
class Mixing:
    """The layer that takes z, if its weights can be divided by channel; `after` computes the logits from its output."""

    layer: nn.Linear | nn.Conv2d
    after: Callable[[Tensor], Tensor]


@frozen(eq=False)
class Head:
    """The tail in two stages, which both take and pass on the values that bypass the target layer.

    Attributes:
        prefix: from the feature map to z, channel by channel.
        rest: from z to the logits.
        affine: whether the logits are an affine function of z.
        mixing: the layer that takes z, see `Mixing`.
    """

    prefix: Callable[..., tuple[Tensor, Values]]
    rest: Callable[..., Tensor]
    affine: bool = False
    mixing: Mixing | None = None


def read_head(model: nn.Module, parts: Split) -> Head:
    """Return the stages of a tail according to its graph; a tail without a graph is all `rest`."""
    if parts.graph is None:
        return Head(lambda feature, *others: (feature, others), parts.tail)
    graph = parts.graph.graph
    chain = _chain(graph)
    by_channel = list(takewhile(lambda step: _does(step, model, _AFFINE | _CURVED), chain[1:]))
    rest = chain[1 + len(by_channel) :]
    staged = cut(model, graph, chain[len(by_channel)])
    whole = any(user.op == "output" for user in chain[-1].users)
    affine = whole and all(_does(step, model, _AFFINE | _MIXES) for step in rest)
    return Head(staged.body, staged.tail, affine, _mixing(model, graph, rest) if rest else None)


def _chain(graph: fx.Graph) -> list[fx.Node]:
    """Return the steps from the feature map on, as long as each depends on the one before it alone."""
    chain = [next(iter(graph.nodes))]
    while True:
        users = [user for user in chain[-1].users if SHAPE in user.meta or user.op == "output"]
        if len(users) != 1 or users[0].op == "output" or _tensors(users[0]) != chain[-1:]:
            return chain
        chain.append(users[0])


def _tensors(step: fx.Node) -> list[fx.Node]:
    return [value for value in step.all_input_nodes if SHAPE in value.meta and value.op != "get_attr"]


def _mixing(model: nn.Module, graph: fx.Graph, rest: list[fx.Node]) -> Mixing | None:
    layer = module_of(rest[0], model)
    # Subclasses may do something else with their weights (a mask, a norm).
    if type(layer) is not nn.Linear and not (type(layer) is nn.Conv2d and _splits_by_channel(layer)):
        return None
    after = cut(model, graph, rest[0])
    takes = [node for node in after.graph.graph.nodes if node.op == "placeholder"] if after.graph else []
    return Mixing(layer, after.tail) if len(takes) == 1 else None


def _splits_by_channel(layer: nn.Conv2d) -> bool:
    return layer.groups == 1 and layer.padding_mode == "zeros"


def _does(step: fx.Node, model: nn.Module, names: frozenset[str]) -> bool:
    module = module_of(step, model)
    return (type(module).__name__ if module is not None else function_name(step)) in names
