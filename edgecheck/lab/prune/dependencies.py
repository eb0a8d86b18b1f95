"""torch-pruning's dependency graph, also for networks with operators whose channels it cannot follow.

torch-pruning fails on a whole network at the first split, reshape or concatenation that it cannot map: ShuffleNet
shuffles channels between its blocks. Here only the layers that such an operator touches are lost. The rest of the
network can be pruned.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterable
from typing import Any

import torch
import torch_pruning
from attrs import field, frozen
from torch import Tensor, nn
from torch_pruning import ops
from torch_pruning.dependency import index_mapping

from edgecheck.errors import ModelError
from edgecheck.lab.prune import option_a
from edgecheck.lab.prune.untraceable import NAMED, operator_at, suspects
from edgecheck.lab.user_traceback import output_of, place_of
from edgecheck.records import Diagnostic

_MAPPED_DIMENSIONS = 4  # (N, C, H, W): what torch-pruning can reshape


@frozen(eq=False)
class Dependencies:
    """The graph, and the operators that it cannot follow channels through, by node: `View at net.py:31 in forward`."""

    graph: torch_pruning.DependencyGraph
    unmapped: dict[Any, str] = field(factory=dict)

    def group(self, root: Any, channels: list[int]) -> tuple[torch_pruning.Group | None, Diagnostic | None]:
        """Return all that depends on these filters of a layer, and why that is not known, or None where it is."""
        rule = self.graph.get_pruner_of_module(root).prune_out_channels
        try:
            group = self.graph.get_pruning_group(root, rule, channels)
        except Exception as error:  # wrongly mapped channels can raise anything
            untraced = Diagnostic("filters-not-traced", {"error": place_of(error)})
            return None, self._unmapped_among(self.unmapped) or untraced
        return group, self._unmapped_among(item.dep.target for item in group.items)

    def _unmapped_among(self, nodes: Iterable[Any]) -> Diagnostic | None:
        operators = list(dict.fromkeys(self.unmapped[node] for node in nodes if node in self.unmapped))
        return Diagnostic("filters-behind-operator", {"operators": operators[:NAMED]}) if operators else None


def dependencies(model: nn.Module, example: Tensor) -> Dependencies:
    """Trace a model. The model is changed (gradients switched on, hooks): pass a copy.

    Raises:
        ModelError: the model cannot run on the example, or torch-pruning cannot trace it.
    """
    model.eval().requires_grad_(True)
    _check_output(model, example)
    graph = torch_pruning.DependencyGraph()
    try:
        _build(graph, model, example)
        mapped = not any(map(_regroups, graph.module2node.values()))
        failure = None
    except Exception as error:  # torch-pruning checks nothing: an unexpected operator may raise anything
        mapped, failure = False, error
    unmapped = {}
    if not mapped:
        graph = torch_pruning.DependencyGraph()
        unmapped = _built_in_part(graph, model, example)
    if failure and not unmapped:
        operators = suspects(model, example)
        raise ModelError(
            f"torch-pruning cannot trace {type(model).__name__} ({place_of(failure)})"
            f"{f', perhaps because of {operators}' if operators else ''}; use the structure unstructured"
        ) from failure
    option_a.map_channels(graph)
    return Dependencies(graph, unmapped)


def _build(graph: torch_pruning.DependencyGraph, model: nn.Module, example: Tensor) -> None:
    with torch.enable_grad():
        graph.build_dependency(
            model,
            example,
            # The sum gives the output a node of its own, which tells the layers that feed it.
            output_transform=lambda out: out + 0,
            customized_pruners=option_a.rules(model, example),
            verbose=False,
        )


def _built_in_part(graph: torch_pruning.DependencyGraph, model: nn.Module, example: Tensor) -> dict[Any, str]:
    """Build a graph with as many mappings as there are; return the operators without a mapping by their node."""
    # Anomaly detection keeps the stack of each operator. An exception is expected: the loop below finds its cause.
    with torch.autograd.set_detect_anomaly(True, check_nan=False), contextlib.suppress(Exception):
        _build(graph, model, example)
    unmapped = {}
    for module, node in getattr(graph, "module2node", {}).items():
        alone = copy.copy(graph)
        alone.module2node = {module: node}
        try:
            index_mapping.update_index_mapping(alone)
            if not _regroups(node):
                continue
        except Exception:  # any operator may fail in its own way
            node.type = ops.OPTYPE.ELEMENTWISE  # so that no mapping is computed for it again
        node.dependencies.clear()  # a group ends here: beyond this operator it would hold wrong channels
        unmapped[node] = operator_at(node.grad_fn)
    return unmapped


def _regroups(node: Any) -> bool:
    """Return whether an operator reshapes five or more dimensions, as a channel shuffle does at its end."""
    sizes = getattr(node.grad_fn, "_saved_self_sym_sizes", ())
    return node.type == ops.OPTYPE.RESHAPE and len(sizes) > _MAPPED_DIMENSIONS


def _check_output(model: nn.Module, example: Tensor) -> None:
    with torch.enable_grad():
        out = output_of(model, example)
    if not isinstance(out, Tensor) or out.grad_fn is None:
        raise ModelError(
            f"{type(model).__name__} cannot be traced: forward must return one tensor that depends on its parameters, "
            f"made without no_grad or detach, not {type(out).__name__}"
        )
