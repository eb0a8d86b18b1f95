"""Malformed npz archives, as the images of a check."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.random import Generator

from tests.benchmarks.faults import mutations
from tests.benchmarks.faults.cases import Kind
from tests.benchmarks.faults.material import Material
from tests.benchmarks.faults.outcomes import Outcome, generator, judge_refusal
from tests.benchmarks.faults.processes import Surroundings, fork

NAME = "npz"

TYPES = ("|u1", "<f8", "|O", "<M8[ns]", "|V7", "<U5", "<c16", ">i8", "|b1", "<u8", "|S0", "<f2")
SHAPES = ("()", "(0,)", "(40, 16, 16, 3)", "(-1, 16)", "(2**40, 2**40)", "(1e3,)", "(40, 0, 0, 3)", "(True,)", "(40,")
CHECK = ("--time-budget", "0", "--gate", "accuracy_drop_pp <= 1")


def attempt(number: int, material: Material, folder: Path) -> Outcome:
    """Damage an archive of test images and check two files on it."""
    random = generator(NAME, number)
    way = mutations.pick(random, WAYS)
    data = folder / "data.npz"
    name, content = WAYS[way](random, material.board / "data.npz")
    data.write_bytes(content)
    ended = fork(checked(material, data), Surroundings(folder))
    return Outcome(NAME, number, f"{way}: {name}", *judge_refusal(ended), ended.seconds)


def checked(
    material: Material,
    data: Path,
    *more: object,
    baseline: Path | None = None,
    candidate: Path | None = None,
    memory: bool = False,
) -> list[object]:
    """Return the command line that checks two files, or the board's, on some data."""
    files = ["--baseline", baseline or material.board / "a.onnx", "--candidate", candidate or material.board / "b.onnx"]
    config = [] if memory else ["--config", material.check_config]
    return ["check", *files, *config, "--data", data, *CHECK, *more]


def _damaged(random: Generator, path: Path) -> tuple[str, bytes]:
    return mutations.damaged(random, path.read_bytes())


def _header(random: Generator, path: Path) -> tuple[str, bytes]:
    """Rewrite the header of one member: another type, shape, order, or no dictionary at all."""
    members = _members(path)
    name = mutations.pick(random, members)
    dtype, shape = mutations.pick(random, TYPES), mutations.pick(random, SHAPES)
    order = mutations.pick(random, ("True", "False", "None", "1"))
    text = f"{{'descr': '{dtype}', 'fortran_order': {order}, 'shape': {shape}, }}"
    if random.random() < 0.2:
        text = mutations.pick(
            random, ("", "[]", "__import__('os')", "{" * 500, "'a'*10**9", "{'descr': [('a', '<f8')]}")
        )
    members[name] = _npy(text.encode(), members[name][128:])
    return f"{name} {text[:60]}", _archive(members)


def _version(random: Generator, path: Path) -> tuple[str, bytes]:
    members = _members(path)
    name = mutations.pick(random, members)
    content = bytearray(members[name])
    content[int(random.integers(10))] = int(random.integers(256))  # magic, version, or length of the header
    members[name] = bytes(content)
    return name, _archive(members)


def _arrays(random: Generator, path: Path) -> tuple[str, bytes]:
    """Well-formed arrays of a type or shape that is no set of labelled images."""
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    name = mutations.pick(random, ODD_ARRAYS)
    key, array = ODD_ARRAYS[name](arrays)
    arrays[key] = array
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return name, buffer.getvalue()


ODD_ARRAYS: dict[str, Callable[[dict[str, np.ndarray]], tuple[str, np.ndarray]]] = {
    "float images": lambda a: ("images", a["images"].astype(np.float64)),
    "one dimension": lambda a: ("images", a["images"].reshape(-1)),
    "five dimensions": lambda a: ("images", a["images"][None]),
    "no images": lambda a: ("images", a["images"][:0]),
    "no height": lambda a: ("images", a["images"][:, :0]),
    "two channels": lambda a: ("images", a["images"][..., :2]),
    "structured images": lambda a: ("images", np.zeros(40, [("r", "u1"), ("g", "u1")])),
    "other count": lambda a: ("images", a["images"][:7]),
    "negative labels": lambda a: ("labels", a["labels"] - 5),
    "large labels": lambda a: ("labels", a["labels"] + 2**40),
    "labels above int64": lambda a: ("labels", np.full(40, 2**64 - 1, np.uint64)),
    "float labels": lambda a: ("labels", a["labels"] + 0.5),
    "nan labels": lambda a: ("labels", np.full(40, np.nan)),
    "text labels": lambda a: ("labels", a["labels"].astype(str)),
    "bool labels": lambda a: ("labels", a["labels"] > 0),
    "dates as labels": lambda a: ("labels", a["labels"].astype("M8[s]")),
    "two-dimensional labels": lambda a: ("labels", a["labels"][:, None]),
    "few classes": lambda a: ("classes", a["classes"][:1]),
    "numbers as classes": lambda a: ("classes", np.arange(4)),
    "two-dimensional classes": lambda a: ("classes", a["classes"][None]),
    "classes that act": lambda a: ("classes", np.array(["\x1b[31m", "<img>", "two\nlines", "a"])),
    "classes of one name": lambda a: ("classes", np.array(["a", "a", "a", "a"])),
    "nan mean": lambda a: ("mean", np.array([np.nan] * 3)),
    "four means": lambda a: ("mean", np.zeros(4)),
    "zero std": lambda a: ("std", np.zeros(3)),
    "negative std": lambda a: ("std", -np.ones(3)),
    "reversed range": lambda a: ("range", np.array([1.0, 0.0])),
    "text range": lambda a: ("range", np.array(["a", "b"])),
    "three ranges": lambda a: ("range", np.arange(3.0)),
    "infinite range": lambda a: ("range", np.array([0.0, np.inf])),
    "an array of an odd name": lambda a: ("\x1b[31m\nname", np.zeros(1)),
}


def _archives(random: Generator, path: Path) -> tuple[str, bytes]:
    """Archives that the zip format allows and that numpy does not write."""
    members = _members(path)
    name = mutations.pick(random, ODD_ARCHIVES)
    return name, ODD_ARCHIVES[name](members)


def _without(members: dict[str, bytes], name: str) -> bytes:
    return _archive({key: content for key, content in members.items() if key != name})


def _bomb(members: dict[str, bytes]) -> bytes:
    """Two GB of zeros in two MB: a header that promises images, and a deflated member that keeps the promise."""
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (2600000, 16, 16, 3), }"
    return _archive({**members, "images.npy": _npy(header, bytes(2**28))}, zipfile.ZIP_DEFLATED)


def _encrypted(members: dict[str, bytes]) -> bytes:
    content = bytearray(_archive(members))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    return bytes(content)


def _twice(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in [*members.items(), ("labels.npy", members["labels.npy"][:200])]:
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


ODD_ARCHIVES: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "empty": lambda m: _archive({}),
    "no bytes": lambda m: b"",
    "no images": lambda m: _without(m, "images.npy"),
    "no labels": lambda m: _without(m, "labels.npy"),
    "compressed": lambda m: _archive(m, zipfile.ZIP_DEFLATED),
    "lzma": lambda m: _archive(m, zipfile.ZIP_LZMA),
    "bzip2": lambda m: _archive(m, zipfile.ZIP_BZIP2),
    "bomb": _bomb,
    "encrypted": _encrypted,
    "a member twice": _twice,
    "one array, no archive": lambda m: m["images.npy"],
    "text": lambda m: b"images,labels\n1,2\n",
    "a pickle": lambda m: b"\x80\x04\x95\x1e\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93.",
    "a comment of 64 KiB": lambda m: _archive(m)[:-2] + struct.pack("<H", 65535) + bytes(65535),
    "images cut inside": lambda m: _archive({**m, "images.npy": m["images.npy"][: len(m["images.npy"]) // 2]}),
    "no array inside": lambda m: _archive({**m, "images.npy": b"hello"}),
    "nothing inside": lambda m: _archive({**m, "labels.npy": b""}),
}


def _members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _archive(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _npy(header: bytes, body: bytes) -> bytes:
    padded = header + b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(padded)) + padded + body


WAYS: dict[str, Callable[[Generator, Path], tuple[str, bytes]]] = {
    "bytes": _damaged,
    "header": _header,
    "version": _version,
    "arrays": _arrays,
    "archive": _archives,
}


KIND = Kind(NAME, 160, (0, 1, 2, 3, 12), attempt)
