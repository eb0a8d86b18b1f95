"""The graph of a network by `torch.export`, for networks whose Python fx cannot follow.

fx passes proxies to `forward`, and a branch on the shape of a proxy fails. `torch.export` runs `forward` on one example
and knows the shapes, so it can follow `if x.shape[-1] > 64`, `*args` and loops over sizes. Neither can follow a branch
on values.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, fx, nn

from edgecheck.lab.cam.trace import SHAPE, Shapes, Trace, labels
from edgecheck.lab.chatter import quiet

# The graph is exported with two images. These sizes show whether the Python treats one image, or more, differently.
BATCHES_TRIED = (1, 3)
TOLERANCE = 1e-4  # relative, between two runs of the same operators

Fingerprint = tuple[tuple[int, ...], float, float]
"""Shape, sum and sum of magnitudes: enough to tell values apart without keeping them."""


def exported(model: nn.Module, example: Tensor) -> Trace:
    """Return the graph of a model in eval mode, for batches of any length.

    All steps are functions; parameters keep their names. A module whose output is not a step of the graph (it returns
    its input) is missing in `outputs`.

    Args:
        model: the network.
        example: images `(N, C, H, W)`.

    Raises:
        Exception: whatever torch.export raises where it cannot follow the model either.
        ValueError: the graph does not give the model's logits for every batch, or holds constants that are not the
            model's.
    """
    images = torch.cat([example, example, example])
    sizes = torch.export.ShapesCollection()
    pair = images[:2].clone()
    sizes[pair] = {0: torch.export.Dim("images")}  # a named one: a graph for some lengths only is refused
    with quiet():
        free = sizes.dynamic_shapes(model, (pair,))
        graph = torch.export.export(model, (pair,), dynamic_shapes=free, strict=False).module().graph
    _plain(graph)
    _measure_batch_in_place(graph)
    missing = [str(n.target) for n in graph.nodes if n.op == "get_attr" and not _has(model, str(n.target))]
    if missing:
        raise ValueError(f"its graph holds constants: {', '.join(missing)}")
    whole = fx.GraphModule(model, graph)
    for length in BATCHES_TRIED:
        _compare(model, whole, images[:length])
    return Trace(model, graph, _outputs(model, whole, pair), labels(graph))


def _plain(graph: fx.Graph) -> None:
    """Turn the graph into one as fx gives: images in, logits out, without the packing and checks of torch.export."""
    graph.set_codegen(fx.graph.CodeGen())
    output = graph.output_node()
    output.args = tuple(output.all_input_nodes)
    for node in graph.nodes:
        if node.op == "call_module" and not node.users:
            graph.erase_node(node)


def _measure_batch_in_place(graph: fx.Graph) -> None:
    """Take the length of the batch from the value it is used with instead of the images, which a tail does not have."""
    for size in graph.find_nodes(op="call_function", target=torch.ops.aten.sym_size.int):
        for user in list(size.users):
            beside = next((value for value in user.all_input_nodes if _is_as_long(value, size)), None)
            if beside is not None:
                with graph.inserting_before(user):
                    length = graph.call_function(torch.ops.aten.sym_size.int, (beside, 0))
                length.meta.update(size.meta)
                user.replace_input_with(size, length)


def _is_as_long(value: fx.Node, size: fx.Node) -> bool:
    """Return whether a value has as many rows as `size` says, for every batch."""
    given = value.meta.get("val")
    return isinstance(given, Tensor) and given.ndim > 0 and str(given.shape[0]) == str(size.meta["val"])


def _has(model: nn.Module, name: str) -> bool:
    return name in dict(model.named_parameters(remove_duplicate=False)) | dict(
        model.named_buffers(remove_duplicate=False)
    )


@torch.no_grad()
def _compare(model: nn.Module, whole: fx.GraphModule, images: Tensor) -> None:
    expected, actual = model(images.clone()), whole(images.clone())
    scale = max(1.0, float(expected.abs().max()))
    if not torch.allclose(expected, actual, rtol=0.0, atol=TOLERANCE * scale):
        raise ValueError(f"its exported graph gives other logits on {len(images)} images")


def _outputs(model: nn.Module, whole: fx.GraphModule, images: Tensor) -> dict[str, fx.Node]:
    """Return for each module the step that gives the output of its last call, and record shapes on all steps."""
    recorded = _Fingerprints(whole)
    recorded.run(images.clone())
    outputs = {}
    for name, given in _given(model, images).items():
        for node in reversed(recorded.of):
            if name in _modules_around(node) and _alike(recorded.of[node], given):
                outputs[name] = node
                break
    return outputs


def _modules_around(node: fx.Node) -> list[str]:
    return [path for path, _ in node.meta.get("nn_module_stack", {}).values()]


class _Fingerprints(Shapes):
    """Runs a graph, records the shape of each step except parameters, and keeps a fingerprint of each value."""

    def __init__(self, whole: fx.GraphModule) -> None:
        super().__init__(whole)
        self.of: dict[fx.Node, Fingerprint] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if n.op == "get_attr":
            n.meta.pop(SHAPE, None)  # a convolution's weight has four dimensions but is not a feature map
        elif isinstance(result, Tensor):
            self.of[n] = _fingerprint(result)
        return result


@torch.no_grad()
def _given(model: nn.Module, images: Tensor) -> dict[str, Fingerprint]:
    """Return the fingerprint of the output of each module's last call."""
    given: dict[str, Fingerprint] = {}

    def note(name: str, output: Any) -> None:
        if isinstance(output, Tensor):
            given[name] = _fingerprint(output)

    handles = [
        module.register_forward_hook(lambda module, _, output, name=name: note(name, output))
        for name, module in model.named_modules()
        if name
    ]
    try:
        model(images.clone())
    finally:
        for handle in handles:
            handle.remove()
    return given


def _fingerprint(value: Tensor) -> Fingerprint:
    numbers = value.detach().double()
    return tuple(value.shape), float(numbers.sum()), float(numbers.abs().sum())


def _alike(one: Fingerprint, other: Fingerprint) -> bool:
    close = max(one[2], other[2], 1e-12) * 1e-5
    return one[0] == other[0] and all(
        math.isclose(a, b, abs_tol=close) for a, b in zip(one[1:], other[1:], strict=True)
    )
