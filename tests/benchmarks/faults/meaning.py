"""Named labels, pixels and gates that mean nothing: none may pass."""

from __future__ import annotations

import shutil
import struct
import zipfile
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from edgecheck.images import take
from tests.benchmarks.faults.cases import Case, Place, named
from tests.benchmarks.faults.checks import check, check_files, gate, images
from tests.benchmarks.faults.material import config, with_labels
from tests.benchmarks.faults.outcomes import expect_exit, expect_no_pass, expect_refusal, generator

NAME = "meaning"
DIGITS = ("--mean", "0.3053", "--std", "0.3233")


# Labels and pixels with which accuracy means nothing.


def _shuffled(place: Place) -> tuple[str, str]:
    data = images(place)
    labels = generator(NAME, place.number).permutation(data.labels)
    return expect_no_pass(check(place, data=with_labels(data, labels, place.folder / "shuffled.npz")))


def _turned(place: Place) -> tuple[str, str]:
    """Classes in another order, as a data set sorted by other names has them."""
    data = images(place)
    return expect_no_pass(check(place, data=with_labels(data, (data.labels + 1) % 10, place.folder / "turned.npz")))


def _one_class(place: Place) -> tuple[str, str]:
    """Images of one class only, which a network that always says that class gets right."""
    data = images(place)
    chosen = take(data, [int(i) for i in np.flatnonzero(data.labels == data.labels[0])])
    file = _constant_classifier(place, int(data.labels[0]))
    path = with_labels(chosen, chosen.labels, place.folder / "one.npz")
    return expect_no_pass(check_files(place, file, file, path))


def _constant_classifier(place: Place, label: int) -> Path:
    """Write a copy of the baseline that says the same class of every image."""
    model = onnx.load(place.material.run / "baseline" / "model.onnx")
    last = next(node for node in reversed(model.graph.node) if node.op_type in ("Gemm", "MatMul"))
    for tensor in model.graph.initializer:
        if tensor.name in last.input:
            values = np.zeros_like(numpy_helper.to_array(tensor))
            if values.ndim == 1:
                values[label] = 1.0
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    path = place.folder / "constant.onnx"
    onnx.save(model, path)
    return path


def _constant(place: Place) -> tuple[str, str]:
    file = _constant_classifier(place, 3)
    return expect_no_pass(check_files(place, file, file, place.material.run / "data.npz"))


def _few_images(count: int) -> Case:
    def case(place: Place) -> tuple[str, str]:
        return expect_no_pass(check(place, "--limit", count))

    return case


def _preprocessed(*flags: str) -> Case:
    """A baseline that guesses, since its images are not prepared as it was trained on them."""

    def case(place: Place) -> tuple[str, str]:
        return expect_no_pass(check(place, *flags))

    return case


def _right_pixels(place: Place) -> tuple[str, str]:
    """Prepared rightly, the same gate holds."""
    return expect_exit(check(place, *DIGITS), 0)


# Gates that mean nothing.


def _refused_gate(*sentences: str) -> Case:
    """A gate that must be refused, wherever it stands."""

    def case(place: Place) -> tuple[str, str]:
        return expect_refusal(gate(place, *sentences))

    return case


def _refused_in_yaml(sentence: str) -> Case:
    def case(place: Place) -> tuple[str, str]:
        path = place.folder / "edgecheck.yaml"
        path.write_text(config(place.material.weights).replace("size.bytes <= 1 MB", sentence))
        return expect_refusal(place.fork("run", path, "--out", place.folder / "run"))

    return case


def _held_gate(*sentences: str) -> Case:
    """A gate that is none of those, and must not be refused with them."""

    def case(place: Place) -> tuple[str, str]:
        return expect_exit(gate(place, *sentences), 0, 1)

    return case


# Pixels that are not those which were written.


def _flipped_pixels(share: float) -> Case:
    """Flip a bit of `images.npy`, so far into the pixels; the archive's checksum no longer fits."""

    def case(place: Place) -> tuple[str, str]:
        path = _archive(place)
        start, size = _member(path, "images.npy")
        content = bytearray(path.read_bytes())
        content[start + 128 + int((size - 129) * share)] ^= 0x80
        path.write_bytes(content)
        return expect_refusal(check(place, data=path))

    return case


def _other_checksum(place: Place) -> tuple[str, str]:
    """Change the checksum that the archive keeps of its pixels."""
    path = _archive(place)
    with zipfile.ZipFile(path) as archive:
        checksum = struct.pack("<L", archive.getinfo("images.npy").CRC)
    path.write_bytes(path.read_bytes().replace(checksum, bytes([checksum[0] ^ 1]) + checksum[1:]))
    return expect_refusal(check(place, data=path))


def _short_member(place: Place) -> tuple[str, str]:
    """Keep half of the pixels: the header promises more, and the next member follows."""
    path = _archive(place)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["images.npy"] = members["images.npy"][: len(members["images.npy"]) // 2]
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(members, key=lambda name: name != "images.npy"):
            archive.writestr(name, members[name])
        archive.writestr("padding.npy", bytes(len(members["images.npy"]) * 2))
    return expect_refusal(check(place, data=path))


def _archive(place: Place) -> Path:
    return Path(shutil.copyfile(place.material.run / "data.npz", place.folder / "data.npz"))


def _member(path: Path, name: str) -> tuple[int, int]:
    """Return where the bytes of an uncompressed member begin, and how many they are."""
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(name)
    header = path.read_bytes()[info.header_offset : info.header_offset + 30]
    lengths = struct.unpack("<HH", header[26:30])
    return info.header_offset + 30 + sum(lengths), info.file_size


CASES: dict[str, Case] = {
    "the right pixels": _right_pixels,
    "labels shuffled": _shuffled,
    "classes in another order": _turned,
    "a network that always says the one class there is": _one_class,
    "a network that always says one class": _constant,
    "one image": _few_images(1),
    "two images": _few_images(2),
    "a wrong range": _preprocessed("--range", "0,0.001", *DIGITS),
    "another mean": _preprocessed("--mean", "50", "--std", "1"),
    "a reversed limit of the drop": _refused_gate("accuracy_drop_pp >= 2"),
    "a reversed limit of the accuracy": _refused_gate("accuracy <= 0.9"),
    "a reversed limit of the size": _refused_gate("size.bytes >= 1 kB"),
    "a reversed limit of Sp2PS": _refused_gate("sp2ps.grad-cam <= 0.9"),
    "a reversed limit of the latency": _refused_gate("latency.ratio >= 1"),
    "a reversed limit that is strict": _refused_gate("accuracy_drop_pp > 2"),
    "a reversed limit beside the control": _refused_gate("accuracy <= control"),
    "a reversed limit, only a warning": _refused_gate("accuracy_drop_pp >= 2 warn", "size.bytes <= 1 MB"),
    "a reversed limit in the configuration": _refused_in_yaml("accuracy >= 0.9\n    - size.bytes >= 1 kB"),
    "a limit on both sides": _held_gate("accuracy_drop_pp >= -5", "accuracy_drop_pp <= 5"),
    "a latency without a unit": _refused_gate("latency.p90_s <= 5"),
    "a median latency without a unit": _refused_gate("latency.p50_s <= 3"),
    "a latency without a unit in the configuration": _refused_in_yaml("latency.p90_s <= 5"),
    "a latency with its unit": _held_gate("latency.p50_s <= 5 ms"),
    **{f"a pixel flipped at {share:.0%}": _flipped_pixels(share) for share in (0, 0.2, 0.5, 0.8, 1)},
    "another checksum of the pixels": _other_checksum,
    "half of the pixels": _short_member,
}

SHORT = (
    "the right pixels",
    "labels shuffled",
    "one image",
    "a reversed limit of the drop",
    "a latency without a unit",
    "a pixel flipped at 50%",
    "half of the pixels",
)
KIND = named(NAME, CASES, SHORT)
