"""The target tensor: the feature map of an ONNX file that its heatmaps explain.

By default it is the output of the last convolution before the classifier head whose map is larger than 1x1, after the
BatchNorm, activation and residual sum that follow it at the same size. This is the rule of `lab.cam.target`, read from
the graph of the file, through quantizers, casts and transposes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import onnx
from attrs import frozen
from numpy.typing import NDArray

from edgecheck.device.explain.scales import Scale, scale_of
from edgecheck.device.explain.wiring import UNCHANGED, Wiring, is_convolution, is_linear, standardized
from edgecheck.device.model.signature import Layout
from edgecheck.errors import ModelError
from edgecheck.text import listed

MOST_LISTED = 8  # of the maps of a file, the last ones
STEPS = {"QuantizeLinear", "DequantizeLinear"}  # give a map that another node computed, under names of a quantizer


@frozen(eq=False)
class Target:
    """A feature map of a file.

    Attributes:
        name: what the user is told and may write: the tensor as the file names it.
        tensor: the tensor to read; behind a quantizer, its integers.
        layout: where its channels are.
        scale: what the integers stand for; None for a float map.
    """

    name: str
    tensor: str
    layout: Layout
    scale: Scale | None

    def shape(self, stored: Sequence[int]) -> tuple[int, int, int]:
        """Return channels, height and width of a map that is stored as `(first, second, third)`."""
        first, second, third = stored
        return (third, first, second) if self.layout == "NHWC" else (first, second, third)

    def channels_first(self, values: NDArray[np.generic]) -> NDArray[np.float32]:
        """Return the map as the file gives it as real numbers `(N, K, h, w)`."""
        return self.ordered(self.scale.real(values) if self.scale else values.astype(np.float32, copy=False))

    def ordered(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return real numbers in the layout of the file, such as gradients of the map, as `(N, K, h, w)`."""
        return values.transpose(0, 3, 1, 2) if self.layout == "NHWC" else values

    def as_stored(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return real maps `(N, K, h, w)` in the layout of the file."""
        return np.ascontiguousarray(maps.transpose(0, 2, 3, 1) if self.layout == "NHWC" else maps)


def find_target(wiring: Wiring, name: str | None) -> Target:
    """Return the tensor named, or the default one.

    Args:
        wiring: the graph of the file.
        name: a tensor, or a node that gives one; None for the default.

    Raises:
        ModelError: no such map, or no default one; the message lists the last maps of the file.
    """
    tensor = _default(wiring) if name is None else _named(wiring, name)
    read = _as_read(wiring, tensor)
    layout = wiring.layouts[tensor]
    return Target(tensor, read, layout, scale_of(wiring, read))


def map_names(wiring: Wiring) -> list[str]:
    """Return the maps larger than 1x1 that the file computes, in the order of execution."""
    made = [name for node in wiring.nodes for name in node.output]
    return [name for name in made if _larger_than_1x1(wiring, name)]


def _default(wiring: Wiring) -> str:
    weighted = [
        node for node in wiring.nodes if is_convolution(node, wiring.constants) or is_linear(node, wiring.constants)
    ]
    convolutions = [
        node
        for node in weighted[:-1]
        if is_convolution(node, wiring.constants) and _larger_than_1x1(wiring, node.output[0])
    ]
    if not convolutions:
        raise ModelError(
            "it has no convolution before its classifier head with a map larger than 1x1: name the tensor to explain "
            f"(explain.target_layer){_known(wiring)}"
        )
    return _settled(wiring, convolutions[-1].output[0])


def _named(wiring: Wiring, name: str) -> str:
    node = next((node for node in wiring.nodes if name and node.name == name), None)
    tensor = node.output[0] if node is not None and name not in wiring.producers else name
    if tensor not in wiring.producers or wiring.map_size(tensor) is None:
        raise ModelError(f"it has no feature map {name!r} (explain.target_layer){_known(wiring)}")
    if not _larger_than_1x1(wiring, tensor):
        raise ModelError(f"the map {name!r} has one pixel, which highlights nothing{_known(wiring)}")
    return tensor


def _known(wiring: Wiring) -> str:
    known = [name for name in map_names(wiring) if wiring.producers[name].op_type not in STEPS]
    return f"; its last maps, from the end: {listed(known[::-1], MOST_LISTED)}" if known else ""


def _settled(wiring: Wiring, tensor: str) -> str:
    """Follow a convolution's output through what works on it at the same map size."""
    while True:
        user = next((user for user in _onward(wiring, tensor) if _continues(wiring, user, tensor)), None)
        if user is None:
            return tensor
        tensor = user.output[0]


def _onward(wiring: Wiring, tensor: str) -> Iterator[onnx.NodeProto]:
    """Yield the nodes that read a map, looking through those that leave it as it is."""
    for user in wiring.users.get(tensor, ()):
        if user.op_type in UNCHANGED or (user.op_type == "Transpose" and user.output[0] in wiring.layouts):
            yield from _onward(wiring, user.output[0])
        else:
            yield user


def _continues(wiring: Wiring, user: onnx.NodeProto, tensor: str) -> bool:
    kind = standardized(user).op_type
    stops = "Pool" in kind or kind.startswith("Reduce") or kind in ("DynamicQuantizeLinear", "LayerNormalization")
    weighted = is_convolution(user, wiring.constants) or is_linear(user, wiring.constants)
    return not stops and not weighted and wiring.map_size(user.output[0]) == wiring.map_size(tensor)


def _as_read(wiring: Wiring, tensor: str) -> str:
    """Return the integers of a map that all readers take through one quantizer, else the map itself.

    A file computes with what the quantizer leaves of the map. To read the map before it would also keep ONNX Runtime
    from fusing the quantizer into the layer.
    """
    users = wiring.users.get(tensor, ())
    quantizers = [user for user in users if user.op_type == "QuantizeLinear"]
    return quantizers[0].output[0] if len(quantizers) == len(users) == 1 else tensor


def _larger_than_1x1(wiring: Wiring, tensor: str) -> bool:
    size = wiring.map_size(tensor)
    return size is not None and size[0] * size[1] > 1
