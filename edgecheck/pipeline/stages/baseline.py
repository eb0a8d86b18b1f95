"""Save the weights of the baseline, as its factory builds it, in one file."""

from __future__ import annotations

from attrs import frozen

from edgecheck import versions
from edgecheck.atomic import atomic
from edgecheck.pipeline.stage import Desk, Stage
from edgecheck.pipeline.subject import Network

WEIGHTS = "weights.safetensors"


@frozen
class BaselineSaved:
    """The number of trainable parameters."""

    parameters: int


@frozen
class SaveBaseline(Stage[BaselineSaved]):
    """Build the baseline and write its weights."""

    kind = "make"
    tools = versions.TWINS
    outputs = BaselineSaved
    files = (WEIGHTS,)

    network: Network

    def compute(self, desk: Desk) -> BaselineSaved:
        """Build and save.

        Raises:
            ModelError: the factory fails, or the weights do not fit.
        """
        module = self.network.build()
        from edgecheck.lab.weights import save_weights

        with atomic(desk.folder / WEIGHTS) as temporary:
            save_weights(module, temporary)
        return BaselineSaved(sum(one.numel() for one in module.parameters() if one.requires_grad))
