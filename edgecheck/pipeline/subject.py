"""What stages take as input beside plain values: the images, the data they come from, and networks."""

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
    """The test images as `data.npz` holds them.

    `classes` says which outputs of a network the classes of the data are, see `DataSpec.classes`; `shape` is that of an
    image.
    """

    file: Artefact
    shape: Shape
    classes: list[int | list[str]] = field(factory=list)

    def load(self) -> ImageSet:
        """Return the images; pixels stay on disk until they are asked for."""
        # The store has compared the file with its hash.
        return images.with_outputs(images.load_npz(self.file.path, verified=True), self.classes)


@frozen
class DataSource:
    """A data set with the hashes of its files; None where it has no files of its own, or they are not there yet."""

    spec: DataSpec
    contents: list[str] | None

    def load(self, split: Literal["train", "test"], how: Preprocessing, desk: Desk) -> ImageSet:
        """Return one split; decoded images lie in `desk.scratch`.

        Raises:
            DataError: see `edgecheck.lab.data.load`.
            DependencyError: PyTorch is not installed.
        """
        need_lab()
        from edgecheck.lab import data

        if split == "train":
            return _training_split(self, how, desk)
        return data.load(self.spec, how, split, desk.progress, desk.scratch)


# The training split that this process read last: every variant is trained on the same.
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
    """Training images drawn by a seed; `setting` is the key of the configuration that says how many."""

    source: DataSource
    preprocessing: Preprocessing
    count: int
    seed: int
    setting: str = locator()

    def load(self, desk: Desk) -> tuple[ImageSet, list[int]]:
        """Return the images, and their places in the training split.

        Raises:
            DataError: the training split has fewer.
        """
        split = self.source.load("train", self.preprocessing, desk)
        require_images(self.setting, self.count, len(split))
        return images.draw(split, self.count, self.seed)


def require_images(setting: str, count: int, available: int) -> None:
    """Refuse to draw more training images than there are; `setting` is the key that says how many.

    Raises:
        DataError: as said.
    """
    if count > available:
        raise DataError(
            f"{setting}: {count} images are asked for, but the training split has {available}: set it to at most that"
        )


def calibrated(scheme: str) -> bool:
    """Return whether a quantization takes ranges from images."""
    from edgecheck.lab.quantize import CALIBRATED

    return scheme in CALIBRATED


@frozen
class Seen:
    """Which training images a stage looked at."""

    places: list[int]
    sha256: str


@frozen
class Network:
    """A PyTorch module, by how it is made; each stage builds its own.

    `identity` is the content of `model`: hashes of the factory's source and of what it reads, its arguments, its
    weights. `seed` draws what the factory leaves to chance. A compressed network is what the factory makes, without the
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
            ModelError: the factory fails, or makes another network than the cuts and the weights are of.
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
    """Raise a DependencyError with the command that cures it where the workstation extra is not installed."""
    try:
        import edgecheck.lab  # noqa: F401
    except ImportError as error:
        raise DependencyError(
            f"this needs PyTorch twins, but {error.name or error} is not installed; run: pip install 'edgecheck[lab]'"
        ) from None


def build_module(spec: ModelSpec, seed: int) -> nn.Module:
    """Build a module by its factory; what the factory leaves to chance is drawn from `seed`."""
    need_lab()
    import torch

    from edgecheck.lab import subjects

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return subjects.build(spec)


def reshaped(module: nn.Module, cuts: Mapping[str, Sequence[int]], shape: Sequence[int], weights: Path) -> nn.Module:
    """Return a copy of a factory's module without the channels that were cut, with the weights that were saved."""
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
