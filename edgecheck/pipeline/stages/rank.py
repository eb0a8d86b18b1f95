"""Score the weights or filters of a network by a criterion; one ranking serves all rates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from attrs import frozen

from edgecheck import versions
from edgecheck.artefact import Artefact
from edgecheck.atomic import atomic
from edgecheck.config.plan import Compute
from edgecheck.pipeline.stage import Desk, Stage
from edgecheck.pipeline.subject import Drawn, Network, Seen, Shape, example
from edgecheck.plugins import using
from edgecheck.pruning.criteria import Ranked
from edgecheck.records import Diagnostic

if TYPE_CHECKING:
    from edgecheck.lab.prune import Samples


@frozen
class Ranking:
    """Warnings about the scores, and the training images that the criterion used; None if it used none."""

    notes: list[Diagnostic]
    seen: Seen | None


@frozen
class Rank(Stage[Ranking]):
    """Score the weights or filters of a network.

    `before` is the result of an earlier pruning step, None for the baseline. `samples` are the images of a criterion
    that needs them. `seed` seeds the criterion's random numbers.
    """

    kind = "rank"
    version = 2
    tools = versions.TRAINING
    outputs = Ranking

    network: Network
    before: Artefact | None
    criterion: str
    ranked: Ranked
    samples: Drawn | None
    shape: Shape
    seed: int
    device: Literal["auto", "cpu", "cuda"]

    @property
    def name(self) -> str:
        """Criterion and what it ranks, since the baseline's folder holds all rankings of the baseline."""
        return f"rank-{self.criterion}-{self.ranked}"

    @property
    def files(self) -> tuple[str, ...]:
        """The scores."""
        return (f"{self.name}.safetensors",)

    @property
    def plugins(self) -> tuple[Artefact, ...]:
        """The plugin of the criterion."""
        return using([self.criterion])

    def compute(self, desk: Desk) -> Ranking:
        """Rank.

        Raises:
            ModelError: the criterion cannot rank this network.
        """
        model = self.network.build()
        from safetensors.torch import save_file

        from edgecheck.lab import prune
        from edgecheck.lab.compute import choose

        if self.before is not None:
            model = prune.load_state(self.before.path, model, example(self.shape)).model
        samples, seen = self._samples(desk)
        device = choose(Compute(self.device))
        with desk.progress.busy(f"{self.criterion}: ranking {self.ranked}"):
            ranking = prune.score(model, self.criterion, self.ranked, example(self.shape), self.seed, samples, device)
        with atomic(desk.folder / self.files[0]) as temporary:
            save_file({name: scores.contiguous() for name, scores in ranking.scores.items()}, temporary)
        return Ranking(ranking.notes, seen)

    def _samples(self, desk: Desk) -> tuple[Samples | None, Seen | None]:
        """Return the preprocessed images."""
        if self.samples is None:
            return None, None
        import torch

        from edgecheck.images import preprocess
        from edgecheck.lab.prune import Samples

        chosen, places = self.samples.load(desk)
        inputs = preprocess(chosen.images[:], self.samples.preprocessing)
        samples = Samples(torch.from_numpy(inputs), torch.from_numpy(chosen.targets))
        return samples, Seen(places, chosen.sha256)
