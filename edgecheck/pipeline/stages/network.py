"""The base of stages that change a network, and the records that they pass on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from edgecheck import versions
from edgecheck.artefact import Artefact
from edgecheck.atomic import atomic
from edgecheck.pipeline.stage import Desk, Stage
from edgecheck.pipeline.stages.baseline import WEIGHTS
from edgecheck.pipeline.subject import Network, Seen, Shape, example
from edgecheck.records import Diagnostic

if TYPE_CHECKING:
    from torch import nn

    from edgecheck.lab.prune import Compressed


@frozen
class Changed:
    """A network after a step.

    `effective_rate` is the share of the prunable part removed so far, None before any pruning; `cuts` are the channels
    removed so far, by module and side; `losses` are those of the epochs, in nats per image; `seen` lists the training
    images that a criterion used.
    """

    parameters: int
    effective_rate: float | None
    cuts: dict[str, list[int]]
    notes: list[Diagnostic] = field(factory=list)
    losses: list[float] = field(factory=list)
    seen: Seen | None = None


@frozen
class Before:
    """The input of a step on the network.

    `network` is the baseline, and `state` the result of the previous step, None for the first step. `place` counts the
    steps of a variant from 0. The `last` step writes plain weights, the others everything that the next step needs.
    """

    network: Network
    state: Artefact | None
    shape: Shape
    place: int
    last: bool


@frozen
class NetworkStage(Stage[Changed]):
    """Base of the stages that change a network."""

    tools = versions.TRAINING
    outputs = Changed

    before: Before

    @property
    def name(self) -> str:
        """Kind and position, since a variant may have several steps of a kind."""
        return f"{self.kind}-{self.before.place}"

    @property
    def files(self) -> tuple[str, ...]:
        """The weights, or the state between two steps."""
        return (WEIGHTS if self.before.last else f"state-{self.before.place}.safetensors",)

    def load(self) -> tuple[nn.Module, Compressed]:
        """Return the baseline, and the result of the previous step.

        Raises:
            ModelError: the baseline cannot be built.
        """
        baseline = self.before.network.build()
        from edgecheck.lab import prune

        if self.before.state is None:
            return baseline, prune.uncompressed(baseline)
        return baseline, prune.load_state(self.before.state.path, baseline, example(self.before.shape))

    def save(self, state: Compressed, desk: Desk) -> Changed:
        """Write the result of the step, and return its description."""
        from edgecheck.lab import prune
        from edgecheck.lab.weights import save_weights

        with atomic(desk.folder / self.files[0]) as temporary:
            if self.before.last:
                save_weights(state.model, temporary)
            else:
                prune.save_state(state, temporary)
        return Changed(
            parameters=sum(one.numel() for one in state.model.parameters() if one.requires_grad),
            effective_rate=state.effective_rate,
            cuts=prune.cuts_to_json(state.cuts),
            notes=state.notes,
        )
