"""Malformed images in a folder, and malformed weights."""

from __future__ import annotations

import json
import os
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import safetensors.torch
import torch
from numpy.random import Generator

from tests.benchmarks.faults import mutations
from tests.benchmarks.faults.cases import Kind
from tests.benchmarks.faults.material import Material
from tests.benchmarks.faults.npz_files import checked
from tests.benchmarks.faults.outcomes import Outcome, generator, judge_refusal
from tests.benchmarks.faults.processes import Surroundings, fork

NAME = "pictures"

IMAGE_SHARE = 0.6
UNSIZED_SHARE = 0.3  # of damaged images are checked without a word of their size
SIZE = ("--size", "16x16")
SUFFIXES = (".png", ".jpg", ".bmp", ".webp", ".tif", ".ppm")


def attempt(number: int, material: Material, folder: Path) -> Outcome:
    """Put damaged images or weights before a check."""
    random = generator(NAME, number)
    if number < len(ODD_FOLDERS):  # each of them once; they are not drawn
        name, command = _images(material, folder, list(ODD_FOLDERS)[number])
    elif number < len(ODD_FOLDERS) + len(ODD_WEIGHTS):
        name, command = _weights(material, folder, list(ODD_WEIGHTS)[number - len(ODD_FOLDERS)])
    elif random.random() < IMAGE_SHARE:
        name, command = _damaged_image(random, material, folder)
    else:
        name, command = _damaged_weights(random, material, folder)
    ended = fork(command, Surroundings(folder))
    return Outcome(NAME, number, name, *judge_refusal(ended), ended.seconds)


def _images(material: Material, folder: Path, name: str) -> tuple[str, list[object]]:
    root = Path(shutil.copytree(material.images, folder / "images"))
    ODD_FOLDERS[name](root)
    return f"images: {name}", checked(material, root, *SIZE)


def _damaged_image(random: Generator, material: Material, folder: Path) -> tuple[str, list[object]]:
    root = Path(shutil.copytree(material.images, folder / "images"))
    first = next(iter(sorted((root / "test").rglob("*.bmp"))))
    suffix = mutations.pick(random, SUFFIXES)
    whole = cv2.imencode(suffix, cv2.imread(str(first)))[1].tobytes()
    name, content = mutations.damaged(random, whole)
    first.with_suffix(suffix).write_bytes(content)
    if random.random() < UNSIZED_SHARE:
        return f"images: {suffix} {name}, unsized", checked(material, root, memory=True)
    return f"images: {suffix} {name}", checked(material, root, *SIZE)


def _twin(material: Material, weights: Path) -> list[object]:
    file = material.run / "baseline" / "model.onnx"
    twin = ["--candidate-twin", "edgecheck:digits_cnn", "--candidate-weights", weights]
    return checked(material, material.run / "data.npz", *twin, baseline=file, candidate=file)


def _damaged_weights(random: Generator, material: Material, folder: Path) -> tuple[str, list[object]]:
    suffix = mutations.pick(random, (".safetensors", ".pt"))
    weights = folder / f"weights{suffix}"
    if suffix == ".pt":
        torch.save(safetensors.torch.load_file(material.weights), weights)
    else:
        shutil.copyfile(material.weights, weights)
    if suffix == ".safetensors" and random.random() < 0.5:
        name = _damaged_header(random, weights)
    else:
        name, content = mutations.damaged(random, weights.read_bytes())
        weights.write_bytes(content)
    return f"weights: {suffix} {name}", _twin(material, weights)


def _damaged_header(random: Generator, weights: Path) -> str:
    """Damage the JSON before the tensors."""
    content = weights.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    done = mutations.operated_on(random, header)
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    weights.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])
    return done


def _weights(material: Material, folder: Path, name: str) -> tuple[str, list[object]]:
    return f"weights: {name}", _twin(material, ODD_WEIGHTS[name](folder, safetensors.torch.load_file(material.weights)))


def _png(width: int, height: int, data: bytes = b"") -> bytes:
    """A PNG file that promises so many pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def _beside(name: str, content: bytes) -> Callable[[Path], Any]:
    return lambda root: (root / "test" / "0-red" / name).write_bytes(content)


def _rows(width: int, height: int) -> bytes:
    return bytes((1 + 3 * width) * height)


def _loop_of_links(root: Path) -> None:
    (root / "test" / "0-red" / "again").symlink_to(root / "test")


def _only_links(root: Path) -> None:
    for path in list((root / "test" / "0-red").iterdir()):
        path.unlink()
    (root / "test" / "0-red" / "gone.png").symlink_to(root / "nowhere.png")


def _sizes(root: Path) -> None:
    cv2.imwrite(str(root / "test" / "0-red" / "aa.png"), np.zeros((9, 7, 3), np.uint8))


ODD_FOLDERS: dict[str, Callable[[Path], Any]] = {
    "a PNG of 16000x16000": _beside("large.png", _png(16000, 16000, _rows(16000, 16000))),
    "a PNG that promises 2**31 pixels a side": _beside("promise.png", _png(2**31 - 1, 2**31 - 1)),
    "a PNG of no pixels": _beside("none.png", _png(0, 0)),
    "a PNG without data": _beside("short.png", _png(16, 16)),
    "an empty file": _beside("empty.png", b""),
    "a text": _beside("text.jpg", b"no picture"),
    "a name that acts": _beside("\x1b[31mred\nedgecheck: all is well.png", b"no picture"),
    "a name that is no text": lambda root: (root / "test" / "0-red" / os.fsdecode(b"\xff\xfe.png")).write_bytes(b"no"),
    "other sizes": _sizes,
    "a pipe": lambda root: os.mkfifo(root / "test" / "0-red" / "pipe.png"),
    "a device": lambda root: (root / "test" / "0-red" / "zero.png").symlink_to("/dev/zero"),
    "a link to nothing": _only_links,
    "a link to the folder above": _loop_of_links,
    "a folder called an image": lambda root: (root / "test" / "0-red" / "folder.png").mkdir(),
    "a class without images": lambda root: (root / "test" / "violet").mkdir(),
    "a class whose name acts": lambda root: (root / "test" / "0-red").rename(root / "test" / "\x1b[31m<img>\n|"),
    "no classes": lambda root: shutil.rmtree(root / "test") or (root / "test").mkdir(),  # type: ignore[func-returns-value]
    "no splits": lambda root: [shutil.rmtree(path) for path in root.iterdir()],
    "more classes than outputs": lambda root: [
        shutil.copytree(root / "test" / "0-red", root / "test" / f"a{number}") for number in range(5)
    ],
}


def _saved(change: Callable[[dict[str, torch.Tensor]], Any]) -> Callable[[Path, dict[str, torch.Tensor]], Path]:
    """Return a maker of .pt files with what `change` makes of the right weights."""

    def make(folder: Path, state: dict[str, torch.Tensor]) -> Path:
        torch.save(change(state), folder / "weights.pt")
        return folder / "weights.pt"

    return make


def _file(content: bytes, suffix: str = ".safetensors") -> Callable[[Path, dict[str, torch.Tensor]], Path]:
    def make(folder: Path, _state: dict[str, torch.Tensor]) -> Path:
        path = folder / f"weights{suffix}"
        path.write_bytes(content)
        return path

    return make


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, ("ran",))


def _pipe(folder: Path, _state: dict[str, torch.Tensor]) -> Path:
    os.mkfifo(folder / "pipe.pt")
    return folder / "pipe.pt"


def _link(target: str, suffix: str) -> Callable[[Path, dict[str, torch.Tensor]], Path]:
    def make(folder: Path, _state: dict[str, torch.Tensor]) -> Path:
        (folder / f"link{suffix}").symlink_to(target)
        return folder / f"link{suffix}"

    return make


def _first(state: dict[str, torch.Tensor]) -> str:
    return next(name for name, value in state.items() if value.is_floating_point())


ODD_WEIGHTS: dict[str, Callable[[Path, dict[str, torch.Tensor]], Path]] = {
    "code in a pickle": _saved(lambda state: _Evil()),
    "code among the weights": _saved(lambda state: {**state, "evil": _Evil()}),
    "a list": _saved(lambda state: list(state.values())),
    "a number": _saved(lambda state: 3),
    "nothing": _saved(lambda state: {}),
    "one missing": _saved(lambda state: {name: state[name] for name in list(state)[1:]}),
    "one too many": _saved(lambda state: {**state, "\x1b[31mextra\n": torch.zeros(2)}),
    "another shape": _saved(lambda state: {**state, _first(state): torch.zeros(1, 2, 3)}),
    "whole numbers": _saved(lambda state: {name: value.int() for name, value in state.items()}),
    "complex numbers": _saved(lambda state: {**state, _first(state): state[_first(state)].to(torch.complex64)}),
    "NaN": _saved(lambda state: {**state, _first(state): state[_first(state)] * float("nan")}),
    "infinity": _saved(lambda state: {**state, _first(state): state[_first(state)] / 0}),
    "sparse": _saved(lambda state: {**state, _first(state): state[_first(state)].to_sparse()}),
    "no memory": _saved(lambda state: {**state, _first(state): state[_first(state)].to("meta")}),
    "keys that are no text": _saved(lambda state: dict(enumerate(state.values()))),
    "a state in a state": _saved(lambda state: {"state_dict": {"state_dict": {"model": state}}}),
    "empty": _file(b""),
    "text": _file(b"hello"),
    "a header of 2**63 bytes": _file(struct.pack("<Q", 2**63) + b"{}"),
    "a header that is no JSON": _file(struct.pack("<Q", 5) + b"hello"),
    "a deep header": _file(struct.pack("<Q", 200_000) + b"[" * 200_000),
    "tensors beyond the end": _file(
        struct.pack("<Q", 62) + b'{"a":{"dtype":"F32","shape":[9999],"data_offsets":[0,39996]}}   '
    ),
    "a tensor of 2**62 values": _file(
        struct.pack("<Q", 80) + b'{"a":{"dtype":"F32","shape":[2147483648,2147483648],"data_offsets":[0,0]}}'.ljust(80)
    ),
    "an empty pickle": _file(b"", ".pt"),
    "a text pickle": _file(b"hello", ".pt"),
    "another suffix": _file(b"hello", ".bin"),
    "a pipe": _pipe,
    "a device": _link("/dev/zero", ".safetensors"),
    "a device of the other suffix": _link("/dev/zero", ".pt"),
    "a folder": _link(".", ".safetensors"),
}


KIND = Kind(NAME, 130, (1, 2, 5, 14, 19, 20, 31, 46), attempt)
