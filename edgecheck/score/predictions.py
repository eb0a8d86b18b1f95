"""Further metrics of predictions: one number per variant, from the outputs of its file on the test images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from edgecheck.metrics import METRICS, Metric
from edgecheck.records import Reading, reading
from edgecheck.registry import register
from edgecheck.text import error_line


@frozen(eq=False)
class Predictions:
    """The outputs of a file on all test images.

    Attributes:
        logits: float32 `(N, classes)`.
        labels: int64 `(N,)`.
        baseline: the outputs of the baseline on the same images; None for the baseline itself.
    """

    logits: NDArray[np.float32]
    labels: NDArray[np.int64]
    baseline: NDArray[np.float32] | None


Measure = Callable[[Predictions], float | None]
"""Returns the value in the unit of the metric; None where it has none, as beside no baseline."""

MEASURES: dict[str, Measure] = {}


def register_metric(metric: Metric, measure: Measure) -> None:
    """Add a metric: each run then measures it, and gates can name it.

    Raises:
        ValueError: there is a metric of this name already.
    """
    register(METRICS, metric.name)(metric)
    register(MEASURES, metric.name)(measure)


def readings(variant: str, predictions: Predictions) -> list[Reading]:
    """Return a reading per registered metric; one whose function fails is missing, with the error as its note."""
    frozen_arrays = Predictions(*map(_read_only, (predictions.logits, predictions.labels, predictions.baseline)))
    return [_reading(variant, name, measure, frozen_arrays) for name, measure in MEASURES.items()]


def _read_only(values: Any) -> Any:
    """Return a view that a function cannot write to: the other readings are made from the same arrays."""
    view = None if values is None else values.view()
    if view is not None:
        view.flags.writeable = False
    return view


def _reading(variant: str, name: str, measure: Measure, predictions: Predictions) -> Reading:
    try:
        return reading(variant, name, measure(predictions), n=len(predictions.labels))
    except Exception as error:  # a plugin's function can raise anything at all
        return reading(variant, name, None, note=error_line(error))
