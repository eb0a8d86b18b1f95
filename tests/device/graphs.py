"""ONNX files made by hand: the text form of a graph, and its weights as arrays."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper, parser


def model(
    text: str, weights: Mapping[str, np.ndarray] | None = None, opset: int = 17, ir_version: int = 9
) -> onnx.ModelProto:
    """Return the model of `name (inputs) => (outputs) { nodes }`, with `weights` as its initializers."""
    domains = f'"" : {opset}, "com.microsoft" : 1, "mine" : 1'
    made = parser.parse_model(f"<ir_version: {ir_version}, opset_import: [{domains}]> {text}")
    made.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in (weights or {}).items())
    return made


def save(path: Path, text: str, weights: Mapping[str, np.ndarray] | None = None, **versions: int) -> Path:
    """Write such a model."""
    onnx.save(model(text, weights, **versions), path)
    return path


def ones(*shape: int) -> np.ndarray:
    """Return weights for which only the shape matters."""
    return np.ones(shape, np.float32)
