"""Verifies a device after integration: the golden images of a bundle must give the answers that they gave on the host.

Like ExecuTorch's BundledProgram, a bundle carries inputs and expected outputs, so that the device needs no other data.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from edgecheck import images
from edgecheck.config.plan import Preprocessing
from edgecheck.device.bundle import expected
from edgecheck.device.bundle.manifest import DATA, GOLDEN, Manifest
from edgecheck.device.bundle.unpack import Bundle
from edgecheck.device.runtime import probe
from edgecheck.device.runtime.ort import Options
from edgecheck.errors import DataError, InputError, MeasurementError, ModelError
from edgecheck.images import ImageSet
from edgecheck.records import Variant
from edgecheck.score.cam_file import CamFile, load_cams
from edgecheck.score.compare import Scoring, compare_images

# Largest difference of an output, relative to the largest output. Float32 sums in another order stay below the first,
# which is also the parity that a gate asks of a twin. Quantized and float16 files round each layer, and kernels of
# another CPU round in another way: the second is a few steps of an int8 quantizer.
FLOAT_TOLERANCE, ROUNDED_TOLERANCE = 1e-3, 0.1
SAME_PIXELS = 0.95  # Sp2PS from which on Renza & Ballesteros 2023 take two explanations as the same


@frozen
class Tested:
    """What the golden images gave on one file.

    Attributes:
        variant: its name.
        images: the number of golden images; `same` is the number of those in the expected class.
        max_abs: largest difference of an output, and its `limit`; None if the file did not run.
        similarity: lowest mean Sp2PS of a method with the heatmaps of the host; None without heatmaps.
        reason: why the file did not run, or was not explained; "" if it was.
    """

    variant: str
    images: int
    same: int = 0
    max_abs: float | None = None
    limit: float = 0.0
    similarity: float | None = None
    reason: str = ""

    @property
    def passed(self) -> bool:
        """Whether classes, outputs and heatmaps are those of the host."""
        near = self.max_abs is not None and self.max_abs <= self.limit
        alike = self.similarity is None or self.similarity >= SAME_PIXELS
        return near and alike and self.same == self.images and not self.reason


def test(bundle: Bundle, options: Options) -> Iterator[Tested]:
    """Run and explain the golden images on every file, and yield the outcome of each.

    Raises:
        InputError: the bundle holds no real images.
        DataError: its images or expected answers are damaged.
    """
    manifest = bundle.manifest
    if not manifest.golden:
        raise InputError(f"{bundle.path}: no golden images, since it was packed with --no-images: pack real images")
    with bundle.naming_its_files():
        data = images.load_npz(bundle.folder / DATA)
        if data.sha256 != manifest.packed_sha256:
            raise DataError(f"{bundle.folder / DATA}: not the images that the bundle names; pack it again")
    golden = images.take(data, manifest.golden)
    for variant in manifest.variants:
        with bundle.naming_its_files():
            tested = _tested(bundle, variant, golden, options)
        yield tested


def _tested(bundle: Bundle, variant: Variant, golden: ImageSet, options: Options) -> Tested:
    manifest, path = bundle.manifest, bundle.folder / (variant.file or "")
    there = _of_the_host(path.with_name(GOLDEN), len(golden))
    try:
        # A file that crashes ONNX Runtime, or never ends, must not take the other files with it.
        probe.run(path, options, golden.shape)
        logits = _outputs(path, golden, manifest.preprocessing, options, there.logits.shape)
    except (ModelError, MeasurementError) as error:
        return Tested(variant.name, len(golden), reason=_reason(error, path))
    similarity, reason = _explained(manifest, path, golden, there, options)
    return Tested(
        variant=variant.name,
        images=len(golden),
        same=int((logits.argmax(axis=1) == there.logits.argmax(axis=1)).sum()),
        max_abs=float(np.abs(logits - there.logits).max()),
        limit=_tolerance(variant) * max(1.0, float(np.abs(there.logits).max())),
        similarity=similarity,
        reason=reason,
    )


def _explained(
    manifest: Manifest, path: Path, golden: ImageSet, there: CamFile, options: Options
) -> tuple[float | None, str]:
    """Return the similarity with the heatmaps of the host, None without any; and what is missing here, or nothing."""
    if not there.maps:
        return None, ""
    layer = manifest.explain.target_layer
    try:
        here = expected.heatmaps(path, golden, manifest.preprocessing, list(there.maps), layer, options)
        similarity = _similarity(manifest, golden, there, here)
    except (ModelError, MeasurementError) as error:
        return None, f"no heatmaps here: {_reason(error, path)}"
    lacking = sorted(set(there.maps) - set(here.maps))
    return similarity, f"no heatmaps by {', '.join(lacking)} here" if lacking else ""


def _of_the_host(path: Path, golden: int) -> CamFile:
    """Return the answers of the host for so many images.

    Raises:
        DataError: they are damaged.
    """
    there = load_cams(path)
    if len(there.logits) != golden or not all(np.isfinite(a).all() for a in (there.logits, *there.maps.values())):
        raise DataError(f"{path}: not finite answers for {golden} images; pack the bundle again")
    return there


def _outputs(
    path: Path, golden: ImageSet, how: Preprocessing, options: Options, shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """Return the outputs of a file on this device.

    Raises:
        EdgecheckError: the file does not run here.
        MeasurementError: they cannot be compared with those of the host.
    """
    logits = expected.outputs(path, golden, how, options)
    if logits.shape != shape:
        raise MeasurementError(f"{path}: outputs of shape {logits.shape}, not {shape}")
    if not np.isfinite(logits).all():
        raise MeasurementError(f"{path}: outputs that are not finite")
    return logits


def _reason(error: Exception, path: Path) -> str:
    """Return what is wrong with a file, without the folder that it was unpacked to."""
    return str(error).removeprefix(f"{path}: ").replace(f"{path.parent}/", "").replace(str(path.parent), "its folder")


def _tolerance(variant: Variant) -> float:
    return FLOAT_TOLERANCE if variant.is_float else ROUNDED_TOLERANCE


def _similarity(manifest: Manifest, golden: ImageSet, there: CamFile, here: CamFile) -> float | None:
    """Return the lowest mean Sp2PS of a method; None without maps."""
    scoring = Scoring(golden.shape[1:], manifest.explain.sam)
    means = [
        compare_images("", method, there.cams(method), here.cams(method), golden.labels, scoring).sp2ps.mean()
        for method in there.maps
        if method in here.maps
    ]
    return float(min(means)) if means else None
