"""What the cases start from: a finished run of the digits network, small files, images; each is made once."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
import onnx
from attrs import frozen

from edgecheck.images import ImageSet, load_npz, save_npz
from tests.benchmarks.faults.processes import RUN_LIMIT_S, Surroundings, Watch, fork
from tests.board_files import write_all

IMAGES = 40

CONFIG = """\
name: faults
model:
  factory: {factory}
  weights: {weights}
data:
  dataset: digits
  limit: {images}
  train_limit: 64
explain:
  methods: [grad-cam]
  pictures: 1
{variants}finetune:
  epochs: 1
quantize:
  images: 16
measure:
  latency_budget_s: 0.02
  rss: false
gate:
  require: any
  criteria:
    - accuracy_drop_pp <= 30
    - size.bytes <= 1 MB
"""
VARIANTS = """\
variants:
  - {criterion: l1, structure: filters, rate: 0.5}
  - {quantization: int8}
"""

CHECK_CONFIG = """\
data: {dataset: npz}
measure: {rss: false}
gate: {criteria: [accuracy_drop_pp <= 1]}
"""

NETWORK = """\
from pathlib import Path

from edgecheck.models.digits_cnn import DigitsCNN
from inner.scale import scale
from neighbour import SIGN

def number(file):
    return float(Path(__file__).with_name(file).read_text())

class Network(DigitsCNN):
    def forward(self, images):
        return SIGN * scale() * self.factor * number("later.txt") * super().forward(images)

def build():
    network = Network()
    network.factor = number("factor.txt")
    return network
"""


@frozen
class Material:
    """The folder of what cases start from; they copy what they change."""

    folder: Path

    @property
    def config(self) -> Path:
        """The configuration of the finished run."""
        return self.folder / "edgecheck.yaml"

    @property
    def sweep_config(self) -> Path:
        """The same without variants: a sweep's options name them."""
        return self.folder / "sweep.yaml"

    @property
    def check_config(self) -> Path:
        """A configuration of a check that measures no memory: a process of its own for that is most of the time."""
        return self.folder / "check.yaml"

    @property
    def weights(self) -> Path:
        """The digits network's weights, a copy."""
        return self.folder / "weights.safetensors"

    @property
    def run(self) -> Path:
        """A finished run folder whose gate holds."""
        return self.folder / "run"

    @property
    def board(self) -> Path:
        """Small ONNX files `a.onnx`, `b.onnx` and images `data.npz` with which they agree."""
        return self.folder / "board"

    @property
    def network(self) -> Path:
        """A folder with a factory `net.py:build` that imports a neighbour, a package, and reads a file."""
        return self.folder / "network"

    @property
    def images(self) -> Path:
        """An image folder, `test/CLASS/*.bmp` and `train/CLASS/*.bmp`: the board's, all files of one size."""
        return self.folder / "images"

    def make(self) -> None:
        """Make everything; what is there already stays."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with resources.as_file(resources.files("edgecheck.models") / "digits_cnn.safetensors") as weights:
            shutil.copyfile(weights, self.weights)
        for path, variants in ((self.config, VARIANTS), (self.sweep_config, "")):
            path.write_text(config(self.weights, variants=variants))
        self.check_config.write_text(CHECK_CONFIG)
        write_all(self.board)
        write_network(self.network)
        if not self.run.exists():
            self.make_run(["run", self.config, "--out", self.run], self.run)
        if not self.images.exists():
            _write_images(self.images, load_npz(self.board / "data.npz"))

    def make_run(self, command: Sequence[object], run: Path) -> None:
        """Carry out a run or sweep that nobody disturbs, and note how long it takes.

        Raises:
            RuntimeError: it fails, so there is nothing to start from.
        """
        ended = fork(command, Surroundings(self.folder, Watch(RUN_LIMIT_S)))
        if ended.code != 0:
            raise RuntimeError(f"a run that nobody disturbed ended with exit code {ended.code}: {ended.err[-1000:]}")
        run.with_suffix(".seconds").write_text(str(ended.seconds))

    def seconds(self, run: Path) -> float:
        """Return how long a run of `make_run` took."""
        return float(run.with_suffix(".seconds").read_text())


def config(weights: Path, factory: str = "edgecheck:digits_cnn", variants: str = VARIANTS) -> str:
    """Return the text of a configuration that takes seconds and yet goes through every stage."""
    return CONFIG.format(factory=factory, weights=weights, images=IMAGES, variants=variants)


def write_network(folder: Path) -> None:
    """Write a factory with all that it depends on."""
    (folder / "inner").mkdir(parents=True, exist_ok=True)
    (folder / "net.py").write_text(NETWORK)
    (folder / "neighbour.py").write_text("SIGN = 1.0\n")
    (folder / "inner" / "__init__.py").write_text("")
    (folder / "inner" / "scale.py").write_text("def scale():\n    return 1.0\n")
    for file in ("factor.txt", "later.txt"):
        (folder / file).write_text("1.0\n")


def _write_images(root: Path, data: ImageSet) -> None:
    """Write each image into both splits; bitmaps, since their size tells nothing of their content.

    The folders' names sort in the order of the classes; the first image stands for the class that no image is of.
    """
    for index, label in [*enumerate(data.labels), (0, len(data.classes) - 1)]:
        for split in ("train", "test"):
            folder = root / split / f"{label}-{data.classes[label]}"
            folder.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / f"{index:03d}.bmp"), data.images[index][..., ::-1])


def with_labels(data: ImageSet, labels: np.ndarray, path: Path, classes: tuple[str, ...] | None = None) -> Path:
    """Write the images with other labels or class names, in the preprocessing of the digits network."""
    from edgecheck.config.plan import Preprocessing

    save_npz(
        path, ImageSet(data.images[:], labels, classes or data.classes), Preprocessing(mean=[0.3053], std=[0.3233])
    )
    return path


@functools.lru_cache(maxsize=4)
def model_of(path: Path) -> onnx.ModelProto:
    """Return a model that mutations copy."""
    return onnx.load(path)
