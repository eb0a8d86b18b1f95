"""Shape, type and size of the tensors of an ONNX graph, without their values."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import onnx
from attrs import frozen
from onnx import numpy_helper

from edgecheck.device.model.operators import Shape
from edgecheck.errors import ModelError

# Bits of a value by ONNX type name; text, sequences and the like have no fixed size and are absent.
BITS = {
    "FLOAT": 32, "DOUBLE": 64, "FLOAT16": 16, "BFLOAT16": 16, "COMPLEX64": 64, "COMPLEX128": 128,
    "FLOAT8E4M3FN": 8, "FLOAT8E4M3FNUZ": 8, "FLOAT8E5M2": 8, "FLOAT8E5M2FNUZ": 8, "FLOAT8E8M0": 8, "FLOAT4E2M1": 4,
    "INT8": 8, "INT16": 16, "INT32": 32, "INT64": 64, "INT4": 4, "INT2": 2, "BOOL": 8,
    "UINT8": 8, "UINT16": 16, "UINT32": 32, "UINT64": 64, "UINT4": 4, "UINT2": 2,
}  # fmt: skip
TYPE_NAMES = {
    number: onnx.helper.tensor_dtype_to_string(number).removeprefix("TensorProto.")
    for number in onnx.helper.get_all_tensor_dtypes()
}
NUMPY_NAMES = {"float": "float32", "double": "float64"}  # where ONNX's names differ
BITS_PER_BYTE = 8


@frozen
class Tensor:
    """Shape and ONNX type (`FLOAT`, `INT8`) of a tensor."""

    shape: Shape
    type: str

    @property
    def elements(self) -> int:
        """Number of values; a scalar has one."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Bytes of the values; types below 8 bits are packed. 0 for text."""
        return -(-self.elements * BITS.get(self.type, 0) // BITS_PER_BYTE)

    @property
    def dtype(self) -> str:
        """The type by its NumPy name: `float32`, `float16`, `int8`."""
        name = self.type.lower()
        return NUMPY_NAMES.get(name, name)

    @property
    def is_float(self) -> bool:
        """Whether the values are real numbers with a fraction."""
        return "FLOAT" in self.type or self.type == "DOUBLE"


def stored(tensor: onnx.TensorProto) -> Tensor:
    """Return shape and type of an initializer."""
    return Tensor(tuple(tensor.dims), type_name(tensor.data_type))


def numbers(tensor: onnx.TensorProto) -> np.ndarray:
    """Return the values of a stored tensor, in numpy's type or that of `ml_dtypes`.

    Raises:
        ModelError: its values do not fit its shape and type.
    """
    try:
        return numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError):
        raise ModelError(
            f"weight {tensor.name} is damaged: its values do not fit its shape and type; export it again"
        ) from None


def declared(values: Iterable[onnx.ValueInfoProto]) -> dict[str, Tensor]:
    """Return name -> tensor of those values whose shape is fully known."""
    known = {}
    for value in values:
        tensor_type = value.type.tensor_type
        if tensor_type.HasField("shape") and all(dim.HasField("dim_value") for dim in tensor_type.shape.dim):
            shape = tuple(dim.dim_value for dim in tensor_type.shape.dim)
            known[value.name] = Tensor(shape, type_name(tensor_type.elem_type))
    return known


def type_name(number: int) -> str:
    """Return the name of an ONNX type number, such as `FLOAT` or `INT8`; `UNDEFINED` if it does not exist."""
    return TYPE_NAMES.get(number, "UNDEFINED")
