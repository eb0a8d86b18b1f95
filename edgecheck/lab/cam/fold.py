"""A faster body: the part of a network before its target layer, run without gradients."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


class Folded:
    """A copy of a traced body with BatchNorm folded into its convolutions, run with channels last.

    On a CPU both together save a tenth to more than half of the time on the networks tried (plain, residual,
    depthwise), and cost none on any. The values differ by float32 rounding.
    """

    def __init__(self, body: fx.GraphModule) -> None:
        # Modules are copied, so that the caller's network keeps its own.
        self.body = folded(copy.deepcopy(body))
        nn.Module.to(self.body, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def __call__(self, inputs: Tensor) -> Any:
        """Return the feature map and the values that bypass it, for images `(N, C, H, W)`."""
        return self.body.forward(inputs.contiguous(memory_format=torch.channels_last))


def folded(body: fx.GraphModule) -> fx.GraphModule:
    """Fold each BatchNorm2d, in eval mode, into the convolution that feeds nothing else; change and return `body`."""
    modules = dict(body.named_modules())
    calls = Counter(node.target for node in body.graph.nodes if node.op == "call_module")

    def once(node: Any, kind: type[nn.Module]) -> bool:
        """Return whether a step is the only call of a module of that kind."""
        return isinstance(node, fx.Node) and calls[node.target] == 1 and isinstance(modules.get(str(node.target)), kind)

    for norm in list(body.graph.nodes):
        source: Any = norm.args[0] if norm.args else None
        if not (once(norm, nn.BatchNorm2d) and once(source, nn.Conv2d) and len(source.users) == 1):
            continue
        convolution, statistics = modules[source.target], modules[norm.target]
        if statistics.track_running_stats:
            body.set_submodule(source.target, fuse_conv_bn_eval(convolution, statistics))
            norm.replace_all_uses_with(source)
            body.graph.erase_node(norm)
    body.recompile()
    return body
