"""Split a network at its target layer into the body before it and the tail behind it.

Where the network can be traced, the tail holds only the operators behind the target layer. Otherwise hooks run the
whole network for either part, and a warning says so.
"""

from __future__ import annotations

from typing import Any

import torch
from attrs import field, frozen
from torch import Tensor, nn

from edgecheck.errors import ModelError
from edgecheck.lab.cam.cut import Split, Values, cut
from edgecheck.lab.cam.exported import exported
from edgecheck.lab.cam.fold import Folded
from edgecheck.lab.cam.hooks import Hooked
from edgecheck.lab.cam.probing import same
from edgecheck.lab.cam.target import default_module, default_node
from edgecheck.lab.cam.trace import Trace, trace, unknown_layer
from edgecheck.records import Diagnostic
from edgecheck.text import error_line


@frozen(eq=False)
class Target:
    """A network split at its target layer.

    Attributes:
        name: the name of that layer.
        split: the two parts.
        passed: what the body gave for the example: its feature maps, and the values that bypass the layer.
        warnings: about the split.
    """

    name: str
    split: Split
    passed: tuple[Tensor, Values]
    warnings: list[Diagnostic] = field(factory=list)


def split(model: nn.Module, example: Tensor, target_layer: str | None = None, logits: Tensor | None = None) -> Target:
    """Split a model in eval mode at `target_layer`, or at the default one.

    Args:
        model: the network.
        example: two images `(2, C, H, W)` that the parts are checked on.
        target_layer: a name as in `edgecheck.lab.cam.trace`.
        logits: those of the example, if they are known already.

    Raises:
        ModelError: no such layer, no default one, or one that does not give each image a feature map of real numbers.
    """
    target = _split_at(model, example, target_layer, logits)
    feature = target.passed[0]
    if len(feature) != len(example):
        raise ModelError(
            f"target layer {target.name!r} of {type(model).__name__} gives {len(feature)} feature maps for "
            f"{len(example)} images (at its last call): name a layer that sees each image once, all at a time"
        )
    if not feature.is_floating_point():
        raise ModelError(
            f"target layer {target.name!r} of {type(model).__name__} gives {feature.dtype}, not real numbers"
        )
    return target


def _split_at(model: nn.Module, example: Tensor, target_layer: str | None, logits: Tensor | None) -> Target:
    traced, why = _traced(model, example, target_layer)
    if traced is None:
        return _by_hooks(model, example, target_layer, why)
    node = traced.find(target_layer) if target_layer else default_node(traced)
    name = target_layer or traced.name(node)
    parts, expected = cut(traced.model, traced.graph, node), _logits(model, example) if logits is None else logits
    target = _folded(name, parts, example, expected) or _if_same(name, parts, example, expected)
    if target is None:
        module = name if name in dict(model.named_modules()) else target_layer
        return _by_hooks(model, example, module, "its two parts give other logits than the whole")
    return target


def _folded(name: str, parts: Split, example: Tensor, expected: Any) -> Target | None:
    """Return the parts with a faster body, if that gives the same logits (a layer called twice cannot be folded)."""
    if parts.body_graph is None:
        return None
    try:
        return _if_same(name, Split(Folded(parts.body_graph), parts.tail, parts.graph), example, expected)
    except Exception:  # modules that cannot be fused or rewritten, each in its own way: the plain body remains
        return None


@torch.no_grad()
def _logits(model: nn.Module, example: Tensor) -> Any:
    return model(example.clone())


@torch.no_grad()
def _if_same(name: str, parts: Split, example: Tensor, expected: Any) -> Target | None:
    """Return the parts, if they give the logits that the whole gives for the example."""
    feature, others = parts.body(example.clone())
    return Target(name, parts, (feature, others)) if same(expected, parts.tail(feature, *others)) else None


def _traced(model: nn.Module, example: Tensor, target_layer: str | None) -> tuple[Trace | None, str]:
    """Return the graph by fx, or else by torch.export; None, with the reason, where neither has the target layer."""
    try:
        traced = trace(model, example)
    except Exception as error:  # a forward run on proxies can raise anything at all
        why = f"its forward cannot be traced: {error_line(error)}"
    else:
        inside = _enclosing(traced, target_layer)
        if inside is None:
            return traced, ""
        why = f"{inside} cannot be traced: {traced.opaque[inside]}"
    try:
        program = exported(model, example)
    except Exception:  # torch.export can raise anything at all; the reason that fx gave is the shorter one
        return None, why
    unseen = target_layer in dict(model.named_modules()) and target_layer not in program.outputs
    return (None if unseen else program), why


def _enclosing(traced: Trace, target_layer: str | None) -> str | None:
    """Return the untraceable module that contains the target layer, if any."""
    return next((name for name in traced.opaque if target_layer and target_layer.startswith(name + ".")), None)


def _by_hooks(model: nn.Module, example: Tensor, target_layer: str | None, why: str) -> Target:
    name = target_layer or default_module(model, example)
    modules = dict(model.named_modules())
    if name not in modules:
        raise unknown_layer(model, name, [known for known in modules if known])
    hooked = Hooked(model, modules[name])
    feature, others = hooked.body(example)
    if not isinstance(feature, Tensor) or feature.ndim != 4:
        raise unknown_layer(model, name, [known for known in modules if known])
    warning = Diagnostic("heatmaps-uncut", {"network": type(model).__name__, "layer": name, "reason": why})
    return Target(name, Split(hooked.body, hooked.tail), (feature, others), [warning])
