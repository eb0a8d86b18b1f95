"""Packs a saved run for a device: its files, test images, and what the files answered here."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import attrs
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from edgecheck import __version__, images
from edgecheck.atomic import remove_leftovers, require_writable, write_text
from edgecheck.config.plan import Explain, Preprocessing
from edgecheck.device.bundle import expected
from edgecheck.device.bundle.manifest import (
    DATA,
    GOLDEN,
    LOGITS,
    MANIFEST,
    Manifest,
    answers_digest,
    folder_of,
    policy_digest,
    to_text,
)
from edgecheck.device.bundle.pack import pack
from edgecheck.device.model import files
from edgecheck.device.runtime.ort import Options
from edgecheck.errors import InputError, MeasurementError, ModelError, UsageError
from edgecheck.hashing import digest, sha256
from edgecheck.images import ImageSet
from edgecheck.pipeline import bundle_settings, saved
from edgecheck.progress import Named, Progress
from edgecheck.records import SCHEMA_VERSION, Report, Tool, Variant, to_dict
from edgecheck.registry import nearest
from edgecheck.score.cam_file import CamFile, save_cams
from edgecheck.scratch import temporary_folder

SYNTHETIC_IMAGES = 32  # enough to fill any batch, and to see whether predictions change


@frozen
class Asked:
    """What goes into a bundle.

    Attributes:
        variants: names of variants beside the baseline; empty for all.
        images: number of test images; drawn by the seed of the run where it has more.
        budget_s: seconds of latency sampling per file.
        target_layer: tensor of the files to explain; None for the run's own, or the default.
        real_images: whether test images are packed, or synthetic ones in their place.
    """

    variants: tuple[str, ...] = ()
    images: int = 500
    budget_s: float = 30.0
    target_layer: str | None = None
    real_images: bool = True


def bundle(folder: Path, out: Path, asked: Asked, progress: Progress) -> Manifest:
    """Write a saved run as a bundle.

    Raises:
        InputError: the run cannot be read, was changed since it was measured, or `out` cannot be written.
        UsageError: the run has no variant of a given name.
        EdgecheckError: a file cannot be run.
    """
    require_writable(out)
    remove_leftovers([out.parent])
    report = saved.read(folder)
    variants = _chosen(report, asked.variants)
    images_of_run, how = _data(folder, report)
    with temporary_folder() as room:
        packed = [_copied(folder, variant, place, room) for place, variant in enumerate(variants)]
        manifest = _filled(room, report, asked, packed, (images_of_run, how), progress)
        write_text(room / MANIFEST, to_text(manifest))
        pack(room, list(manifest.files), out)
    return manifest


def _filled(
    room: Path,
    report: Report,
    asked: Asked,
    packed: list[Variant],
    of_run: tuple[ImageSet, Preprocessing],
    progress: Progress,
) -> Manifest:
    """Write images and expected answers beside the files, and return the manifest of all."""
    (whole, how), subject, options = of_run, report.subject, bundle_settings.options(report)
    measure, policy = bundle_settings.measure(report, asked.budget_s, len(packed)), bundle_settings.policy(report)
    data, places = images.draw(whole, asked.images, subject.seed)
    if not asked.real_images:
        data, places = _noise(whole, subject.seed), []
    images.save_npz(room / DATA, data, how)
    explain = bundle_settings.explain(report, asked.target_layer, room / (packed[0].file or ""))
    logits = [_outputs(room, variant, data, how, options, progress) for variant in packed]
    golden = expected.golden(logits) if asked.real_images else []
    if asked.real_images:
        _keep(packed, logits, room)
        _explain_golden(packed, images.take(data, golden), how, explain, options, room)
    return Manifest(
        version=SCHEMA_VERSION,
        tool=Tool("edgecheck", __version__),
        name=subject.name,
        variants=packed,
        images=places,
        golden=golden,
        data_sha256=subject.data_sha256,
        packed_sha256=data.sha256,
        preprocessing=how,
        preprocessing_sha256=subject.preprocessing_sha256,
        explain=explain if asked.real_images else attrs.evolve(explain, methods=[]),
        measure=measure,
        policy=policy,
        policy_sha256=policy_digest(policy),
        seed=subject.seed,
        files=_checksums(room),
        answers={} if asked.real_images else _answers(packed, logits),
    )


def _checksums(room: Path) -> dict[str, str]:
    """Return the SHA-256 of each file, by its path in the bundle."""
    return {path.relative_to(room).as_posix(): sha256(path) for path in sorted(room.rglob("*")) if path.is_file()}


def _chosen(report: Report, names: Sequence[str]) -> list[Variant]:
    """Return the baseline, then the variants asked for, in the order of the run; those without a file are left out."""
    made = [variant for variant in report.variants if variant.file is not None]
    known = [variant.name for variant in made if variant.role != "baseline"]
    for name in names:
        if name not in known:
            raise UsageError(
                f"--variant {name}: the run has no such file{nearest(name, known)}; it has {', '.join(known)}"
            )
    kept = [variant for variant in made if variant.role == "baseline" or not names or variant.name in names]
    if not kept or kept[0].role != "baseline":
        raise InputError("the run has no file of its baseline: run it again")
    return kept


def _data(folder: Path, report: Report) -> tuple[ImageSet, Preprocessing]:
    """Return the test images of a run, and the preprocessing that its files expect."""
    path = folder / DATA
    if not path.is_file():
        raise InputError(f"{path}: no such file; run it again with --out, so that the images are kept")
    data, numbers = images.load_npz(path), images.load_normalization(path)
    if data.sha256 != report.subject.data_sha256:
        raise InputError(f"{path}: not the images that the report was made with; run it again")
    low, high = numbers.get("range", (0.0, 1.0))
    how = Preprocessing(None, (low, high), numbers.get("mean", []), numbers.get("std", []))
    _, height, width = data.shape
    # Images that were resized are saved at the size of the network.
    for size in (None, (height, width)):
        sized = attrs.evolve(how, size=size)
        if digest(to_dict(sized)) == report.subject.preprocessing_sha256:
            return data, sized
    raise InputError(f"{path}: its range, mean and std are not those of the report; run it again")


def _noise(data: ImageSet, seed: int) -> ImageSet:
    """Return noise images in the place of the real ones: same shape and classes, no label of its own."""
    channels, height, width = data.shape
    size = (SYNTHETIC_IMAGES, height, width, channels)
    pixels = np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)
    return attrs.evolve(data, images=pixels, labels=np.zeros(SYNTHETIC_IMAGES, np.int64))


def _copied(folder: Path, variant: Variant, place: int, room: Path) -> Variant:
    """Copy the file of a variant with its external data, and return its record without what only a report shows."""
    source = folder / (variant.file or "")
    target = room / folder_of(place) / "model.onnx"
    target.parent.mkdir(parents=True)
    shutil.copyfile(source, target)
    for file in files.external_files(source):
        beside = target.parent / file.relative_to(source.parent)
        beside.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, beside)
    return Variant(
        name=variant.name,
        role=variant.role,
        file=target.relative_to(room).as_posix(),
        sha256=variant.sha256,
        steps=variant.steps,
        effective_rate=variant.effective_rate,
        weight_bytes=variant.weight_bytes,
    )


def _outputs(
    room: Path, variant: Variant, data: ImageSet, how: Preprocessing, options: Options, progress: Progress
) -> NDArray[np.float32]:
    return expected.outputs(room / (variant.file or ""), data, how, options, Named(progress, variant.name))


def _keep(packed: Sequence[Variant], logits: Sequence[NDArray[np.float32]], room: Path) -> None:
    for variant, each in zip(packed, logits, strict=True):
        expected.save_logits((room / (variant.file or "")).with_name(LOGITS), each)


def _explain_golden(
    packed: Sequence[Variant], golden: ImageSet, how: Preprocessing, explain: Explain, options: Options, room: Path
) -> None:
    for variant in packed:
        path = room / (variant.file or "")
        save_cams(path.with_name(GOLDEN), _cams(path, golden, how, explain, options))


def _cams(path: Path, golden: ImageSet, how: Preprocessing, explain: Explain, options: Options) -> CamFile:
    """Return the heatmaps of a file; none if it cannot be explained, as the run has said."""
    try:
        return expected.heatmaps(path, golden, how, explain.methods, explain.target_layer, options)
    except (ModelError, MeasurementError):
        logits = expected.outputs(path, golden, how, options)
        return CamFile({}, logits, logits.argmax(axis=1))


def _answers(packed: Sequence[Variant], logits: Sequence[NDArray[np.float32]]) -> dict[str, str]:
    return {variant.name: answers_digest(each) for variant, each in zip(packed, logits, strict=True)}
