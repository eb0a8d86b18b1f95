"""What the printed sign-off shows: two pages, however many variants a run has."""

from __future__ import annotations

from collections.abc import Sequence

from edgecheck.gate.leniency import PASSING
from edgecheck.gate.margins import distance
from edgecheck.records import Report, Variant
from edgecheck.report.format import describe_cpu
from edgecheck.report.provenance import facts, judgement, revision
from edgecheck.report.table import candidates, rows
from edgecheck.seal import SEAL, sealed
from edgecheck.text import plain

MATRIX_ROWS = 22  # these and the facts below fill the first page
FILES = 16  # these, six pictures and the signatures fill the second
WARNINGS = 6


def matrix(report: Report) -> list[Variant]:
    """Return the candidates for the matrix: the recommended one, those that pass, then the nearest of the others."""
    return sorted(candidates(report), key=lambda variant: _importance(report, variant))[:MATRIX_ROWS]


def files(report: Report) -> list[Variant]:
    """Return the variants whose hashes are printed: the baseline, then as in the matrix."""
    return [*(one for one in rows(report) if one.role == "baseline"), *matrix(report)][:FILES]


def left_out(shown: Sequence[Variant], whole: int, noun: str) -> str:
    """Return `and 78 more variants in report.html`; "" if all are shown."""
    rest = whole - len(shown)
    return f"and {rest} more {noun} in report.html" if rest > 0 else ""


def signed(report: Report) -> list[tuple[str, str]]:
    """Return what a signature refers to besides the files: model, data, preprocessing, machine, tool, and the run."""
    subject, machine = report.subject, report.environment
    return [
        ("model", plain(subject.model)),
        ("weights SHA-256", subject.weights_sha256),
        ("data", plain(f"{subject.dataset}, {subject.images:,} images")),
        ("data SHA-256", subject.data_sha256),
        ("preprocessing SHA-256", subject.preprocessing_sha256),
        ("seal of report.json", str(sealed(report)[SEAL])),
        ("machine", plain(f"{describe_cpu(machine)}, {machine.provider}, threads: {machine.intra_op_threads}")),
        ("tool", plain(f"{report.tool.name} {report.tool.version}")),
        *facts(report),
        *judgement(report),
        *revision(report),
    ]


def _importance(report: Report, variant: Variant) -> tuple[bool, bool, tuple[int, float]]:
    """Return a key that sorts the recommended variant first, then those that pass, then by distance to the gate."""
    recommended = variant.name == report.recommendation.variant
    passes = report.statuses.get(variant.name) in PASSING
    return not recommended, not passes, distance(report, variant.name)
