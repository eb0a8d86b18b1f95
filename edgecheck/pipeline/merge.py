"""Puts what devices measured of a bundle beside the readings of the host, and judges the run again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path, PurePosixPath

import attrs

from edgecheck import images
from edgecheck.atomic import remove_leftovers, write_bytes, write_text
from edgecheck.days import today
from edgecheck.device.bundle import result as results
from edgecheck.device.bundle.manifest import DATA
from edgecheck.device.bundle.result import Result
from edgecheck.errors import InputError
from edgecheck.gate.judgement import judged
from edgecheck.lock import hold
from edgecheck.pipeline import reporting, saved
from edgecheck.records import DeviceRun, Diagnostic, Reading, Report, Variant
from edgecheck.registry import nearest
from edgecheck.report.sweep import page
from edgecheck.run_folder import SWEEP_TABLE

FOLDER = "devices"
SUFFIXES = (".json", ".csv")  # of results, and of external figures
DIGITS = 12  # of a SHA-256 in the name of a file, where the name of the device alone is taken


@attrs.frozen
class Measured:
    """Readings from one device, and the file that they were read from."""

    name: str
    file: Path
    run: DeviceRun
    readings: list[Reading]
    warnings: list[Diagnostic]
    result: Result | None = None  # None for external figures


def of_results(paths: Sequence[Path]) -> list[Measured]:
    """Read results of `device run`.

    Raises:
        InputError: a file is no result, of another schema version, or damaged.
    """
    read = [(path, results.read(path)) for path in paths]
    return [Measured(one.name, path, one.run, one.readings, one.warnings, one) for path, one in read]


def merge(folder: Path, measured: Sequence[Measured], replace: bool = False) -> Report:
    """Add the readings of devices to a saved run, judge it again, and write its reports.

    Nothing is written unless everything fits. The results are kept in the run folder, and none that the report names is
    replaced before the next report is written: after a kill at any time, the run can be judged.

    Args:
        folder: the run folder.
        measured: from any number of devices.
        replace: whether readings of a device that was merged before are replaced.

    Raises:
        InputError: the run was changed since it was measured, or another process writes to it; or a device was merged
            before, or is given twice, or measured other files, images or preprocessing than the run.
    """
    _held = hold(folder, "stop it") if folder.is_dir() else None  # two merges would lose readings of one
    report = saved.read(folder)
    _check_names(report, measured, replace)
    for one in measured:
        if one.result is not None:
            _check_same(folder, report, one.file, one.result)
    remove_leftovers([folder, folder / FOLDER])
    for one in measured:
        report = _with(report, one, _kept(folder, one, report.evidence))
    report = judged(report, report.policy, today())
    reporting.write(report, folder)
    if (folder / SWEEP_TABLE).is_file():  # of a sweep: its table has a column for each device
        write_text(folder / SWEEP_TABLE, page.table(report))
    for path in _unnamed(folder, report.evidence):
        path.unlink(missing_ok=True)
    return report


def _unnamed(folder: Path, evidence: Mapping[str, str]) -> list[Path]:
    """Return the copies of results that no report names: those that were replaced, and those of killed merges."""
    named = {path.casefold() for path in evidence}
    copies = [path for suffix in SUFFIXES for path in (folder / FOLDER).glob(f"*{suffix}")]
    return [path for path in copies if f"{FOLDER}/{path.name}".casefold() not in named]


def _check_names(report: Report, measured: Sequence[Measured], replace: bool) -> None:
    counts = Counter(one.name for one in measured)
    twice = next((name for name, count in counts.items() if count > 1), None)
    if twice is not None:
        files = " and ".join(str(one.file) for one in measured if one.name == twice)
        raise InputError(f"{files}: both are of the device {twice!r}; measure with another --name")
    known = {variant.name for variant in report.variants}
    for one in measured:
        unknown = sorted({reading.variant for reading in one.readings} - known)
        if unknown:
            raise InputError(f"{one.file}: the run has no variant {unknown[0]!r}{nearest(unknown[0], known)}")
        if one.name in report.devices and not replace:
            raise InputError(f"{one.file}: the run already has readings of {one.name!r}; add --replace to replace them")


def _check_same(folder: Path, report: Report, file: Path, result: Result) -> None:
    """Refuse a result that was not measured on files, images and preprocessing of this run."""
    for what, there, here in _compared(folder, report, result):
        if there != here:
            raise InputError(f"{file}: not of this run: {what} differs (device {there[:12]}, run {here[:12]})")


def _compared(folder: Path, report: Report, result: Result) -> Iterator[tuple[str, str, str]]:
    """Yield what must be equal, with the digest on the device and that of the run."""
    known = {variant.name: variant.sha256 or "no file" for variant in report.variants}
    for name, there in result.variants.items():
        yield f"the file of {name}", there, known.get(name, "no file")
    yield "the test images", result.data_sha256, report.subject.data_sha256
    yield "the preprocessing", result.preprocessing_sha256, report.subject.preprocessing_sha256
    if result.images and (folder / DATA).is_file():
        whole = images.load_npz(folder / DATA)
        within = result.images[-1] < len(whole)
        yield "the subset of images", result.packed_sha256, images.take(whole, result.images).sha256 if within else ""


def _kept(folder: Path, one: Measured, evidence: Mapping[str, str]) -> tuple[str, str]:
    """Copy the file of a device into the run folder; return its path there and its SHA-256.

    A file that the report names is left alone, also where the file system knows no case.
    """
    content, suffix = one.file.read_bytes(), SUFFIXES[one.result is None]
    checksum, path = sha256(content).hexdigest(), f"{FOLDER}/{one.name}{suffix}"
    if path.casefold() in {known.casefold() for known, at in evidence.items() if (known, at) != (path, checksum)}:
        path = f"{FOLDER}/{_with_digest(one.name, checksum)}{suffix}"
    (folder / FOLDER).mkdir(exist_ok=True)
    write_bytes(folder / path, content)
    return path, checksum


def _with_digest(device: str, checksum: str) -> str:
    return f"{device}-{checksum[:DIGITS]}"


def _others_files(evidence: Mapping[str, str], device: str) -> dict[str, str]:
    """Return the evidence without the file that a device was merged from."""

    def is_its_file(path: str) -> bool:
        place = PurePosixPath(path)
        return str(place.parent) == FOLDER and place.stem in (device, _with_digest(device, evidence[path]))

    return {path: checksum for path, checksum in evidence.items() if not is_its_file(path)}


def _with(report: Report, one: Measured, kept: tuple[str, str]) -> Report:
    """Return a report with the readings and warnings of a device, in place of earlier ones."""
    environments = {name: known for name, known in report.environments.items() if name != one.name}
    if one.result is not None:
        environments[one.name] = one.result.environment
    warnings = [attrs.evolve(warning, device=one.name) for warning in one.warnings]
    return attrs.evolve(
        report,
        environments=environments,
        devices={**report.devices, one.name: one.run},
        readings=[*(r for r in report.readings if r.device != one.name), *one.readings],
        variants=[_warned(variant, one.name, warnings) for variant in report.variants],
        anchors=[*(a for a in report.anchors if a.device != one.name), *(one.result.anchors if one.result else [])],
        warnings=[*_others(report.warnings, one.name), *(each for each in warnings if each.variant is None)],
        evidence={**_others_files(report.evidence, one.name), kept[0]: kept[1]},
    )


def _warned(variant: Variant, device: str, warnings: Sequence[Diagnostic]) -> Variant:
    """Add the warnings of a device about a variant, except those that the host gave in the same words."""
    others = _others(variant.warnings, device)
    known = [(one.id, one.fields) for one in others if one.device is None]
    own = [one for one in warnings if one.variant == variant.name and (one.id, one.fields) not in known]
    return attrs.evolve(variant, warnings=[*others, *own])


def _others(warnings: Sequence[Diagnostic], device: str) -> list[Diagnostic]:
    return [warning for warning in warnings if warning.device != device]
