"""What remains of a variant that could not be made or measured: the others continue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgecheck.corruption.table import Corruption, of_metric
from edgecheck.errors import EdgecheckError, MeasurementError, ModelError
from edgecheck.metrics import METRICS
from edgecheck.pipeline.entry import Findings
from edgecheck.records import Diagnostic, Variant, reading

# Errors that fail a single variant.
FAILURES = (MeasurementError, ModelError)


def failed(variant: Variant, error: EdgecheckError, corruption: Sequence[Corruption] = ()) -> Findings:
    """Return the findings on a variant that failed: every reading is missing, with the reason.

    Args:
        variant: its record.
        error: what failed.
        corruption: the corruptions that it would have been measured under.
    """
    missing = [reading(variant.name, metric, None, note=str(error)) for metric in measurable(corruption)]
    return Findings(variant, readings=missing, warnings=[Diagnostic("variant-failed", {"reason": str(error)})])


def measurable(corruption: Sequence[Corruption] = ()) -> Iterator[str]:
    """Yield the names of all metrics, those about a corruption only if it is asked for."""
    for metric in METRICS:
        about = of_metric(metric)
        if about is None or about in corruption:
            yield metric
