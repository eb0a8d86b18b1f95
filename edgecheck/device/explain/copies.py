"""Explains copies of a file with random parameters, each on its share of the images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from attrs import frozen
from google.protobuf.message import EncodeError
from numpy.typing import NDArray

from edgecheck import images
from edgecheck.attribution import engine
from edgecheck.attribution.explanation import NOT_FINITE, Explanation
from edgecheck.attribution.source import ExplainedSubject
from edgecheck.config.plan import Preprocessing
from edgecheck.device.explain.rehearsal import rehearse
from edgecheck.device.explain.source import opened
from edgecheck.device.model.files import load_model
from edgecheck.device.model.randomize import Layers, randomized
from edgecheck.device.runtime.ort import Options
from edgecheck.errors import ModelError
from edgecheck.images import ImageSet
from edgecheck.progress import Progress
from edgecheck.score.cam_file import CamFile
from edgecheck.scratch import temporary_folder


@frozen(eq=False)
class Explaining:
    """How copies are explained.

    Attributes:
        file: the file to copy.
        data: the images.
        classes: the class to explain of each image `(N,)`; None for the one that the copy predicts.
        preprocessing: of the images.
        methods: the attribution methods.
        layer: the tensor to explain; None for the default target.
        options: how the copies are run.
    """

    file: Path
    data: ImageSet
    classes: NDArray[np.int64] | None
    preprocessing: Preprocessing
    methods: Sequence[str]
    layer: str | None
    options: Options


@frozen(eq=False)
class Copy:
    """The images of a copy by their places in the data, its maps of them, and the methods without maps."""

    places: NDArray[np.intp]
    cams: CamFile
    missing: dict[str, str]


def explained(how: Explaining, layers: Layers, copies: int, seed: int, progress: Progress) -> Iterator[Copy]:
    """Yield the copies; copy k of n explains images k, k + n, k + 2n, ...

    Args:
        how: what is explained.
        layers: which layers have random parameters.
        copies: their number; fewer if there are fewer images.
        seed: of the parameters.
        progress: told of each copy.

    Raises:
        ModelError: the file has no weights that can be random, or a copy cannot be explained.
        MeasurementError: ONNX Runtime crashes on a copy.
    """
    model, count = load_model(how.file), min(copies, len(how.data))
    with temporary_folder() as room:
        path = room / f"{how.file.stem}-random-{layers}.onnx"
        for number in progress.track(range(count), f"explaining copies, {layers} random", count):
            _save(randomized(model, layers, (seed, number)), path)
            places = np.arange(number, len(how.data), count)
            try:
                yield _explained(how, path, places, tried=number > 0)
            except ModelError as error:
                raise ModelError(str(error).replace(f"{room}/", "")) from error


def _save(model: onnx.ModelProto, path: Path) -> None:
    try:
        path.write_bytes(model.SerializeToString())
    except (EncodeError, ValueError):
        raise ModelError("the file is too large to copy: ONNX allows 2 GiB without external data") from None


def _explained(how: Explaining, path: Path, places: NDArray[np.intp], tried: bool) -> Copy:
    """Explain a copy.

    Only the first one is `tried` in a process of its own, and compared with its parts: the graphs of all are the same.
    """
    data = images.take(how.data, [int(place) for place in places])
    if not tried:
        rehearse(path, how.options, data.shape, how.layer)
    subject = ExplainedSubject(onnx_file=path, target_layer=how.layer, runtime=how.options)
    source = opened(subject, images.preprocess(data.images[:1], how.preprocessing))
    source.checked = tried
    missing = engine.refused(source, how.methods)
    able = [method for method in how.methods if method not in missing]
    classes = None if how.classes is None else how.classes[places]
    explanation = engine.explain(source, data, how.preprocessing, able, classes)
    cams = CamFile(explanation.maps, explanation.logits, explanation.classes)
    return Copy(places, cams, missing | _not_finite(explanation))


def _not_finite(explanation: Explanation) -> dict[str, str]:
    return {
        str(one.fields["method"]): f"{one.fields['maps']} maps of a copy with random parameters are not finite"
        for one in explanation.warnings
        if one.id == NOT_FINITE
    }
