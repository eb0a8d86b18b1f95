"""`python -m tests.board_files FOLDER`: two small ONNX files and test images, for trying an installation."""

import sys
from pathlib import Path

import numpy as np

from edgecheck.images import ImageSet, save_npz
from tests.device.small_files import write

SIZE = (16, 16)


def write_all(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "a.onnx", shape=("N", 3, *SIZE))
    write(folder / "b.onnx", shape=("N", *SIZE, 3), layout="NHWC", softmax=True)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (40, *SIZE, 3), dtype=np.uint8)
    labels = images.mean(axis=(1, 2)).argmax(axis=1).astype(np.int64)
    save_npz(folder / "data.npz", ImageSet(images, labels, ("red", "green", "blue", "none")))


if __name__ == "__main__":
    write_all(Path(sys.argv[1]))
