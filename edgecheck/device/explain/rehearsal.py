"""Opens and runs a cut file in a limited process before this one does: ONNX Runtime may crash on an unusual graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecheck.attribution.source import ExplainedSubject
from edgecheck.device.runtime import ort, probe
from edgecheck.device.runtime.ort import Options
from edgecheck.device.runtime.session import open_classifier
from edgecheck.errors import ModelError

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


def rehearse_outputs(path: Path, options: Options, shape: tuple[int, int, int], tensors: Sequence[str]) -> None:
    """Run random images through the part of a file that leads to some of its tensors, in a process of its own.

    Raises:
        ModelError: that part cannot be run.
        MeasurementError: ONNX Runtime crashed, took too long, or needed too much memory.
    """
    probe.in_child(__name__, path, options, {"shape": shape, "tensors": list(tensors)})


def main(arguments: list[str]) -> int:
    """Do what is asked for with random images; write the tensors, or the error, to stdout as JSON."""
    return probe.answer(arguments, _run)


def _run(path: Path, options: Options, request: Mapping[str, Any]) -> dict[str, Any]:
    images = np.random.default_rng(0).random((IMAGES, *request["shape"]), np.float32)
    if "tensors" in request:
        return _read(path, options, images, request["tensors"])
    return _explained(path, options, images, request)


def _read(path: Path, options: Options, images: NDArray[np.float32], tensors: list[str]) -> dict[str, Any]:
    from edgecheck.device.explain.opening import open_wiring
    from edgecheck.device.explain.wiring import body

    whole = open_classifier(path, options)
    graph = open_wiring(whole, (images.shape[1], images.shape[2], images.shape[3])).graph
    session = ort.start(path, options, body(graph, tensors).SerializeToString())
    ort.run(path, session, tensors, whole.feed(images[: whole.batch or IMAGES]), ModelError)
    return {"tensors": tensors}


def _explained(path: Path, options: Options, images: NDArray[np.float32], request: Mapping[str, Any]) -> dict[str, Any]:
    from edgecheck.device.explain.source import opened

    subject = ExplainedSubject(path, target_layer=request["target_layer"], runtime=options)
    source = opened(subject, images)
    source.checked = True  # noise shows whether it runs; what it computes is checked on real images
    evidence = source.answer(images).evidence(np.zeros(IMAGES, np.int64))
    evidence.head(evidence.activations[:, None])
    if "gradients" in source.gives:
        evidence.gradients()
    return {"target": source.target_layer}
