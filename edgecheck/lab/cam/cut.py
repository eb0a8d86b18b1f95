"""Cut a traced network behind one of its values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attrs import frozen
from torch import Tensor, fx, nn

from edgecheck.lab.cam.trace import SHAPE

Values = tuple[Any, ...]


@frozen(eq=False)
class Split:
    """A network in two parts.

    The others are values made from the images that bypass the target layer: skip connections, sizes.

    Attributes:
        body: `body(inputs)` gives `(feature map, others)`.
        tail: `tail(feature map, *others)` gives the logits.
        graph: the graph of the tail, if it was traced; its first placeholder is the feature map.
        body_graph: the graph of the body, if it was traced.
    """

    body: Callable[..., tuple[Tensor, Values]]
    tail: Callable[..., Tensor]
    graph: fx.GraphModule | None = None
    body_graph: fx.GraphModule | None = None


def cut(root: nn.Module, graph: fx.Graph, node: fx.Node) -> Split:
    """Cut a graph behind `node`: what depends on it becomes the tail, the rest the body.

    The tail works on copies, so that operators that overwrite their input leave the caller's values alone.
    """
    after = _dependents(graph, [node])
    fixed = _fixed(graph, node, after)
    crossing = _crossing(graph, node, after | fixed)
    body = fx.GraphModule(root, _body(graph, node, crossing, after))
    tail = fx.GraphModule(root, _tail(graph, [node, *crossing], after | fixed))
    # `forward` instead of `__call__`: fx writes pages to stderr where a step fails.
    return Split(body.forward, tail.forward, tail, body)


def _body(graph: fx.Graph, node: fx.Node, crossing: list[fx.Node], after: set[fx.Node]) -> fx.Graph:
    body = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for step in graph.nodes:
        if step not in after and step.op != "output":
            copies[step] = body.node_copy(step, copies.__getitem__)
    body.output((copies[node], tuple(copies[value] for value in crossing)))
    return body


def _tail(graph: fx.Graph, inputs: list[fx.Node], after: set[fx.Node]) -> fx.Graph:
    tail = fx.Graph()
    copies = {value: tail.placeholder(value.name) for value in inputs}
    for value in inputs:
        copies[value].meta.update(value.meta)
    for value in inputs:
        if SHAPE in value.meta:
            copies[value] = tail.call_method("clone", (copies[value],))
            copies[value].meta.update(value.meta)
    for step in graph.nodes:
        if step.op in ("get_attr", "output") or step in after:
            copies[step] = tail.node_copy(step, copies.__getitem__)
    return tail


def _dependents(graph: fx.Graph, roots: Sequence[fx.Node]) -> set[fx.Node]:
    """Return the steps that depend on any of the roots."""
    dependents: set[fx.Node] = set()
    for step in graph.nodes:
        if any(value in roots or value in dependents for value in step.all_input_nodes) and step.op != "output":
            dependents.add(step)
    return dependents


def _fixed(graph: fx.Graph, node: fx.Node, after: set[fx.Node]) -> set[fx.Node]:
    """Return the steps that the tail needs and that depend on parameters alone: it computes them itself.

    As crossing values they could be mistaken for one entry per image, where their length is that of the batch.
    """
    images = [step for step in graph.nodes if step.op == "placeholder"]
    moved = _dependents(graph, images) | set(images)
    needed: set[fx.Node] = set()
    for step in reversed(graph.nodes):
        if step in after or step in needed or step.op == "output":
            needed |= {v for v in step.all_input_nodes if v not in moved and v is not node and v.op != "get_attr"}
    return needed


def _crossing(graph: fx.Graph, node: fx.Node, after: set[fx.Node]) -> list[fx.Node]:
    """Return the values made before the cut and needed behind it, except parameters, which both parts can reach."""
    needed: dict[fx.Node, None] = {}
    for step in graph.nodes:
        if step in after or step.op == "output":
            needed |= dict.fromkeys(step.all_input_nodes)
    return [value for value in needed if value is not node and value not in after and value.op != "get_attr"]
