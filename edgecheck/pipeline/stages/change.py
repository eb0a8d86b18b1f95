"""Apply a compression step of a plugin to the network."""

from __future__ import annotations

import attrs
from attrs import frozen

from edgecheck.artefact import Artefact
from edgecheck.errors import EdgecheckError, ModelError
from edgecheck.pipeline.stage import Desk
from edgecheck.pipeline.stages.network import Changed, NetworkStage
from edgecheck.plugins import using
from edgecheck.steps import NetworkStep


@frozen
class Change(NetworkStage):
    """Apply a step with its own `change` method."""

    kind = "change"

    step: NetworkStep

    @property
    def name(self) -> str:
        """Kind of the step, and its position."""
        return f"{self.step.kind}-{self.before.place}"

    @property
    def plugins(self) -> tuple[Artefact, ...]:
        """The plugin of the step."""
        return using([self.step.kind])

    def compute(self, desk: Desk) -> Changed:
        """Apply the step.

        Raises:
            ModelError: the step fails on this network.
        """
        _, state = self.load()
        from torch import nn

        from edgecheck.lab.user_traceback import place_of

        try:
            changed = self.step.change(state.model)
        except EdgecheckError:
            raise
        except Exception as error:  # a plugin's code can raise anything at all
            raise ModelError(f"step {self.step.kind} fails: {place_of(error)}") from error
        if not isinstance(changed, nn.Module):
            raise ModelError(f"step {self.step.kind} must return a torch.nn.Module, not {type(changed).__name__}")
        return self.save(attrs.evolve(state, model=changed, notes=[]), desk)
