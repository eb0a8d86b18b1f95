"""Find what of a network can be pruned alone: its layers, or its dependency groups."""

from __future__ import annotations

import copy
from typing import Any

from attrs import frozen

from edgecheck import versions
from edgecheck.pipeline.stage import Desk, Stage
from edgecheck.pipeline.subject import Network, Shape, example
from edgecheck.pruning.checks import UnprunableError
from edgecheck.pruning.criteria import Ranked
from edgecheck.records import Diagnostic


@frozen
class PrunableGroup:
    """A layer by its name, and the others that lose filters with it."""

    name: str
    coupled: list[str]


@frozen
class Prunable:
    """The groups in the order of the network, and why other layers cannot be pruned."""

    groups: list[PrunableGroup]
    notes: list[Diagnostic]


@frozen
class FindGroups(Stage[Prunable]):
    """List the groups whose filters can be removed, or the layers whose weights can."""

    kind = "groups"
    tools = versions.TRAINING
    outputs = Prunable

    network: Network
    ranked: Ranked
    shape: Shape

    @property
    def name(self) -> str:
        """Kind, and what is pruned."""
        return f"{self.kind}-{self.ranked}"

    def compute(self, desk: Desk) -> Prunable:
        """Find them.

        Raises:
            ModelError: there are none, or the network cannot be traced.
        """
        model = self.network.build()
        found = _weights(model) if self.ranked == "weights" else _filters(model, self.shape)
        places = {name: place for place, (name, _) in enumerate(model.named_modules())}
        return Prunable(sorted(found.groups, key=lambda group: places.get(group.name, len(places))), found.notes)


def _weights(model: Any) -> Prunable:
    from edgecheck.lab.prune.layers import prunable_weights
    from edgecheck.lab.prune.own_rates import layer_of

    return Prunable([PrunableGroup(layer_of(name), []) for name in prunable_weights(model)], [])


def _filters(model: Any, shape: Shape) -> Prunable:
    from edgecheck.lab.prune.dependency_groups import find_groups

    groups, notes = find_groups(copy.deepcopy(model), example(shape))
    if not groups:
        raise UnprunableError(
            f"no filters of {type(model).__name__} can be removed; use the structure unstructured", notes
        )
    coupled = [[name for name in group.layers if name != group.root] for group in groups]
    return Prunable([PrunableGroup(group.root, others) for group, others in zip(groups, coupled, strict=True)], notes)
