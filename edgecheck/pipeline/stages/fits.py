"""Check that a network accepts the images and has the target layer, before anything is trained or exported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from edgecheck import versions
from edgecheck.artefact import later
from edgecheck.errors import ModelError
from edgecheck.pipeline.fingerprints import noted_reads
from edgecheck.pipeline.stage import Desk, Stage
from edgecheck.pipeline.subject import Images, Network, example

if TYPE_CHECKING:
    from torch import nn


@frozen
class Fits:
    """The target layer (None without heatmaps), and the hashes of the files that the network reads when it runs.

    Paths are relative to the folder of the factory's file; the hash of a missing file is None.
    """

    target_layer: str | None
    reads: dict[str, str | None]


@frozen
class CheckFit(Stage[Fits]):
    """Run the network on one image and cut it at the target layer.

    `layer` is None for the default; `explained` tells whether heatmaps are needed. `preserved` lists the methods whose
    maps a recipe trains, and `recalibrated` tells whether one estimates BatchNorm statistics.
    """

    kind = "target"
    tools = versions.TWINS
    outputs = Fits

    network: Network
    images: Images
    explained: bool
    layer: str | None
    preserved: tuple[str, ...] = later(default=())
    recalibrated: bool = later(default=False)

    def compute(self, desk: Desk) -> Fits:
        """Check the network.

        Raises:
            DataError: the network lacks an output that the data selects.
            ModelError: the network does not accept the images, or lacks the target layer, maps that can be trained, or
                BatchNorm.
        """
        network = self.network.build()
        from edgecheck.lab.cam.preserved import as_found
        from edgecheck.lab.cam.probing import probe_of
        from edgecheck.lab.cam.split import split
        from edgecheck.lab.subjects import check_fits

        with noted_reads(self.network.model.factory) as reads:
            check_fits(network, self.images.load())
        self._check_recipes(network)
        if not self.explained:
            return Fits(None, reads)
        with as_found(network):
            return Fits(split(network, probe_of(example(self.images.shape)), self.layer).name, reads)

    def _check_recipes(self, network: nn.Module) -> None:
        from edgecheck.lab.batchnorm import normalizations
        from edgecheck.lab.preserving import find_place

        if self.recalibrated and not normalizations(network):
            name = type(network).__name__
            raise ModelError(f"recalibrate_batchnorm: {name} has no BatchNorm with running statistics; remove it")
        for method in self.preserved:
            find_place(network, example(self.images.shape), method, self.layer)
