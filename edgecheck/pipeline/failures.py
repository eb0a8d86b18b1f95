"""What remains of a variant that could not be made or measured: the others continue."""

from __future__ import annotations

from edgecheck.errors import EdgecheckError, MeasurementError, ModelError
from edgecheck.metrics import METRICS
from edgecheck.pipeline.entry import Findings
from edgecheck.records import Diagnostic, Variant, reading

# Errors that fail a single variant.
FAILURES = (MeasurementError, ModelError)


def failed(variant: Variant, error: EdgecheckError) -> Findings:
    """Return the findings on a variant that failed: every reading is missing, with the reason."""
    missing = [reading(variant.name, metric, None, note=str(error)) for metric in METRICS]
    return Findings(variant, readings=missing, warnings=[Diagnostic("variant-failed", {"reason": str(error)})])
