"""Compares two run folders: their reports, and their answers to the same test images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from edgecheck import images
from edgecheck.days import today
from edgecheck.device.runtime.accuracy import drop_interval
from edgecheck.gate.judgement import judged
from edgecheck.pipeline import saved
from edgecheck.pipeline.stages.images import FILE
from edgecheck.pipeline.stages.predict import LOGITS, load_logits
from edgecheck.records import HOST, Report
from edgecheck.release import comparison
from edgecheck.release.change import Comparison, Flips
from edgecheck.release.comparison import Asked, Pair, Paired
from edgecheck.release.settings import obstacles

OTHER_IMAGES = "the runs were measured on other images"
ON_A_DEVICE = "predictions on each image are kept of the host alone"
NOT_VERIFIED = "the files of a run do not match its report"


@frozen
class _Run:
    """A run folder and its report, whose digests match its files."""

    folder: Path
    report: Report

    def logits(self, variant: str) -> Path | None:
        """Return the file with the outputs of a variant; None if the report was not made from one."""
        name = f"{variant}/{LOGITS}"
        return self.folder / name if name in self.report.evidence else None


def compare(folders: tuple[Path, Path], asked: Asked) -> Comparison:
    """Compare two run folders.

    Raises:
        InputError: a run cannot be read or was changed, or the two are not comparable.
        UsageError: a run has no readings of a device, or no variant of a name.
    """
    before, after = (_Run(folder, _read(folder, asked.unverified)) for folder in folders)
    comparison.check(before.report, after.report, asked)
    matched = comparison.pairs(before.report, after.report, asked.renamed)
    paired = _paired(before, after, matched, asked)
    return comparison.compare(before.report, after.report, asked, matched, paired)


def _read(folder: Path, unverified: bool) -> Report:
    """Return the report of a run folder; a waiver in it may have expired since it was judged."""
    report = saved.read(folder, unverified)
    return judged(report, report.policy, today()) if report.policy.waivers else report


def _paired(before: _Run, after: _Run, matched: Sequence[Pair], asked: Asked) -> Paired:
    """Return the images that flip, of all variants that both runs predicted the same images with."""
    if reason := _why_unpaired(before.report, after.report, asked):
        return Paired({}, dict.fromkeys(matched, reason))
    labels = _labels(before)
    flips, missing = {}, {}
    for pair in matched:
        files = before.logits(pair[0]), after.logits(pair[1])
        lacking = [run.folder for run, file in zip((before, after), files, strict=True) if file is None]
        if labels is None or lacking:
            where = lacking[0] if lacking else before.folder / FILE
            missing[pair] = f"{where}: holds no {'predictions of it' if lacking else 'test images'}"
            continue
        first, second = (load_logits(file) for file in files if file is not None)
        flips[pair] = flips_of(first, second, labels)
    return Paired(flips, missing)


def _why_unpaired(before: Report, after: Report, asked: Asked) -> str:
    if asked.devices != (HOST, HOST):
        return ON_A_DEVICE
    if obstacles(before, after):
        return OTHER_IMAGES
    return NOT_VERIFIED if before.unverified or after.unverified else ""


def _labels(run: _Run) -> NDArray[np.int64] | None:
    return images.load_npz(run.folder / FILE, verified=True).labels if FILE in run.report.evidence else None


def flips_of(first: NDArray[np.floating], second: NDArray[np.floating], labels: NDArray[np.int64]) -> Flips:
    """Return the images on which only one of two files is right.

    Args:
        first: outputs `(N, classes)` of the first file.
        second: outputs `(N, classes)` of the second file.
        labels: `(N,)`.
    """
    right, still = first.argmax(axis=1) == labels, second.argmax(axis=1) == labels
    broken, repaired = (np.flatnonzero(flipped).tolist() for flipped in (right & ~still, still & ~right))
    low, high = drop_interval(len(broken), len(repaired), len(labels))
    return Flips(len(labels), broken, repaired, low, high)
