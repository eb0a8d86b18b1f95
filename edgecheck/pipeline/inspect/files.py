"""Helpers of `bench` and `layers` for several files: short names, and the common image size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgecheck.device.runtime import probe, session
from edgecheck.device.runtime.ort import Options
from edgecheck.errors import ModelError

ImageShape = tuple[int, int, int]


def short_names(files: Sequence[Path]) -> list[str]:
    """Return names with as many parent folders as make them unique; a file given twice gets a number."""
    depths = range(1, max(len(file.parts) for file in files) + 1)
    candidates = [["/".join(file.parts[-depth:]) for file in files] for depth in depths]
    full = [str(file) for file in files]
    names = next((short for short in candidates if len(set(short)) == len(set(files))), full)
    return [name if names.index(name) == index else f"{name} ({index + 1})" for index, name in enumerate(names)]


def try_out(files: Sequence[Path], shape: ImageShape | None, options: Options) -> ImageShape:
    """Run each file once in a separate process with limits; return the image size (channels, height, width).

    Args:
        files: ONNX files.
        shape: the size for the dimensions that all files leave free.
        options: how the files are run.

    Raises:
        ModelError: a file cannot be run, or the files do not take images of one size.
        MeasurementError: a run crashed, took too long or needed too much memory.
    """
    size = common_shape([session.input_size(path) for path in files], shape)
    for path in files:
        probe.run(path, options, size)
    return size


def common_shape(sizes: Sequence[tuple[int | None, ...]], shape: ImageShape | None) -> ImageShape:
    """Return the image size that the files fix, and that of `shape` for the dimensions they leave free.

    Raises:
        ModelError: the files fix different sizes, or leave a dimension free that `shape` does not give.
    """
    for axis, name in enumerate(("channels", "height", "width")):
        fixed = {number for size in sizes if (number := size[axis]) is not None}
        if len(fixed) > 1:
            raise ModelError(f"the files take images of different {name} ({', '.join(map(str, sorted(fixed)))})")
    merged = [next((size[axis] for size in sizes if size[axis]), None) for axis in range(3)]
    filled = [size or (shape[axis] if shape else None) for axis, size in enumerate(merged)]
    if None in filled:
        raise ModelError("the files leave the image size free; give it: --shape CHANNELS,HEIGHT,WIDTH")
    channels, height, width = (int(size) for size in filled if size is not None)
    return channels, height, width
