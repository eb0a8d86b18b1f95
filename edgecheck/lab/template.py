"""The ONNX graph of a traced network without its weights: converted once per structure, then filled per variant.

Conversion is slow and depends on operators and shapes but not on weights. Folding BatchNorm and constants is fast and
depends on the weights. The graph is therefore converted without folding and kept without weights. Every file, including
the first, is made from a copy: it gets its weights and is folded then. Equal twins give equal bytes, whatever was
exported before.
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
# A sweep alternates between a few structures. Each takes a few MB without its weights.
MOST_TEMPLATES = 8

_KEPT: OrderedDict[str, torch.onnx.ONNXProgram] = OrderedDict()


def filled(program: ExportedProgram, opset: int) -> onnx.ModelProto:
    """Return the ONNX model of a traced network, with constants and BatchNorm folded.

    Args:
        program: the traced network; the weights are those of its state dict.
        opset: version of the ONNX operators.

    Raises:
        Exception: any error of PyTorch's exporter.
    """
    template = _template(program, opset)
    copy = torch.onnx.ONNXProgram(template.model.clone(), None)
    weights = copy.model.graph.initializers
    copy.apply_weights({name: value for name, value in program.state_dict.items() if name in weights})
    copy.optimize()
    return copy.model_proto


def _template(program: ExportedProgram, opset: int) -> torch.onnx.ONNXProgram:
    key = _structure(program, opset)
    if key not in _KEPT:
        _KEPT[key] = _emptied(_converted(program, opset), program)
    _KEPT.move_to_end(key)
    if len(_KEPT) > MOST_TEMPLATES:
        _KEPT.popitem(last=False)
    return _KEPT[key]


def _structure(program: ExportedProgram, opset: int) -> str:
    """Return a hash of everything that the converted graph depends on: all but the values of parameters and buffers.

    Constants are hashed with their values, because a network may compute them from weights outside its forward.
    """
    graph = program.graph_module.print_readable(print_output=False, include_stride=True, include_device=True)
    constants = {name: value for name, value in program.constants.items() if isinstance(value, Tensor)}
    parts = graph, program.graph_signature, program.range_constraints, fingerprint(constants), opset
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()


def _converted(program: ExportedProgram, opset: int) -> torch.onnx.ONNXProgram:
    converted = torch.onnx.export(
        program,
        dynamo=True,
        optimize=False,  # optimizing folds weights
        opset_version=opset,
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_shapes=FREE_BATCH,  # names the free dimension; a fixed one stays as it is
        verbose=False,
    )
    assert converted is not None  # its type allows for the deprecated exporter
    return converted


def _emptied(converted: torch.onnx.ONNXProgram, program: ExportedProgram) -> torch.onnx.ONNXProgram:
    """Remove the weights from a converted network, so that none of them can reach the file of another."""
    for name, value in converted.model.graph.initializers.items():
        if name in program.state_dict:
            value.const_value = None
    return torch.onnx.ONNXProgram(converted.model, None)  # without the program, which holds the weights too
