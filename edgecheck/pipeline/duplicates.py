"""Finds variants with equal content: the first one is made, and the others are named in a note on it."""

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
    """A variant that is made, and the names of variants equal to it.

    `source` is the folder of its network before steps on the file, which other variants may share; `state` is the
    result of its first pruning step, or its error.
    """

    spec: VariantSpec
    source: str
    state: Outcome
    repeated: list[str] = field(factory=list)


def grouped(outcomes: Sequence[tuple[VariantSpec, Outcome]]) -> list[Group]:
    """Return one group per distinct content, in the order of their first variants."""
    groups: dict[Hashable, Group] = {}
    sources: dict[Hashable, str] = {}
    for spec, state in outcomes:
        name = spec.name if isinstance(state, EdgecheckError) else None  # a failed variant equals no other one
        network = name or _content(state, spec.on_network)
        source = sources.setdefault(network, spec.network)
        group = groups.setdefault((network, _content(None, spec.on_file)), Group(spec, source, state))
        if group.spec is not spec:
            group.repeated.append(spec.name)
    return list(groups.values())


def _content(state: Outcome | None, steps: Sequence[Step]) -> str:
    """Return a key of the content of a network, or of a file and the steps on it.

    The result of the first pruning step represents that step. Later pruning steps rank again, so they are part of the
    key.
    """
    done = isinstance(state, State) and state.file is not None
    left = state.file.sha256 if isinstance(state, State) and state.file else None
    return digest({"left": left, "steps": keyed(list(steps[1:] if done else steps))})
