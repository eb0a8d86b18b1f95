"""The graph of what a network computes, in which every value has a name and a shape.

- The output of a module has the module's name: `layer4`, `features.27`. Of several calls, the last one counts.
- The output of a function is named after its input, `+` and the function: `features.norm5+relu` is `F.relu` applied to
  the output of `features.norm5`.
- A convolution or norm called as a function is named after the module of its weight, or, if the weight belongs to the
  network itself, as `weight3+conv2d`.
- If no module is near, the place in the code follows: `weight3+conv2d+relu (net.py:42 in forward)`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

import torch
from attrs import field, frozen
from torch import Tensor, fx, nn

from edgecheck.errors import ModelError
from edgecheck.lab.cam.preserved import unchanged_attributes
from edgecheck.lab.user_traceback import place_in_stack
from edgecheck.text import error_line

_CONSTANT = "_tensor_constant"  # what fx calls them
SHAPE = "shape"  # the key in fx's free-form node.meta under which a tensor's shape is kept
PLACE = " ("  # what separates a name from the place in the code
_WEIGHTED = ("conv2d", "linear", "batch_norm", "group_norm", "layer_norm")
_NAMES_SHOWN = 8  # in an error line: enough to find the slip, few enough to read


@frozen(eq=False)
class Trace:
    """A traced network.

    Attributes:
        model: the network.
        graph: its graph, with a shape in the `meta` of every step that gives a tensor.
        outputs: module name -> the step that gives its output.
        labels: step -> the name made for it.
        opaque: modules that could not be traced into, with the reason; each is one step of the graph.
    """

    model: nn.Module
    graph: fx.Graph
    outputs: dict[str, fx.Node]
    labels: dict[fx.Node, str]
    opaque: dict[str, str] = field(factory=dict)

    def name(self, node: fx.Node) -> str:
        """Return the outermost module whose output is `node`, or another name that `find` resolves to it."""
        modules = [name for name, output in self.outputs.items() if output is node]
        if modules:
            return min(modules, key=lambda name: (name.count("."), len(name)))
        label = self.labels[node]
        name = label if self._named().get(label) is node and not label.startswith(self._images()) else node.name
        place = "" if self._near_module(label) else place_in_stack(node.stack_trace or "")
        return f"{name}{PLACE}{place})" if place else name

    def _images(self) -> tuple[str, ...]:
        """Return the prefixes of the names of values that functions alone make from the images."""
        return tuple(f"{node.target}+" for node in self.graph.nodes if node.op == "placeholder")

    def _near_module(self, label: str) -> bool:
        return label.partition("+")[0] in dict(self.model.named_modules())

    def find(self, name: str) -> fx.Node:
        """Return the value called `name`, the last one if there are several; the node names of fx work too.

        Raises:
            ModelError: no feature map has this name; the message lists the nearest names of feature maps.
        """
        named, name = self._named(), name.partition(PLACE)[0]
        if name not in named or not is_map(named[name]):
            raise unknown_layer(self.model, name, [known for known, node in named.items() if is_map(node)])
        return named[name]

    def _named(self) -> dict[str, fx.Node]:
        """Return all values by all their names; modules take precedence, then later values."""
        named = {node.name: node for node in self.graph.nodes}
        return named | {label: node for node, label in self.labels.items()} | self.outputs


def trace(model: nn.Module, example: Tensor) -> Trace:
    """Trace a model in eval mode and record the shapes that one `example` batch `(N, C, H, W)` takes.

    Raises:
        Exception: whatever the model's own `forward` raises when it is run on proxies (for example, it branches on
            values); inner modules that raise are kept whole instead.
    """
    tracer = _Tracer()
    with unchanged_attributes(model):
        graph = tracer.trace(model)
        constants = {name: value for name, value in vars(model).items() if name.startswith(_CONSTANT)}
    # The graph refers to constants as attributes of the model; `as_found` removes them in the end.
    for name, value in constants.items():
        setattr(model, name, value)
    Shapes(fx.GraphModule(model, graph)).run(example)
    return Trace(model, graph, tracer.outputs, labels(graph), tracer.opaque)


def module_of(node: fx.Node, model: nn.Module) -> nn.Module | None:
    """Return the module that a node calls, None where it calls a function."""
    return model.get_submodule(str(node.target)) if node.op == "call_module" else None


def function_name(node: fx.Node) -> str:
    """Return the name of the function that a node calls: `relu` for F.relu, torch.relu, x.relu(), aten.relu.default."""
    return str(getattr(node.target, "__name__", node.target)).partition(".")[0]


def is_map(node: fx.Node) -> bool:
    """Return whether a value is a batch of feature maps `(N, K, h, w)`."""
    return len(node.meta.get(SHAPE, ())) == 4


def unknown_layer(model: nn.Module, name: str, known: list[str]) -> ModelError:
    """Return the error for a layer name that does not exist or gives no feature map."""
    close = difflib.get_close_matches(name, known, n=_NAMES_SHOWN, cutoff=0.0)
    what = "gives no feature map (N, K, h, w)" if name in dict(model.named_modules()) else "does not exist"
    return ModelError(f"target layer {name!r} of {type(model).__name__} {what}; nearest that do: {', '.join(close)}")


class _Tracer(fx.Tracer):
    """Traces into every module it can, keeps the others whole, and notes which value is the output of each module."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs: dict[str, fx.Node] = {}
        self.opaque: dict[str, str] = {}

    def create_proxy(self, kind: str, *arguments: Any, **options: Any) -> fx.Proxy:
        """Record one step; its place in the code only where it is no module, since places take most of the time."""
        self.record_stack_traces = kind in ("call_function", "call_method")
        return super().create_proxy(kind, *arguments, **options)

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        name = self.path_of_module(m)
        before, depth = len(self.graph.nodes), len(self.module_stack)
        try:
            result = super().call_module(m, forward, args, kwargs)
        except Exception as error:  # a forward run on stand-ins can raise anything at all
            self._forget(before, depth)
            self.opaque[name] = error_line(error)
            result = self.create_proxy("call_module", name, args, kwargs)
        if isinstance(result, fx.Proxy):
            self.outputs[name] = result.node
        return result

    def _forget(self, nodes: int, depth: int) -> None:
        """Remove the steps that a failed trace into a module has left behind."""
        gone = list(self.graph.nodes)[nodes:]
        for node in reversed(gone):
            self.graph.erase_node(node)
        self.outputs = {name: node for name, node in self.outputs.items() if node not in gone}
        while len(self.module_stack) > depth:
            self.module_stack.popitem(last=True)


class Shapes(fx.Interpreter):
    """Runs a graph and records the shape of each tensor on its node."""

    def run_node(self, n: fx.Node) -> Any:
        """Run one step; called by `run`."""
        result = super().run_node(n)
        if isinstance(result, Tensor):
            n.meta[SHAPE] = tuple(result.shape)
        return result

    @torch.no_grad()
    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Run all steps on the graph's inputs."""
        return super().run(*args, **kwargs)


def labels(graph: fx.Graph) -> dict[fx.Node, str]:
    """Return the name made for every value, see the module's docstring."""
    made: dict[fx.Node, str] = {}
    for node in graph.nodes:
        if node.op in ("call_function", "call_method") and node.all_input_nodes:
            made[node] = _by_weight(node) or f"{made[node.all_input_nodes[0]]}+{function_name(node)}"
        else:
            made[node] = str(node.target)
    return made


def _by_weight(node: fx.Node) -> str:
    """Return the name of a function with a weight: its module's, or the weight's and its own; "" without a weight."""
    weights = [str(value.target) for value in node.all_input_nodes if value.op == "get_attr"]
    if function_name(node) not in _WEIGHTED or not weights:
        return ""
    module, _, weight = weights[0].rpartition(".")
    return module if module and weight == "weight" else f"{weights[0]}+{function_name(node)}"
