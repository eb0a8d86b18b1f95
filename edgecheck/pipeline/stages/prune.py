"""Apply a pruning step: remove what a criterion scores lowest."""

from __future__ import annotations

import attrs
from attrs import frozen

from edgecheck.artefact import Artefact
from edgecheck.errors import ModelError
from edgecheck.pipeline.stage import Desk
from edgecheck.pipeline.stages.network import Changed, NetworkStage
from edgecheck.pipeline.subject import Seen, example
from edgecheck.plugins import using
from edgecheck.pruning.checks import UnprunableError
from edgecheck.pruning.structures import STRUCTURES, find_structure
from edgecheck.records import Diagnostic
from edgecheck.report.diagnostics import render
from edgecheck.steps import PruneStep


@frozen
class Prune(NetworkStage):
    """Remove the lowest-scored units of a ranking; `notes` and `seen` come from the ranking."""

    kind = "prune"

    step: PruneStep
    scores: Artefact
    notes: list[Diagnostic]
    seen: Seen | None

    @property
    def plugins(self) -> tuple[Artefact, ...]:
        """The plugins of the criterion, which is looked up again, and of the structure."""
        structure = find_structure(self.step.structure)
        names = [name for name, each in STRUCTURES.items() if each is structure]
        return using([self.step.criterion, *names])

    def compute(self, desk: Desk) -> Changed:
        """Prune.

        Raises:
            ModelError: the network cannot be pruned in this way.
        """
        _, state = self.load()
        from safetensors.torch import load_file

        from edgecheck.lab import prune

        ranking = prune.Ranking(load_file(self.scores.path), self.notes)
        try:
            pruned = prune.prune(state, self.step, example(self.before.shape), seed=0, ranking=ranking)
        except UnprunableError as error:
            raise ModelError("; ".join([str(error), *map(render, error.notes)])) from error
        return attrs.evolve(self.save(pruned, desk), seen=self.seen)
