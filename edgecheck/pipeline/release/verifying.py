"""Checks that a run folder, and the files about to be shipped, are those that were judged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import frozen

from edgecheck import hashing
from edgecheck.days import today
from edgecheck.device.bundle.manifest import policy_digest
from edgecheck.device.model import files as model_files
from edgecheck.errors import EdgecheckError, InputError, ModelError
from edgecheck.gate.judgement import judged
from edgecheck.hashing import digest
from edgecheck.images import ImageSet
from edgecheck.pipeline import saved
from edgecheck.pipeline.release import attested
from edgecheck.pipeline.stage import Desk
from edgecheck.pipeline.stages import images as image_stage
from edgecheck.pipeline.subject import DataSource
from edgecheck.progress import Progress
from edgecheck.records import Report, to_dict
from edgecheck.regular import MOST_ONNX_BYTES, require_regular
from edgecheck.release.verification import Check, FileCheck, Item, Judged, State, Verification
from edgecheck.run_folder import REPORT
from edgecheck.scratch import temporary_folder

NOT_JUDGED = "no file that the run judged has this content"
OLDER = "the report holds no digest of it: an older edgecheck wrote it, or the run had no configuration file"


@frozen
class Beside:
    """What is compared with a run beside its folder: its configuration, an attestation, and the key that signed it."""

    config: Path | None = None
    attestation: Path | None = None
    public_key: Path | None = None


def verify(folder: Path, paths: Sequence[Path], beside: Beside, progress: Progress) -> Verification:
    """Compare a run folder with the digests in its report, and files with those that it judged.

    Args:
        folder: the run folder.
        paths: files about to be shipped.
        beside: of a configuration its digest, gate, preprocessing and test images are compared, of an attestation its
            signature, report, subjects and verdicts.
        progress: receives the progress of reading the images.

    Raises:
        InputError: there is no report that can be read, or the last run did not finish.
        EdgecheckError: the configuration or the attestation cannot be read.
    """
    found = saved.read(folder, unverified=True)
    report = judged(found, found.policy, today())  # a waiver may have expired since
    checks = list(_of_folder(report))
    if beside.config is not None:
        checks += _of_config(report, beside.config, progress)
    if beside.attestation is not None:
        checks += attested.checks(beside.attestation, beside.public_key, report, folder)
    return Verification(str(folder), report.passed, checks, [_of_file(report, path) for path in paths])


def _of_folder(report: Report) -> Iterator[Check]:
    """Yield each mismatch of the run folder, and of which kinds of content there is none."""
    for phrase in report.unverified:
        state: State = "missing" if phrase.endswith(" is missing") else "changed"
        yield Check(_item(phrase), phrase, state)
    wrong = {_item(phrase) for phrase in report.unverified}
    if "report" not in wrong:
        yield Check("report", REPORT, "unchanged")
    if "data" not in wrong and image_stage.FILE in report.evidence:
        yield Check("data", image_stage.FILE, "unchanged")
    if "file" not in wrong:
        models = sum(variant.file is not None for variant in report.variants)
        yield Check("file", f"{models} model files, {len(report.evidence)} files of evidence", "unchanged")


def _item(phrase: str) -> Item:
    if phrase.startswith(f"{REPORT} "):
        return "report"
    return "data" if phrase.startswith(f"{image_stage.FILE} ") else "file"


def _of_file(report: Report, path: Path) -> FileCheck:
    try:
        checksum = _checksum(report, path)
    except InputError as error:
        state: State = "unreadable" if path.exists() or path.is_symlink() else "missing"
        return FileCheck(str(path), None, state, str(error))
    same = [
        Judged(one.name, one.role, report.statuses.get(one.name)) for one in report.variants if one.sha256 == checksum
    ]
    return FileCheck(str(path), checksum, "unchanged" if same else "changed", "" if same else NOT_JUDGED, same)


def _checksum(report: Report, path: Path) -> str:
    """Return the digest of a file; that with external data if the file has any.

    Raises:
        InputError: it is missing, cannot be read, is not a regular file, or is larger than any ONNX file.
    """
    require_regular(path, MOST_ONNX_BYTES)
    alone = hashing.sha256(path)
    if any(one.sha256 == alone for one in report.variants):
        return alone
    try:
        return model_files.sha256(path)
    except ModelError:  # no ONNX file, or without its external data: then it is not one of the run either
        return alone


def _of_config(report: Report, config: Path, progress: Progress) -> Iterator[Check]:
    from edgecheck.config import reader

    plan, subject = reader.load(config), report.subject
    yield _compared("configuration", str(config), plan.source_sha256, subject.config_sha256)
    yield _compared("policy", "gate", policy_digest(plan.policy), policy_digest(report.policy))
    preprocessing = digest(to_dict(plan.preprocessing))
    yield _compared("preprocessing", "preprocessing", preprocessing, subject.preprocessing_sha256)
    with temporary_folder() as scratch:
        desk = Desk(scratch, scratch, progress)
        try:
            split = image_stage.load_test(DataSource(plan.data, None), plan.preprocessing, desk)
        except EdgecheckError as error:
            yield Check("data", plan.data.dataset, "unreadable", str(error))
            return
        found = subject.data_sha256 if _is_same(split, report) else split.sha256
    yield _compared("data", f"test images of {plan.data.dataset}", found, subject.data_sha256)


def _is_same(split: ImageSet, report: Report) -> bool:
    """Return whether images are those of a run, which is judged on one half of them if it follows a search."""
    from edgecheck.config.plan import Half

    known, seed = report.subject.data_sha256, report.subject.seed
    if split.sha256 == known:
        return True
    halves = (Half(seed, "first"), Half(seed, "second")) if len(split) >= image_stage.LEAST_HALVED else ()
    return any(image_stage.halved(split, half).sha256 == known for half in halves)


def _compared(item: Item, name: str, now: str | None, then: str | None) -> Check:
    if then is None or now is None:
        return Check(item, name, "unknown", OLDER)
    detail = "" if now == then else f"now {now[:12]}, judged {then[:12]}"
    return Check(item, name, "unchanged" if now == then else "changed", detail)
