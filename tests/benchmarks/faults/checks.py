"""Commands that judge the finished run, or check its files, as several kinds of cases do."""

from __future__ import annotations

from pathlib import Path

from edgecheck.images import ImageSet, load_npz
from tests.benchmarks.faults.cases import Place
from tests.benchmarks.faults.processes import Ended

DROP = "accuracy_drop_pp <= 2"


def gate(place: Place, *sentences: str) -> Ended:
    """Judge the finished run by some criteria alone."""
    gates = [word for sentence in sentences for word in ("--gate", sentence)]
    return place.fork("gate", place.material.run, "--only", *gates, "--require", "all", "--format", "json")


def check(
    place: Place, *more: object, candidate: str = "baseline", data: Path | None = None, gate: str = DROP
) -> Ended:
    """Check a file of the finished run against its baseline."""
    baseline, other = (place.material.run / name / "model.onnx" for name in ("baseline", candidate))
    return check_files(place, baseline, other, data or place.material.run / "data.npz", gate, *more)


def check_files(place: Place, baseline: Path, candidate: Path, data: Path, gate: str = DROP, *more: object) -> Ended:
    """Check a file against another, without measuring memory and latency."""
    words = ["check", "--baseline", baseline, "--candidate", candidate, "--config", place.material.check_config]
    return place.fork(*words, "--data", data, "--time-budget", "0", "--gate", gate, *more)


def images(place: Place) -> ImageSet:
    """Return the test images of the finished run."""
    return load_npz(place.material.run / "data.npz")
