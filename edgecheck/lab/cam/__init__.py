"""Attribution maps of PyTorch twins: the network is split at its target layer and run as a source of evidence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import nn

from edgecheck.attribution import engine
from edgecheck.attribution.explanation import Explanation
from edgecheck.attribution.table import needs_of
from edgecheck.config.plan import Preprocessing
from edgecheck.images import ImageSet, preprocess
from edgecheck.lab.cam.twin import opened
from edgecheck.progress import Progress

__all__ = ["Explanation", "explain"]


def explain(
    model: nn.Module,
    data: ImageSet,
    how: Preprocessing,
    methods: Sequence[str],
    target_layer: str | None = None,
    classes: NDArray[np.int64] | None = None,
    progress: Progress | None = None,
) -> Explanation:
    """Return the maps of all images for each method, from a network in memory.

    Args:
        model: takes float32 `(N, C, H, W)` and gives logits `(N, classes)`; its state is restored.
        data: the images, at the size that the network takes.
        how: the preprocessing.
        methods: names in `attribution.table.METHODS`; none for logits alone.
        target_layer: a dotted module name, or a function's output such as `features.norm5+relu`; None for the default.
        classes: the class to explain per image `(N,)`; None for the model's own arg-max.
        progress: receives the batches.

    Raises:
        ConfigError: unknown method.
        DataError: an output is selected that the network does not have.
        ModelError: as `attribution.engine.explain` and `lab.cam.twin.opened`.
    """
    needs = needs_of(methods)
    with opened(model, preprocess(data.images[:1], how), target_layer, needs) as source:
        return engine.explain(source, data, how, methods, classes, progress)
