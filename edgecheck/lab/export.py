"""Export a twin to one ONNX file that does not depend on the machine it is written on."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from edgecheck.atomic import write_bytes
from edgecheck.errors import ConfigError, ModelError
from edgecheck.lab.chatter import quiet
from edgecheck.lab.template import FREE_BATCH, filled
from edgecheck.lab.user_traceback import output_of, place_of, root_cause
from edgecheck.records import Diagnostic

# PyTorch writes opset 18 and converts it upwards. Asked for a lower one, it silently keeps 18 where a node, such as
# Pad, has no conversion.
OPSETS = range(18, 24)
# torch.export specializes on a size of 1, so a free batch dimension needs an example of at least 2.
_FREE_EXAMPLE, _FIXED_EXAMPLE = 2, 1
_LOGITS_DIMENSIONS = 2  # (N, classes)
_OPERATOR = re.compile(r"OpOverload\(op='([^']+)'")


def export(model: nn.Module, path: Path, input_shape: tuple[int, int, int], opset: int = OPSETS[0]) -> list[Diagnostic]:
    """Write `model`, in eval mode, as an ONNX file with its weights inside. Equal weights give equal bytes.

    The input is `input`, float32 `(batch, C, H, W)`; the output is `logits`, float32 `(batch, classes)`. The batch
    dimension is free unless the network accepts only one image. BatchNorm is folded into the convolutions. The metadata
    that PyTorch adds to each node (source lines with paths of this machine) is removed.

    Args:
        model: a classifier; it is not changed.
        path: the file; it is written completely or not at all.
        input_shape: `(C, H, W)` of one image.
        opset: version of the ONNX operators, 18 to 23.

    Returns:
        Warnings for the user of the file.

    Raises:
        ConfigError: PyTorch cannot write this opset.
        ModelError: the model does not run on such images, does not return `(N, classes)`, or cannot be exported.
        InputError: the file cannot be written.
    """
    if opset not in OPSETS:
        raise ConfigError(f"export.opset {opset}: PyTorch {torch.__version__} writes only {OPSETS[0]} to {OPSETS[-1]}")
    model = copy.deepcopy(model).eval()
    with quiet():
        _check_output(model, torch.zeros(_FIXED_EXAMPLE, *input_shape))
        program, diagnostics = _captured(model, input_shape)
        written = _written(program, opset, model)
    _strip(written.graph)
    written.ClearField("metadata_props")
    write_bytes(path, written.SerializeToString(deterministic=True))
    return diagnostics


def _check_output(model: nn.Module, example: Tensor) -> None:
    with torch.no_grad():
        out = output_of(model, example)
    form = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
    if not isinstance(out, Tensor) or out.ndim != _LOGITS_DIMENSIONS or len(out) != 1:
        raise ModelError(f"{type(model).__name__} must return logits (N, classes), but for one image it returns {form}")


def _captured(model: nn.Module, input_shape: tuple[int, int, int]) -> tuple[ExportedProgram, list[Diagnostic]]:
    """Return the traced model, and a warning where its code allows only a fixed batch dimension."""
    try:
        return _traced(model, torch.zeros(_FREE_EXAMPLE, *input_shape), FREE_BATCH), []
    except Exception:  # torch.export raises dozens of types; a fixed batch dimension shows whether that was the cause
        fixed = Diagnostic("export-batch-fixed")
    try:
        return _traced(model, torch.zeros(_FIXED_EXAMPLE, *input_shape), (None,)), [fixed]
    except Exception as error:
        raise ModelError(f"{type(model).__name__} cannot be traced for export: {place_of(error)}") from error


def _traced(model: nn.Module, example: Tensor, shapes: tuple[Any]) -> ExportedProgram:
    return torch.export.export(model, (example,), dynamic_shapes=shapes, strict=False)


def _written(program: ExportedProgram, opset: int, model: nn.Module) -> onnx.ModelProto:
    try:
        return filled(program, opset)
    except Exception as error:
        operator = _OPERATOR.search(str(root_cause(error)))
        reason = f"ONNX has no operator for {operator[1]}" if operator else place_of(root_cause(error))
        raise ModelError(f"{type(model).__name__} cannot be exported: {reason}") from error


def _strip(graph: onnx.GraphProto) -> None:
    """Remove metadata from a graph and its subgraphs: it names source files and triples the size of a small file."""
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                _strip(inner)
