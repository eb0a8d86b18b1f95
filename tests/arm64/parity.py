"""Compares the outputs of float and quantized files on two machines.

`python -m tests.arm64.parity make FOLDER` writes the files and the pixels of the digits, `... logits FOLDER OUT.npz`
their logits on this machine, and `... compare FOLDER HERE.npz THERE.npz` prints the differences as a table.
"""

import sys
from pathlib import Path

import numpy as np

from edgecheck.device.runtime import session

PIXELS = "pixels.npz"
IMAGES = 100  # the float file takes about 60 ms for each in the emulator
CALIBRATION_IMAGES = 128
CALIBRATION_BATCH = 16


class Batches:
    """Feeds the calibration of ONNX Runtime."""

    def __init__(self, name, pixels):
        self.feeds = ({name: pixels[i : i + CALIBRATION_BATCH]} for i in range(0, len(pixels), CALIBRATION_BATCH))

    def get_next(self):
        return next(self.feeds, None)


def make(folder):
    """Write the float file of digits_cnn, quantized copies in every format, and the preprocessed test images."""
    from edgecheck.config import reader
    from edgecheck.images import head, preprocess
    from edgecheck.lab import data, export
    from edgecheck.lab.quantize import Calibration, quantize
    from edgecheck.pipeline.subject import build_module
    from edgecheck.progress import Silent
    from edgecheck.steps import Quantize

    plan = reader.load(Path(__file__).with_name("int8.yaml"))
    how = plan.preprocessing
    tested = head(data.load(plan.data, how, "test", Silent()), IMAGES)
    seen = head(data.load(plan.data, how, "train", Silent()), CALIBRATION_IMAGES)
    source = folder / "float.onnx"
    pixels = preprocess(tested.images[:], how)
    np.savez(folder / PIXELS, pixels=pixels, labels=tested.labels)
    export.export(build_module(plan.model, plan.seed), source, pixels.shape[1:], plan.opset)
    for name, scheme, options in (
        ("qdq-7bit", "int8", Quantize()),
        ("qdq-8bit", "int8", Quantize(reduce_range=False)),
        ("dynamic", "int8-dynamic", Quantize()),
        ("fp16", "fp16", Quantize()),
    ):
        quantize(scheme, source, folder / f"{name}.onnx", Calibration(seen, how, options))
    _write_qoperator(source, folder / "qoperator-8bit.onnx", preprocess(seen.images[:], how))


def _write_qoperator(source, out, pixels):
    """Quantize to QLinearConv and its like, which edgecheck measures but does not write."""
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    name = onnx.load(source, load_external_data=False).graph.input[0].name
    quantize_static(
        source,
        out,
        Batches(name, pixels),
        quant_format=QuantFormat.QOperator,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


def logits(folder, out):
    """Save the logits of every file on the images in `folder`, by name of the file."""
    pixels = np.load(folder / PIXELS)["pixels"]
    files = sorted(folder.glob("*.onnx"))
    assert files, f"{folder}: no .onnx file"
    np.savez(out, **{path.stem: session.open_classifier(path).run(pixels) for path in files})


def compare(folder, here, there):
    """Print a row per file; return whether every image has the same class on both machines."""
    labels = np.load(folder / PIXELS)["labels"]
    ours, theirs = np.load(here), np.load(there)
    assert ours.files
    assert ours.files == theirs.files
    print(f"{'file':15} {'max |delta|':>12} {'images that differ':>19} {'same class':>11} {'accuracy here, there':>22}")
    agreed = [_row(name, ours[name], theirs[name], labels) for name in ours.files]  # a row for each file
    return all(agreed)


def _row(name, ours, theirs, labels):
    delta = np.abs(ours.astype(np.float64) - theirs)
    classes = ours.argmax(1), theirs.argmax(1)
    same = int((classes[0] == classes[1]).sum())
    accuracy = " ".join(f"{(each == labels).mean():.2%}" for each in classes)
    different = int((delta.max(1) > 0).sum())
    print(f"{name:15} {delta.max():12.3g} {different:>12} of {len(labels)} {same:>4} of {len(labels)} {accuracy:>22}")
    return same == len(labels)


if __name__ == "__main__":
    command, *places = sys.argv[1], *map(Path, sys.argv[2:])
    result = {"make": make, "logits": logits, "compare": compare}[command](*places)
    sys.exit(result is False)
