"""Variants that come out the same are one variant: the first of them is made, and the others are named beside it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from attrs import field, frozen

from edgecheck.config.plan import VariantSpec
from edgecheck.errors import EdgecheckError
from edgecheck.hashing import digest
from edgecheck.pipeline.making import State
from edgecheck.pipeline.stage import keyed
from edgecheck.steps import Step

Outcome = State | EdgecheckError


@frozen(eq=False)
class Group:
    """A variant that is made, and the names of those that would be the same.

    `source` is the folder of its network before steps on the file, which other variants may share; `state` is what its
    first pruning step left, or why there is nothing.
    """

    spec: VariantSpec
    source: str
    state: Outcome
    repeated: list[str] = field(factory=list)


def merge(outcomes: Sequence[tuple[VariantSpec, Outcome]]) -> list[Group]:
    """Return one group for all variants with the same content, in the order of the first of each."""
    groups: dict[Hashable, Group] = {}
    sources: dict[Hashable, str] = {}
    for spec, state in outcomes:
        name = spec.name if isinstance(state, EdgecheckError) else None  # what failed is like nothing else
        network = name or _content(state, spec.on_network)
        source = sources.setdefault(network, spec.network)
        group = groups.setdefault((network, _content(None, spec.on_file)), Group(spec, source, state))
        if group.spec is not spec:
            group.repeated.append(spec.name)
    return list(groups.values())


def _content(state: Outcome | None, steps: Sequence[Step]) -> str:
    """Return what tells a network, or what is done to its file, from others.

    A first pruning step has been carried out, so what it left stands for it; not, however, for pruning that follows:
    that ranks again.
    """
    done = isinstance(state, State) and state.file is not None
    left = state.file.sha256 if isinstance(state, State) and state.file else None
    return digest({"left": left, "steps": keyed(list(steps[1:] if done else steps))})
