"""Opens and runs a cut file in a limited process before this one does: ONNX Runtime may crash on an unusual graph."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgecheck.attribution.source import ExplainedSubject
from edgecheck.device.runtime import probe
from edgecheck.device.runtime.ort import Options

IMAGES = 2  # noise; more than one, so that a graph for one image alone is noticed


def rehearse(path: Path, options: Options, shape: tuple[int, int, int], target_layer: str | None) -> None:
    """Explain random images in a process of its own.

    Args:
        path: the file.
        options: how it is run.
        shape: channels, height, width of an image.
        target_layer: where it is cut, see `target.find_target`.

    Raises:
        ModelError: the file cannot be cut or run there.
        MeasurementError: ONNX Runtime crashed, took too long, or needed too much memory.
    """
    probe.in_child(__name__, path, options, {"shape": shape, "target_layer": target_layer})


def main(arguments: list[str]) -> int:
    """Explain random images; write the target tensor, or the error, to stdout as JSON."""
    return probe.answer(arguments, _explained)


def _explained(path: Path, options: Options, request: Mapping[str, Any]) -> dict[str, Any]:
    from edgecheck.device.explain.source import opened

    images = np.random.default_rng(0).random((IMAGES, *request["shape"]), np.float32)
    subject = ExplainedSubject(path, target_layer=request["target_layer"], runtime=options)
    source = opened(subject, images)
    source.checked = True  # noise shows whether it runs; what it computes is checked on real images
    evidence = source.answer(images).evidence(np.zeros(IMAGES, np.int64))
    evidence.head(evidence.activations[:, None])
    if "gradients" in source.gives:
        evidence.gradients()
    return {"target": source.target_layer}
