"""The default target layer.

It is the output of the last convolution before the classifier head whose map is larger than 1x1, after everything that
follows it at the same map size: BatchNorm, activation, residual sum, concatenation. A head that is itself a convolution
(SqueezeNet) does not count, nor does pooling.
"""

from __future__ import annotations

from typing import Any

import torch
from attrs import frozen
from torch import Tensor, fx, nn

from edgecheck.errors import ModelError
from edgecheck.lab.cam.trace import SHAPE, Trace, function_name, is_map, module_of

_PASSES_UNCHANGED = (nn.Identity, nn.modules.dropout._DropoutNd)  # in eval mode


def default_node(traced: Trace) -> fx.Node:
    """Return the default target layer among the values of a traced model.

    Raises:
        ModelError: no convolution gives a map larger than 1x1.
    """
    weighted = [node for node in traced.graph.nodes if _convolves(node, traced) or _is_linear(node, traced)]
    before_head = [node for node in weighted[:-1] if _convolves(node, traced) and _larger_than_1x1(node.meta[SHAPE])]
    if not before_head:
        raise _no_target(traced.model)
    return _settled(before_head[-1], traced)


def _settled(node: fx.Node, traced: Trace) -> fx.Node:
    """Follow a convolution's output through what works on it at the same map size."""
    settled = node
    following: fx.Node | None = node
    while following is not None:
        node = following
        if not _passes_unchanged(node, traced):
            settled = node
        following = next((user for user in node.users if _continues(user, node, traced)), None)
    return settled


def _continues(user: fx.Node, node: fx.Node, traced: Trace) -> bool:
    same_size = is_map(user) and user.meta[SHAPE][2:] == node.meta[SHAPE][2:]
    pools = "pool" in _called(user, traced).lower()
    return same_size and not pools and not _convolves(user, traced) and not _is_linear(user, traced)


def _convolves(node: fx.Node, traced: Trace) -> bool:
    """Return whether a node gives a map and is a convolution, or a module kept whole that contains one."""
    module = module_of(node, traced.model)
    if module is None:
        return function_name(node) == "conv2d"
    return is_map(node) and any(isinstance(part, nn.Conv2d) for part in module.modules())


def _is_linear(node: fx.Node, traced: Trace) -> bool:
    module = module_of(node, traced.model)
    return isinstance(module, nn.Linear) if module is not None else function_name(node) == "linear"


def _passes_unchanged(node: fx.Node, traced: Trace) -> bool:
    return isinstance(module_of(node, traced.model), _PASSES_UNCHANGED) or function_name(node).startswith("dropout")


def _called(node: fx.Node, traced: Trace) -> str:
    module = module_of(node, traced.model)
    return type(module).__name__ if module is not None else function_name(node)


def _larger_than_1x1(shape: tuple[int, ...]) -> bool:
    return shape[2] * shape[3] > 1


def _no_target(model: nn.Module) -> ModelError:
    return ModelError(
        f"{type(model).__name__} has no convolution before its classifier with a map larger than 1x1: "
        "name the layer to explain (explain.target_layer)"
    )


@frozen(eq=False)
class _Call:
    """One module call of a forward pass."""

    name: str
    module: nn.Module
    output: Any


def default_module(model: nn.Module, example: Tensor) -> str:
    """Return the name of the default target layer of a network that cannot be traced, from the order of its calls.

    Functions between the modules are invisible: the target is the last consecutive module with the same map size.

    Args:
        model: the network.
        example: images `(N, C, H, W)`.

    Raises:
        ModelError: no convolution gives a map larger than 1x1.
    """
    calls = _calls(model, example)
    weighted = [place for place, call in enumerate(calls) if isinstance(call.module, nn.Conv2d | nn.Linear)]
    convolutions = [
        place
        for place in weighted[:-1]
        if isinstance(calls[place].module, nn.Conv2d) and _larger_than_1x1(tuple(calls[place].output.shape))
    ]
    if not convolutions:
        raise _no_target(model)
    return _settled_call(calls, convolutions[-1])


def _settled_call(calls: list[_Call], place: int) -> str:
    settled = calls[place]
    for call in calls[place + 1 :]:
        same_size = isinstance(call.output, Tensor) and call.output.shape[2:] == settled.output.shape[2:]
        pools = "pool" in type(call.module).__name__.lower()
        if not same_size or pools or isinstance(call.module, nn.Conv2d | nn.Linear):
            break
        if not isinstance(call.module, _PASSES_UNCHANGED):
            settled = call
    return settled.name


@torch.no_grad()
def _calls(model: nn.Module, example: Tensor) -> list[_Call]:
    calls: list[_Call] = []
    handles = [
        module.register_forward_hook(lambda module, _, output, name=name: calls.append(_Call(name, module, output)))
        for name, module in model.named_modules()
        if name
    ]
    try:
        model(example)
    finally:
        for handle in handles:
            handle.remove()
    return calls
