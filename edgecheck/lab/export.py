"""Writing a twin as one ONNX file that holds nothing of the machine it was written on."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from edgecheck.errors import ConfigError, ModelError
from edgecheck.lab.template import FREE_BATCH, filled
from edgecheck.lab.user_traceback import output_of, place_of, root_cause
from edgecheck.store import write_bytes

# PyTorch writes opset 18 and converts upwards. Downwards it keeps 18 without an error as soon as it meets, say, a Pad.
OPSETS = range(18, 24)
# torch.export takes a size of 1 for a constant, so that a free batch needs an example of more.
_FREE_EXAMPLE, _FIXED_EXAMPLE = 2, 1
_LOGITS_DIMENSIONS = 2  # (N, classes)
_OPERATOR = re.compile(r"OpOverload\(op='([^']+)'")


def export(model: nn.Module, path: Path, input_shape: tuple[int, int, int], opset: int = OPSETS[0]) -> list[str]:
    """Write `model`, in eval mode, as an ONNX file with weights inside; the same weights give the same bytes.

    Input `input` float32 `(batch, C, H, W)`, output `logits` float32 `(batch, classes)`; the batch is free unless the
    network allows one image only. BatchNorm is folded into the convolutions. What PyTorch notes down on every node
    (source lines with paths of this machine) is left out.

    Args:
        model: a classifier; it is not changed.
        path: the file; it appears whole or not at all.
        input_shape: `(C, H, W)` of one image.
        opset: version of the ONNX operators, 18..23.

    Returns:
        Warnings for whoever uses the file.

    Raises:
        ConfigError: an opset that PyTorch cannot write.
        ModelError: the model does not run on such images, does not return `(N, classes)`, or cannot be exported.
        InputError: the file cannot be written.
    """
    if opset not in OPSETS:
        raise ConfigError(f"export.opset {opset}: PyTorch {torch.__version__} writes {OPSETS[0]} to {OPSETS[-1]} only")
    model = copy.deepcopy(model).eval()
    with _quiet():
        _check_output(model, torch.zeros(_FIXED_EXAMPLE, *input_shape))
        program, advice = _captured(model, input_shape)
        written = _written(program, opset, model)
    _strip(written.graph)
    written.ClearField("metadata_props")
    write_bytes(path, written.SerializeToString(deterministic=True))
    return advice


def _check_output(model: nn.Module, example: Tensor) -> None:
    with torch.no_grad():
        out = output_of(model, example)
    found = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
    if not isinstance(out, Tensor) or out.ndim != _LOGITS_DIMENSIONS or len(out) != 1:
        raise ModelError(
            f"{type(model).__name__} must return logits (N, classes), but for one image it returns {found}"
        )


def _captured(model: nn.Module, input_shape: tuple[int, int, int]) -> tuple[ExportedProgram, list[str]]:
    """Return the traced model and the warning that its batch is fixed, where the network's code allows no other."""
    try:
        return _traced(model, torch.zeros(_FREE_EXAMPLE, *input_shape), FREE_BATCH), []
    except Exception:  # torch.export raises dozens of kinds; whether the batch is at fault shows below
        advice = "the network's code allows one image at a time only: the file's batch is fixed to 1"
    try:
        return _traced(model, torch.zeros(_FIXED_EXAMPLE, *input_shape), (None,)), [advice]
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


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep PyTorch's progress, advice and logs off the terminal: what matters is returned or raised."""
    silenced_below = logging.root.manager.disable
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        stack.callback(logging.disable, silenced_below)
        logging.disable(logging.CRITICAL)
        yield


def _strip(graph: onnx.GraphProto) -> None:
    """Remove notes from a graph and the graphs inside its nodes: they name source files and triple a small file."""
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                _strip(inner)
