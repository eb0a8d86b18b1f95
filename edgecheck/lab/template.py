"""The ONNX graph of a traced network without its weights: converted once per structure, filled for every variant.

Converting a traced network is slow, and depends on its operators and shapes but not on its weights. Folding BatchNorm
and constants is fast, and depends on the weights. So the graph is converted without folding and kept without weights;
every file, the first one too, is a copy of it that gets its weights and is folded then. Equal twins thus give equal
bytes, whatever was exported before them.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict

import onnx
import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from edgecheck.lab.weights import fingerprint

INPUT, OUTPUT, BATCH = "input", "logits", "batch"
FREE_BATCH = ({0: Dim(BATCH)},)
# A sweep goes through some structures again and again. Each takes a few MB without its weights.
MOST_TEMPLATES = 8

_KEPT: OrderedDict[str, torch.onnx.ONNXProgram] = OrderedDict()


def filled(program: ExportedProgram, opset: int) -> onnx.ModelProto:
    """Return the ONNX model of a traced network, constants and BatchNorm folded.

    Args:
        program: the traced network; its state dict gives the weights.
        opset: version of the ONNX operators.

    Raises:
        Exception: whatever PyTorch's exporter raises.
    """
    template = _template(program, opset)
    made = torch.onnx.ONNXProgram(template.model.clone(), None)
    weights = made.model.graph.initializers
    made.apply_weights({name: value for name, value in program.state_dict.items() if name in weights})
    made.optimize()
    return made.model_proto


def _template(program: ExportedProgram, opset: int) -> torch.onnx.ONNXProgram:
    key = _structure(program, opset)
    if key not in _KEPT:
        _KEPT[key] = _emptied(_converted(program, opset), program)
    _KEPT.move_to_end(key)
    if len(_KEPT) > MOST_TEMPLATES:
        _KEPT.popitem(last=False)
    return _KEPT[key]


def _structure(program: ExportedProgram, opset: int) -> str:
    """Return a hash of all that the converted graph depends on: anything but the values of parameters and buffers.

    Constants are hashed with their values: a network may compute them from weights, outside of its forward.
    """
    graph = program.graph_module.print_readable(print_output=False, include_stride=True, include_device=True)
    constants = {name: value for name, value in program.constants.items() if isinstance(value, Tensor)}
    parts = graph, program.graph_signature, program.range_constraints, fingerprint(constants), opset
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()


def _converted(program: ExportedProgram, opset: int) -> torch.onnx.ONNXProgram:
    converted = torch.onnx.export(
        program,
        dynamo=True,
        optimize=False,  # which would fold weights
        opset_version=opset,
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_shapes=FREE_BATCH,  # gives the free size its name; a fixed one stays as it is
        verbose=False,
    )
    assert converted is not None  # its type allows for the deprecated exporter
    return converted


def _emptied(converted: torch.onnx.ONNXProgram, program: ExportedProgram) -> torch.onnx.ONNXProgram:
    """Take the weights out of a converted network, so that none of them can get into another's file."""
    for name, value in converted.model.graph.initializers.items():
        if name in program.state_dict:
            value.const_value = None
    return torch.onnx.ONNXProgram(converted.model, None)  # without the program, which holds the weights too
