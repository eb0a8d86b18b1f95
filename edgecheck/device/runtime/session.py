"""An open ONNX classifier: takes float32 images (N, C, H, W) and returns class scores (N, classes)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from attrs import frozen
from numpy.typing import NDArray

from edgecheck.device.model import files, signature
from edgecheck.device.model.shapes import data_inputs
from edgecheck.device.model.signature import Layout, Signature
from edgecheck.device.model.tensors import type_name
from edgecheck.device.runtime import ort
from edgecheck.device.runtime.ort import Options
from edgecheck.errors import DataError, MeasurementError
from edgecheck.images import ImageSet

Feed = dict[str, np.ndarray]

DEFAULTS = Options()


@frozen
class _Input:
    """An input as the file declares it, in ONNX Runtime's form."""

    name: str
    type: str
    shape: list[int | str | None]


@frozen(eq=False)
class Classifier:
    """An open ONNX file; sizes are None if the file leaves them free."""

    path: Path
    options: Options
    signature: Signature
    session: onnxruntime.InferenceSession

    @property
    def threads(self) -> int:
        """Intra-op threads."""
        return self.options.threads

    @property
    def input_size(self) -> tuple[int | None, int | None, int | None]:
        """Channels, height and width of the input, for either layout."""
        return self.signature.input_size

    @property
    def classes(self) -> int | None:
        """Number of classes."""
        return self.signature.classes

    @property
    def layout(self) -> Layout:
        """Layout of the input."""
        return self.signature.layout

    @property
    def batch(self) -> int | None:
        """The fixed batch size; None if it is free."""
        return self.signature.batch

    def run(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the class scores `(N, classes)` of float32 images `(N, C, H, W)`, as the file gives them.

        A file with a fixed batch size is run as often as needed; the last batch is filled with copies of the last
        image.

        Raises:
            DataError: the images do not have the channels, height and width that the file expects.
            MeasurementError: the run failed, or gave something other than one row for each image.
        """
        return np.concatenate([self._rows(chunk) for chunk in self._chunks(images)])

    def feed(self, images: NDArray[np.float32]) -> Feed:
        """Return `images` `(N, C, H, W)`, N at most the fixed batch, in the file's own layout, type and batch.

        Raises:
            DataError: the images do not have the channels, height and width that the file expects.
        """
        self._check_size(images.shape)
        missing = max((self.batch or 0) - len(images), 0)
        filled = np.concatenate([images, np.repeat(images[-1:], missing, axis=0)]) if missing else images
        ordered = filled.transpose(0, 2, 3, 1) if self.layout == "NHWC" else filled
        with np.errstate(over="ignore"):  # beyond float16 is infinite, as the file itself would make it
            return {self.signature.input: np.ascontiguousarray(ordered, dtype=self.signature.dtype)}

    def run_once(self, feed: Feed) -> np.ndarray:
        """Return the output of one run on a prepared feed; this is what latency times.

        Raises:
            MeasurementError: the run failed.
        """
        return ort.run(self.path, self.session, [self.signature.output], feed)[0]

    def _chunks(self, images: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        step = self.batch or len(images)
        return (images[start : start + step] for start in range(0, len(images), step))

    def _rows(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        scores = self.run_once(self.feed(images))
        rows = _flat(scores)
        if rows.ndim != 2 or len(rows) != (self.batch or len(images)):
            raise MeasurementError(
                f"{self.path}: {len(images)} images gave an output of shape {_size(scores.shape)}, not one row for each"
            )
        return rows[: len(images)].astype(np.float32)

    def _check_size(self, shape: tuple[int, ...]) -> None:
        wanted, given = self.input_size, shape[1:]
        if any(want not in (None, got) for want, got in zip(wanted, given, strict=True)):
            advice = "set preprocessing.size" if wanted[0] in (None, given[0]) else "give images of that many channels"
            raise DataError(
                f"{self.path}: input size mismatch: file expects {_size(wanted)}, images are {_size(given)}: {advice}"
            )


def open_classifier(path: str | Path, options: Options = DEFAULTS, layout: Layout | None = None) -> Classifier:
    """Open an ONNX file; `layout` overrides the layout derived from its sizes.

    Raises:
        ConfigError: this ONNX Runtime does not have the provider.
        ModelError: missing, damaged, not ONNX, not runnable by this ONNX Runtime, or not an image classifier.
    """
    path = Path(path)
    files.load_model(path)  # distinguishes the causes of ONNX Runtime's "Protobuf parsing failed"
    session = ort.start(path, options)
    return Classifier(
        path, options, signature.read(str(path), session.get_inputs(), session.get_outputs(), layout), session
    )


def input_size(path: str | Path) -> tuple[int | None, int | None, int | None]:
    """Return channels, height and width that a file expects, None if free, without opening a session.

    Raises:
        ModelError: missing, damaged, not ONNX, or its input is not one batch of images.
    """
    inputs = data_inputs(files.load_model(path).graph)
    return signature.input_size(str(path), [_input(value) for value in inputs])


def check_labels(classifier: Classifier, data: ImageSet) -> None:
    """Check that every label is a class of the file, if the file fixes their number.

    Raises:
        DataError: a label lies outside.
    """
    if classifier.classes is not None:
        check_class_count(classifier.path, classifier.classes, data)


def check_class_count(path: Path, classes: int, data: ImageSet) -> None:
    """Check that every label, or the selected output for it, is one of the `classes` of the file at `path`.

    Raises:
        DataError: a label lies outside.
    """
    if data.selection:
        return data.selection.check(str(path), classes)
    largest = int(data.labels.max())
    if largest >= classes:
        raise DataError(
            f"{path}: it has {classes} outputs, but the data {len(data.classes)} classes, and image "
            f"{int(data.labels.argmax())} has label {largest} (labels count from 0): use the data the file was "
            "trained for, or map the classes to outputs with data.classes"
        )


def _input(value: onnx.ValueInfoProto) -> _Input:
    tensor = value.type.tensor_type
    shape = [dim.dim_value or dim.dim_param or None for dim in tensor.shape.dim]
    return _Input(value.name, f"tensor({type_name(tensor.elem_type).lower()})", shape)


def _flat(scores: np.ndarray) -> np.ndarray:
    """Return (N, C, 1, 1) and (N, 1, 1, C) as (N, C); everything else as it is."""
    is_map = scores.ndim == 4 and sum(size != 1 for size in scores.shape[1:]) <= 1
    return scores.reshape(len(scores), -1) if is_map else scores


def _size(shape: tuple[int | None, ...]) -> str:
    return "x".join("?" if size is None else str(size) for size in shape)
