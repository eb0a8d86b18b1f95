"""Writes a quantized file with some layers as they are in its float baseline, as a quantizer told to leave them out.

A tensor keeps its quantizer where a quantized node beside it still needs it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import onnx
from attrs import Factory, frozen
from onnx import helper

from edgecheck.device.blame.layers import ACTIVATIONS
from edgecheck.device.blame.places import Place
from edgecheck.device.explain.scales import OUTPUT_SCALES
from edgecheck.device.explain.wiring import Wiring, makers, values_of
from edgecheck.device.model.shapes import reads

INTEGER_KINDS = ("QLinear", "QGemm")
FLOAT16 = "FLOAT16"


@frozen(eq=False)
class Grafts:
    """What replaces nodes of a candidate.

    Attributes:
        baseline: the graph that the float nodes are taken from.
        candidate: the graph that they are put into.
        instead: output of a node of the candidate -> the nodes that now make it.
        stored: the float weights.
    """

    baseline: Wiring
    candidate: Wiring
    instead: dict[str, list[onnx.NodeProto]] = Factory(dict)
    stored: list[onnx.TensorProto] = Factory(list)


def kept_in_float(baseline: Wiring, candidate: Wiring, places: Sequence[Place]) -> onnx.ModelProto:
    """Return the candidate with some layers in float.

    Args:
        baseline: the graph of the float file.
        candidate: the graph of the quantized file.
        places: the layers.
    """
    grafts = Grafts(baseline, candidate)
    for number, place in enumerate(places):
        _graft(grafts, place, f"float{number}:")
    nodes: list[onnx.NodeProto] = []
    for node in candidate.graph.nodes:
        nodes += grafts.instead.get(node.output[0], [_copy(node)])
    _drop_quantizers(nodes, Links.of(nodes, grafts))
    return _model(grafts, nodes)


def _graft(grafts: Grafts, place: Place, prefix: str) -> None:
    """Put the float nodes of a layer in the place of the node that makes its last real tensor."""
    result, kind = _result(place.candidate.nodes)
    taken, new = _real_input(grafts.candidate, place, prefix)
    names = {place.baseline.reads: taken}
    for node in place.baseline.nodes:
        copy = _copy(node)
        constants = [name for name in node.input if name in grafts.baseline.constants]
        values = values_of(grafts.baseline.graph, constants)
        grafts.stored.extend(onnx.numpy_helper.from_array(values[name], prefix + name) for name in values)
        names |= {name: prefix + name for name in (*constants, *node.output)}
        for side, given in ((copy.input, node.input), (copy.output, node.output)):
            side[:] = [names.get(name, name) for name in given]
        new.append(copy)
    last = new[-1]
    if kind == "integers":
        scales = [result.input[at] for at in OUTPUT_SCALES[result.op_type]]
        new.append(helper.make_node("QuantizeLinear", [last.output[0], *scales], [result.output[0]]))
    elif _type(grafts.candidate, result.output[0]) == FLOAT16:
        new.append(helper.make_node("Cast", [last.output[0]], [result.output[0]], to=onnx.TensorProto.FLOAT16))
    else:
        last.output[0] = result.output[0]
    grafts.instead[result.output[0]] = new


def _copy(node: onnx.NodeProto) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    return copy


def _result(nodes: Sequence[onnx.NodeProto]) -> tuple[onnx.NodeProto, str]:
    """Return the node that makes the last tensor of a layer before its output is rounded, and what it holds."""
    kinds = [node.op_type for node in nodes]
    if kinds[-2:] == ["QuantizeLinear", "DequantizeLinear"]:
        return nodes[-3], "real"
    while kinds[-1] == "DequantizeLinear":
        nodes, kinds = nodes[:-1], kinds[:-1]
    return nodes[-1], "integers" if kinds[-1] in OUTPUT_SCALES else "real"


def _real_input(wiring: Wiring, place: Place, prefix: str) -> tuple[str, list[onnx.NodeProto]]:
    """Return the float32 tensor that a layer takes its data from, and what makes it where the file has no such one."""
    layer, name = place.pair.candidate, f"{prefix}input"
    taken = layer.node.input[layer.data]
    if layer.node.op_type.startswith(INTEGER_KINDS):
        scales = layer.node.input[layer.data + 1 : layer.data + 3]
        return name, [helper.make_node("DequantizeLinear", [taken, *scales], [name])]
    if "Integer" in layer.node.op_type:
        taken = place.candidate.reads
    if _type(wiring, taken) == FLOAT16:
        return name, [helper.make_node("Cast", [taken], [name], to=onnx.TensorProto.FLOAT)]
    return taken, []


def _type(wiring: Wiring, tensor: str) -> str:
    return wiring.graph.tensors[tensor].type if tensor in wiring.graph.tensors else ""


@frozen(eq=False)
class Links:
    """The connections of the grafted graph; `grafted` are the tensors that new nodes make."""

    producers: Mapping[str, onnx.NodeProto]
    users: Mapping[str, Sequence[onnx.NodeProto]]
    grafted: Collection[str]
    constants: Collection[str]

    @classmethod
    def of(cls, nodes: Sequence[onnx.NodeProto], grafts: Grafts) -> Links:
        """Return the connections of nodes."""
        users: dict[str, list[onnx.NodeProto]] = {}
        for node in nodes:
            for name in reads(node):
                users.setdefault(name, []).append(node)
        producers = {name: node for node in nodes for name in node.output}
        grafted = {node.output[0] for new in grafts.instead.values() for node in new}
        return cls(producers, users, grafted, grafts.candidate.constants)

    def behind(self, node: onnx.NodeProto) -> Sequence[onnx.NodeProto]:
        """Return the nodes that read what a node gives."""
        return self.users.get(node.output[0], [])

    def is_needless(self, quantizer: onnx.NodeProto) -> bool:
        """Return whether a quantizer beside a new node has no quantized node beside it."""
        readers = self.behind(quantizer)
        beside = [user for reader in readers for user in self.behind(reader)]
        beside += [self.producers[name] for name in quantizer.input[:1] if name in self.producers]
        dequantized = all(reader.op_type == "DequantizeLinear" for reader in readers)
        touched = any(node.output[0] in self.grafted for node in beside)
        return touched and dequantized and not any(map(self.is_quantized, beside))

    def is_quantized(self, node: onnx.NodeProto) -> bool:
        """Return whether a node computes on integers, or on real numbers between quantizers."""
        if node.op_type.startswith(INTEGER_KINDS):
            return True
        if node.output[0] in self.grafted or node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            return False
        made = ((name, self.producers[name]) for name in node.input if name in self.producers)
        dequantized = [name for name, producer in made if producer.op_type == "DequantizeLinear"]
        behind = list(self.behind(node))
        behind += [
            user for activation in behind if activation.op_type in ACTIVATIONS for user in self.behind(activation)
        ]
        rounded = any(user.op_type == "QuantizeLinear" for user in behind)
        return bool(dequantized) and (rounded or any(name in self.constants for name in dequantized))


def _drop_quantizers(nodes: Sequence[onnx.NodeProto], links: Links) -> None:
    """Let real numbers pass the quantizers that no quantized node beside them needs any more."""
    quantizers = [n for n in nodes if n.op_type == "QuantizeLinear" and n.input[0] not in links.constants]
    for quantizer in [one for one in quantizers if links.is_needless(one)]:
        for reader in links.behind(quantizer):
            reader.CopyFrom(helper.make_node("Identity", quantizer.input[:1], reader.output[:1]))


def _model(grafts: Grafts, nodes: Sequence[onnx.NodeProto]) -> onnx.ModelProto:
    """Return the candidate with these nodes, without what nothing reads any more."""
    model = onnx.ModelProto()
    model.CopyFrom(grafts.candidate.graph.model)
    outputs = {value.name for value in model.graph.output}
    alive = makers(nodes, outputs)
    read = outputs.union(*map(reads, alive))
    made = {name for node in alive for name in node.output}
    stored = [tensor for tensor in (*model.graph.initializer, *grafts.stored) if tensor.name in read]
    told = [value for value in model.graph.value_info if value.name in made]
    for field, values in (("node", alive), ("initializer", stored), ("value_info", told)):
        model.graph.ClearField(field)
        getattr(model.graph, field).extend(values)
    known = {entry.domain for entry in model.opset_import}
    further = [entry for entry in grafts.baseline.graph.model.opset_import if entry.domain not in known]
    model.opset_import.extend(further)
    return model
