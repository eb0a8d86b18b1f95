"""Changes of what a stage depends on: files whose names, sizes and times stay, and another machine."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import safetensors.torch

from edgecheck.images import load_npz
from tests.benchmarks.faults.cases import Place
from tests.benchmarks.faults.copies import replaced_unseen
from tests.benchmarks.faults.material import with_labels


def write(file: str, text: str) -> Callable[[Place], None]:
    """Write other text of the same length into a file of the case's folder, unseen by its size and time."""
    return lambda place: replaced_unseen(place.folder / file, text.encode())


def swapped_images(place: Place) -> None:
    """Swap the images of two classes, file by file: names, sizes and times stay."""
    red, green = (sorted((place.folder / "images" / "test" / name).iterdir()) for name in ("0-red", "1-green"))
    for one, other in zip(red, green, strict=False):
        first, second = one.read_bytes(), other.read_bytes()
        replaced_unseen(one, second)
        replaced_unseen(other, first)


def other_labels(place: Place) -> None:
    """Give an npz other labels; its size and times stay."""
    path = place.folder / "data.npz"
    data = load_npz(path)
    other = with_labels(data, (data.labels + 1) % 3, place.folder / "other.npz")
    content = other.read_bytes()
    other.unlink()
    # The preprocessing that the writer adds makes it longer; an archive of the same arrays has the same size.
    if len(content) != path.stat().st_size:
        np.savez(other, images=data.images[:], labels=(data.labels + 1) % 3, classes=np.array(data.classes, str))
        content = other.read_bytes()
        other.unlink()
    replaced_unseen(path, content)


def other_classes(place: Place) -> None:
    """Turn the class names of an npz around."""
    path = place.folder / "data.npz"
    data = load_npz(path)
    content = with_labels(data, data.labels, place.folder / "other.npz", data.classes[::-1]).read_bytes()
    path.write_bytes(content)


def negated(file: str) -> Callable[[Place], None]:
    """Negate the numbers of a file of weights: external data of float32."""

    def change(place: Place) -> None:
        path = place.folder / file
        content = bytearray(path.read_bytes())
        whole = len(content) // 4 * 4
        numbers = np.frombuffer(bytes(content[:whole]), np.float32)
        content[:whole] = (-numbers).tobytes()
        replaced_unseen(path, bytes(content))

    return change


def scrambled(file: str) -> Callable[[Place], None]:
    """Turn the bytes of a file around: the same bytes, other weights."""
    return lambda place: replaced_unseen(place.folder / file, (place.folder / file).read_bytes()[::-1])


def other_weights(place: Place) -> None:
    """Negate the last layer of the twin's weights, unseen by size and time."""
    path = place.folder / "weights.safetensors"
    state = safetensors.torch.load_file(path)
    last = [name for name in state if name.startswith("classifier")]
    content = safetensors.torch.save({name: -state[name] if name in last else state[name] for name in state})
    replaced_unseen(path, content)


def edited_result(file: str, old: str, new: str) -> Callable[[Place], None]:
    def change(place: Place) -> None:
        path = place.run / file
        text = path.read_text()
        assert old in text, f"{file} has no {old}"
        path.write_text(text.replace(old, new))

    return change


def replaced(source: str, target: str) -> Callable[[Place], object]:
    return lambda place: shutil.copyfile(place.run / source, place.run / target)


def version(package: str) -> Callable[[], None]:
    """Return a patch that makes another version of a package known to Python."""

    def patch() -> None:
        distribution = importlib.metadata.Distribution
        told = distribution.version
        assert isinstance(told, property)

        def version(self: importlib.metadata.Distribution) -> str:
            name = (self.metadata["Name"] or "").lower().replace("_", "-")
            return "0.0.1" if name == package else told.fget(self)  # type: ignore[misc]

        distribution.version = property(version)  # type: ignore[assignment, method-assign]
        module = {"torch-pruning": "torch_pruning"}.get(package, package)
        importlib.import_module(module).__version__ = "0.0.1"  # type: ignore[attr-defined]

    return patch


def cpuinfo(old: str, new: str) -> Callable[[], None]:
    """Return a patch that has the kernel tell of another CPU."""

    def patch() -> None:
        from edgecheck.device.runtime import environment

        text = Path("/proc/cpuinfo").read_text()
        lines = [line if not line.startswith(old) else f"{line} {new}" for line in text.splitlines()]
        path = Path(os.getcwd()) / "cpuinfo"
        path.write_text("\n".join(lines) + "\n")
        environment.CPUINFO = path

    return patch


def architecture() -> None:
    platform.machine = lambda: "riscv64"
