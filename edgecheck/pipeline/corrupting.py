"""Files under corruption: their answers to corrupted test images, and the excess error of a variant."""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

from edgecheck.device.runtime.accuracy import PERCENT
from edgecheck.gate.chance import guesses
from edgecheck.pipeline.entry import Entry, Findings, Run
from edgecheck.pipeline.schedule import Line
from edgecheck.pipeline.stages.corrupt import Corrupt
from edgecheck.pipeline.stages.predict import Predict, load_logits
from edgecheck.pipeline.subject import Images
from edgecheck.pipeline.work import Work
from edgecheck.records import Reading, reading
from edgecheck.score.excess import Answers, Right, excess_errors, interval


def under_corruption(run: Run, findings: Findings, baseline: Findings | None) -> Line[Findings]:
    """Add the accuracy of a file under each corruption and, given a baseline, the excess errors.

    Raises:
        EdgecheckError: a stage failed.
    """
    if not run.plan.corruption:
        return findings
    assert findings.entry is not None, "the model was made"
    corrupted = yield from _answers(run, findings.entry)
    shares = {name: float(right.mean()) for name, right in corrupted.items()}
    under = attrs.evolve(
        findings, corrupted=corrupted, variant=attrs.evolve(findings.variant, corrupted_accuracy=shares)
    )
    if baseline is None:
        return under
    return attrs.evolve(under, readings=[*under.readings, *_excess_errors(run, under, baseline)])


def _answers(run: Run, entry: Entry) -> Line[dict[str, Right]]:
    """Run a file on the corrupted images, which are made once for all files."""
    asked = run.plan.corruption
    made = yield tuple(Work("", Corrupt(run.images, one, run.plan.seed)) for one in asked)
    stages = []
    for one, done in zip(asked, made, strict=True):
        (file,) = done.files.values()
        images = Images(file, run.images.shape, run.images.classes)
        stages.append(Predict(entry.file, images, run.plan.preprocessing, run.runtime, run.machine, one.name))
    predicted = yield tuple(Work(entry.name, stage) for stage in stages)
    files = [done.files[stage.logits] for stage, done in zip(stages, predicted, strict=True)]
    return {one.name: _recognized(run, load_logits(file.path)) for one, file in zip(asked, files, strict=True)}


def _recognized(run: Run, logits: NDArray[np.float32]) -> Right:
    """Return which of the test images a file classifies correctly."""
    return np.asarray(logits.argmax(axis=1) == run.data.labels)


def _excess_errors(run: Run, variant: Findings, baseline: Findings) -> list[Reading]:
    """Return the excess error under each corruption in percentage points, with its interval over the images.

    It is missing where there is nothing left to lose: the corruption leaves the baseline no better than a guess, or the
    variant guesses on clean images.
    """
    assert variant.logits is not None, "the file was run"
    assert baseline.logits is not None, "the file was run"
    clean, reference = _recognized(run, variant.logits), _recognized(run, baseline.logits)
    readings = []
    for one in run.plan.corruption:
        corrupted, before = variant.corrupted[one.name], baseline.corrupted[one.name]
        errors = excess_errors(Answers(clean, corrupted), Answers(reference, before))
        shares = f"right on {_percent(corrupted)} under {one.name}, the baseline on {_percent(before)}"
        if lacking := _nothing_to_lose(run, clean, before):
            readings.append(reading(variant.name, one.metric, None, n=len(errors), note=f"{shares}: {lacking}"))
            continue
        low, high = (PERCENT * end for end in interval(errors, run.plan.seed))
        readings.append(reading(variant.name, one.metric, PERCENT * errors.mean(), (low, high), len(errors), shares))
    return readings


def _nothing_to_lose(run: Run, clean: Right, before: Right) -> str:
    """Return why a variant could lose no more than the baseline; "" where it could."""
    chance = run.data.chance
    if guesses(int(before.sum()), len(before), chance):
        return "that is no better than a guess, so nothing can be compared; choose a lower severity"
    if guesses(int(clean.sum()), len(clean), chance):
        return f"the variant is right on {_percent(clean)} of the clean images, which is no better than a guess"
    return ""


def _percent(right: Right) -> str:
    return f"{PERCENT * right.mean():.2f} %"
