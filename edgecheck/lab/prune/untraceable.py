"""Operators of a network that a dependency graph may not support, and their lines in the user's code."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor, nn

from edgecheck.lab.user_traceback import place_in_stack

NAMED = 3  # how many operators a message names

# Autograd's names of the operators that a dependency graph supports, without "Backward" and their number.
_FOLLOWED = re.compile(
    r"AccumulateGrad|.*Convolution|Addmm|T|.*BatchNorm|.*Norm.*|Add|Sub|Mul|Div|Neg|Mean|Sum|Pow|Sqrt|Cat|View|Reshape.*|"
    r"UnsafeView|Clone|Expand|Squeeze|Unsqueeze|.*Pool.*|.*Dropout|ConstantPadNd|Upsample.*|.*Relu.*|.*elu|Sigmoid|"
    r"Tanh|Silu|Mish|Hard.*|LeakyRelu|Softplus|.*Softmax|Exp|Log|Abs|Clamp.*|Copy.*|ToCopy|Permute|Transpose|Slice"
)


def suspects(model: nn.Module, example: Tensor) -> str:
    """Return the unusual operators between the layers of `model`, such as `Split at net.py:31 in forward`, or "".

    Args:
        model: its parameters require gradients.
        example: an input `(1, C, H, W)` that it runs on.
    """
    with torch.enable_grad(), torch.autograd.set_detect_anomaly(True, check_nan=False):  # keeps each operator's stack
        nodes = _nodes(model(example).grad_fn)
    operators = dict.fromkeys(operator_at(node) for node in nodes if not _FOLLOWED.fullmatch(_name(node)))
    return ", ".join(list(operators)[:NAMED])


def operator_at(node: Any) -> str:
    """Return an operator with its line, such as `Split at net.py:31 in forward`; the graph needs anomaly detection."""
    place = place_in_stack("".join(node.metadata.get("traceback_", [])))
    return f"{_name(node)} at {place}" if place else _name(node)


def _name(node: Any) -> str:
    return re.sub(r"Backward\d*$", "", type(node).__name__)


def _nodes(start: Any) -> list[Any]:
    """Return the nodes of the graph from the output on, each once."""
    seen, waiting = {start: None}, [start]
    while waiting:
        for node, _ in waiting.pop().next_functions:
            if node is not None and node not in seen:
                seen[node] = None
                waiting.append(node)
    return list(seen)
