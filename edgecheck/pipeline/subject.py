"""Inputs of stages other than plain values: images, their data source, and networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from attrs import field, frozen

from edgecheck import images
from edgecheck.artefact import Artefact, locator
from edgecheck.config.plan import DataSpec, ModelSpec, Preprocessing
from edgecheck.errors import DataError, DependencyError, ModelError
from edgecheck.hashing import digest
from edgecheck.images import ImageSet
from edgecheck.pipeline.stage import Desk, keyed

if TYPE_CHECKING:
    import torch
    from torch import nn

Shape = tuple[int, int, int]  # channels, height, width


@frozen
class Images:
    """The test images in `data.npz`.

    `classes` maps the classes of the data to outputs of a network, see `DataSpec.classes`; `shape` is the shape of an
    image.
    """

    file: Artefact
    shape: Shape
    classes: list[int | list[str]] = field(factory=list)

    def load(self) -> ImageSet:
        """Return the images; pixels are read on demand."""
        # The store has already verified the hash of the file.
        return images.with_outputs(images.load_npz(self.file.path, verified=True), self.classes)


@frozen
class DataSource:
    """A data set with the hashes of its files; None if it has no files, or they do not exist yet."""

    spec: DataSpec
    contents: list[str] | None

    def load(self, split: Literal["train", "test"], how: Preprocessing, desk: Desk) -> ImageSet:
        """Return one split; decoded images are stored in `desk.scratch`.

        Raises:
            DataError: see `edgecheck.lab.data.load`.
            DependencyError: PyTorch is not installed.
        """
        need_lab()
        from edgecheck.lab import data

        if split == "train":
            return _training_split(self, how, desk)
        return data.load(self.spec, how, split, desk.progress, desk.scratch)


# The training split that this process read last: all variants are trained on the same one.
_TRAINING: dict[str, ImageSet] = {}


def _training_split(source: DataSource, how: Preprocessing, desk: Desk) -> ImageSet:
    from edgecheck.lab import data

    key = digest({"source": keyed(source), "how": keyed(how), "scratch": str(desk.scratch)})
    if key not in _TRAINING:
        _TRAINING.clear()
        _TRAINING[key] = data.load(source.spec, how, "train", desk.progress, desk.scratch)
    return _TRAINING[key]


@frozen
class Drawn:
    """Training images selected by a seed; `setting` is the configuration key of their number."""

    source: DataSource
    preprocessing: Preprocessing
    count: int
    seed: int
    setting: str = locator()

    def load(self, desk: Desk) -> tuple[ImageSet, list[int]]:
        """Return the images and their indices in the training split.

        Raises:
            DataError: the training split has fewer images.
        """
        split = self.source.load("train", self.preprocessing, desk)
        require_images(self.setting, self.count, len(split))
        return images.draw(split, self.count, self.seed)


def require_images(setting: str, count: int, available: int) -> None:
    """Check that the training split has enough images; `setting` is the configuration key of the number.

    Raises:
        DataError: it has fewer.
    """
    if count > available:
        raise DataError(
            f"{setting}: {count} images are requested, but the training split has {available}: reduce the number"
        )


def calibrated(scheme: str) -> bool:
    """Return whether a quantization scheme needs calibration images."""
    from edgecheck.lab.quantize import CALIBRATED

    return scheme in CALIBRATED


@frozen
class Seen:
    """The training images that a stage used."""

    places: list[int]
    sha256: str


@frozen
class Network:
    """Instructions to build a PyTorch module; each stage builds its own.

    `identity` is the content of `model`: hashes of the factory's source and of the files it reads, its arguments, its
    weights. `seed` seeds the factory's random numbers. A compressed network is the factory's module without the
    channels of `cuts` (by module and side, such as "layer1.conv1 out"), with the weights of `state`.
    """

    identity: dict[str, Any]
    seed: int
    model: ModelSpec = locator()
    shape: Shape | None = None
    cuts: dict[str, list[int]] = field(factory=dict)
    state: Artefact | None = None

    def build(self) -> nn.Module:
        """Return a new module in eval mode.

        Raises:
            DependencyError: PyTorch is not installed.
            ModelError: the factory fails, or the cuts or weights do not fit its network.
        """
        module = build_module(self.model, self.seed)
        if self.state is None:
            return module
        assert self.shape is not None, "a compressed network knows the shape of its images"
        try:
            return reshaped(module, self.cuts, self.shape, self.state.path)
        except ModelError:
            raise
        except Exception as error:  # cuts of another network may fail in any way
            raise ModelError(
                f"{self.state.path.parent}: its cuts do not fit what {self.model.factory} makes "
                f"({type(error).__name__}: {error})"
            ) from error


def need_lab() -> None:
    """Raise a DependencyError that names the install command if the `lab` extra is not installed."""
    try:
        import edgecheck.lab  # noqa: F401
    except ImportError as error:
        raise DependencyError(
            f"this needs PyTorch twins, but {error.name or error} is not installed; run: pip install 'edgecheck[lab]'"
        ) from None


def lab_installed() -> bool:
    """Return whether the workstation extra is installed."""
    try:
        need_lab()
    except DependencyError:
        return False
    return True


def build_module(spec: ModelSpec, seed: int) -> nn.Module:
    """Call the factory of a module, with random numbers seeded by `seed`."""
    need_lab()
    import torch

    from edgecheck.lab import subjects

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return subjects.build(spec)


def reshaped(module: nn.Module, cuts: Mapping[str, Sequence[int]], shape: Sequence[int], weights: Path) -> nn.Module:
    """Return a copy of a factory's module without the removed channels, with the saved weights."""
    from edgecheck.lab import prune
    from edgecheck.lab.weights import load_weights

    pairs = {(module, side): list(gone) for name, gone in cuts.items() for module, side in [name.rsplit(" ", 1)]}
    made = prune.reshaped(module, pairs, example(shape))
    load_weights(made, weights)
    return made


def example(shape: Sequence[int]) -> torch.Tensor:
    """Return a black image `(1, C, H, W)`."""
    import torch

    return torch.zeros(1, *shape)
