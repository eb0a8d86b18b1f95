"""Cut a network at its target layer: `body` makes the feature map, `tail` takes it to the logits as often as asked.

Where the network can be traced, the tail holds nothing but the operators behind the target layer. Where it cannot,
hooks do the same by running the whole network each time, and a warning says so.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from attrs import field, frozen
from torch import Tensor, fx, nn

from edgecheck.errors import ModelError
from edgecheck.lab.cam.exported import exported
from edgecheck.lab.cam.fold import Folded
from edgecheck.lab.cam.target import default_module, default_node
from edgecheck.lab.cam.trace import SHAPE, Trace, reason, trace, unknown_layer

LOGIT_TOLERANCE = 1e-4  # relative; float32 reordering gives about 1e-6, a wrong cut gives anything
Values = tuple[Any, ...]


@frozen(eq=False)
class Split:
    """A network in two parts. `body(*inputs)` gives `(feature map, others)`, `tail(feature map, *others)` the logits.

    The others are the values made of the images that pass by the target layer: skip connections, sizes. `graph` is the
    tail's and `body_graph` the body's, where they were traced; the tail's first placeholder is the feature map.
    """

    body: Callable[..., tuple[Tensor, Values]]
    tail: Callable[..., Tensor]
    graph: fx.GraphModule | None = None
    body_graph: fx.GraphModule | None = None


@frozen(eq=False)
class Target:
    """The network cut at its target layer, that layer's name, and what the user should know about the cut."""

    name: str
    split: Split
    warnings: list[str] = field(factory=list)


def split(model: nn.Module, example: Tensor, target_layer: str | None = None) -> Target:
    """Cut a model in eval mode at `target_layer`, or at the default one, so that it holds on `example` `(N, C, H, W)`.

    Raises:
        ModelError: no such layer, no default one, or one that does not give each image a feature map of real numbers.
    """
    target, feature = _cut_at(model, example, target_layer)
    if len(feature) != len(example):
        raise ModelError(
            f"target layer {target.name!r} of {type(model).__name__} gives {len(feature)} feature maps for "
            f"{len(example)} images (at its last call): name a layer that sees each image once, all at a time"
        )
    if not feature.is_floating_point():
        raise ModelError(
            f"target layer {target.name!r} of {type(model).__name__} gives {feature.dtype}, no real numbers"
        )
    return target


def _cut_at(model: nn.Module, example: Tensor, target_layer: str | None) -> tuple[Target, Tensor]:
    """Return the cut network and the feature maps of the example."""
    traced, why = _traced(model, example, target_layer)
    if traced is None:
        return _by_hooks(model, example, target_layer, why)
    node = traced.find(target_layer) if target_layer else default_node(traced)
    name = target_layer or traced.name(node)
    parts, expected = cut(traced.model, traced.graph, node), _logits(model, example)
    feature = _feature_if_same(expected, parts, example)
    if feature is None:
        named = name if name in dict(model.named_modules()) else target_layer
        return _by_hooks(model, example, named, "its two parts give other logits than the whole")
    return Target(name, _quickened(expected, parts, example)), feature


def _quickened(expected: Any, parts: Split, example: Tensor) -> Split:
    """Return the parts with a faster body, if that gives the same logits (a layer called twice cannot be folded)."""
    if parts.body_graph is None:
        return parts
    try:
        quick = Split(Folded(parts.body_graph), parts.tail, parts.graph)
        return quick if _feature_if_same(expected, quick, example) is not None else parts
    except Exception:  # modules that cannot be fused or rewritten, each in its own way: the plain body is there
        return parts


def cut(root: nn.Module, graph: fx.Graph, node: fx.Node) -> Split:
    """Cut a graph behind `node`: what depends on it makes the tail, all the rest the body.

    The tail works on copies, so that operators that overwrite their input leave the caller's values alone.
    """
    after = _dependents(graph, [node])
    fixed = _fixed(graph, node, after)
    crossing = _crossing(graph, node, after | fixed)
    body = fx.GraphModule(root, _body(graph, node, crossing, after))
    tail = fx.GraphModule(root, _tail(graph, [node, *crossing], after | fixed))
    # Not through `__call__`: fx writes pages to stderr where a step fails.
    return Split(body.forward, tail.forward, tail, body)


def _body(graph: fx.Graph, node: fx.Node, crossing: list[fx.Node], after: set[fx.Node]) -> fx.Graph:
    body = fx.Graph()
    made: dict[fx.Node, fx.Node] = {}
    for step in graph.nodes:
        if step not in after and step.op != "output":
            made[step] = body.node_copy(step, made.__getitem__)
    body.output((made[node], tuple(made[value] for value in crossing)))
    return body


def _tail(graph: fx.Graph, inputs: list[fx.Node], after: set[fx.Node]) -> fx.Graph:
    tail = fx.Graph()
    made = {value: tail.placeholder(value.name) for value in inputs}
    for value in inputs:
        made[value].meta.update(value.meta)
    for value in inputs:
        if SHAPE in value.meta:
            made[value] = tail.call_method("clone", (made[value],))
            made[value].meta.update(value.meta)
    for step in graph.nodes:
        if step.op in ("get_attr", "output") or step in after:
            made[step] = tail.node_copy(step, made.__getitem__)
    return tail


def _dependents(graph: fx.Graph, roots: Sequence[fx.Node]) -> set[fx.Node]:
    found: set[fx.Node] = set()
    for step in graph.nodes:
        if any(value in roots or value in found for value in step.all_input_nodes) and step.op != "output":
            found.add(step)
    return found


def _fixed(graph: fx.Graph, node: fx.Node, after: set[fx.Node]) -> set[fx.Node]:
    """Return the steps that the tail needs and that no image reaches: it takes them itself, from the parameters.

    Among the values that cross they could be taken for one entry an image, where their length is that of the batch.
    """
    images = [step for step in graph.nodes if step.op == "placeholder"]
    moved = _dependents(graph, images) | set(images)
    needed: set[fx.Node] = set()
    for step in reversed(graph.nodes):
        if step in after or step in needed or step.op == "output":
            needed |= {v for v in step.all_input_nodes if v not in moved and v is not node and v.op != "get_attr"}
    return needed


def _crossing(graph: fx.Graph, node: fx.Node, after: set[fx.Node]) -> list[fx.Node]:
    """Return the values made before the cut and needed behind it, parameters aside: those both parts can reach."""
    needed: dict[fx.Node, None] = {}
    for step in graph.nodes:
        if step in after or step.op == "output":
            needed |= dict.fromkeys(step.all_input_nodes)
    return [value for value in needed if value is not node and value not in after and value.op != "get_attr"]


@torch.no_grad()
def _logits(model: nn.Module, example: Tensor) -> Any:
    return model(example.clone())


@torch.no_grad()
def _feature_if_same(expected: Any, parts: Split, example: Tensor) -> Tensor | None:
    """Return the feature maps of the example, if the parts give the logits that the whole gives."""
    feature, others = parts.body(example.clone())
    return feature if same(expected, parts.tail(feature, *others)) else None


def probe_of(images: Tensor) -> Tensor:
    """Return the first of some images and one of normal noise: what is checked on black images alone holds for any."""
    noise = torch.randn(images[:1].shape, generator=torch.Generator().manual_seed(0))
    return torch.cat([images[:1], noise.to(images)])


def same(expected: Any, found: Any) -> bool:
    """Whether two outputs are one, but for rounding."""
    if not isinstance(expected, Tensor) or not isinstance(found, Tensor):
        return type(expected) is type(found)
    scale = float(expected.abs().max()) if expected.isfinite().all() else 0.0
    tolerance = LOGIT_TOLERANCE * max(1.0, scale)
    return torch.allclose(expected.float(), found.float(), rtol=0.0, atol=tolerance, equal_nan=True)


def _traced(model: nn.Module, example: Tensor, target_layer: str | None) -> tuple[Trace | None, str]:
    """Return the graph that fx sees, or else the one torch.export sees; None where neither has the target layer."""
    try:
        traced = trace(model, example)
    except Exception as error:  # a forward run on stand-ins can raise anything at all
        why = f"its forward cannot be traced: {reason(error)}"
    else:
        inside = _enclosing(traced, target_layer)
        if inside is None:
            return traced, ""
        why = f"{inside} cannot be traced: {traced.opaque[inside]}"
    try:
        again = exported(model, example)
    except Exception:  # torch.export can raise anything at all; fx's reason is the shorter one
        return None, why
    unseen = target_layer in dict(model.named_modules()) and target_layer not in again.outputs
    return (None if unseen else again), why


def _enclosing(traced: Trace, target_layer: str | None) -> str | None:
    """Return the untraceable module that the target layer lies inside of, if any."""
    return next((name for name in traced.opaque if target_layer and target_layer.startswith(name + ".")), None)


def _by_hooks(model: nn.Module, example: Tensor, target_layer: str | None, why: str) -> tuple[Target, Tensor]:
    name = target_layer or default_module(model, example)
    modules = dict(model.named_modules())
    if name not in modules:
        raise unknown_layer(model, name, [known for known in modules if known])
    hooked = _Hooked(model, modules[name])
    feature, _ = hooked.body(example)
    if not isinstance(feature, Tensor) or feature.ndim != 4:
        raise unknown_layer(model, name, [known for known in modules if known])
    warning = (
        f"heatmaps are slow: {type(model).__name__} cannot be cut at {name!r} ({why}), "
        "so the whole network runs for every ablated channel"
    )
    return Target(name, Split(hooked.body, hooked.tail), [warning]), feature


class _Hooked:
    """Both parts of a network that cannot be traced: the whole of it, with a hook on the target layer's last call."""

    def __init__(self, model: nn.Module, layer: nn.Module) -> None:
        self.model, self.layer = model, layer
        self.calls = 0

    def body(self, inputs: Tensor) -> tuple[Tensor, Values]:
        """Return the layer's output and, as the only other value, the inputs."""
        given: list[Any] = []
        self._run(inputs, lambda output: given.append(output.clone() if isinstance(output, Tensor) else output))
        self.calls = len(given)
        if not given:
            raise ModelError(f"the target layer ({type(self.layer).__name__}) is never called on these images")
        return given[-1], (inputs,)

    def tail(self, feature: Tensor, inputs: Tensor) -> Tensor:
        """Return the logits of `inputs` with the layer's output replaced."""
        calls = itertools.count(1)
        made = []

        def replace(_output: Any) -> Any:
            made.append(next(calls))
            return feature.clone() if made[-1] == self.calls else None

        logits = self._run(inputs, replace)
        if len(made) != self.calls:
            raise ModelError(
                f"the target layer ({type(self.layer).__name__}) is called {len(made)} times on a changed feature map, "
                f"{self.calls} times before: name a layer that is called once"
            )
        return logits

    def _run(self, inputs: Tensor, replace: Callable[[Any], Any]) -> Any:
        handle = self.layer.register_forward_hook(lambda module, arguments, output: replace(output))
        try:
            return self.model(inputs.clone())
        finally:
            handle.remove()
