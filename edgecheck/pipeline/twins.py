"""Twins: made by a factory, and found again in the folder of a variant.

`twin.json` beside the weights of each float variant says how its twin is made: by which factory, and which channels
were cut out of what the factory makes. It holds no code, and no weights.
"""

from __future__ import annotations

import functools
import json
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from edgecheck import store as storage
from edgecheck.config.plan import ModelSpec
from edgecheck.config.reader import is_file_factory
from edgecheck.errors import DependencyError, InputError, ModelError
from edgecheck.pipeline.entry import Run, Twin
from edgecheck.pipeline.fingerprints import identity
from edgecheck.records import from_dict, to_json
from edgecheck.regular import MOST_REPORT_BYTES, MOST_WEIGHT_BYTES, require_regular
from edgecheck.store import Store

if TYPE_CHECKING:
    from torch import nn

FILE, WEIGHTS = "twin.json", "weights.safetensors"
VERSION = 1
IMAGE, LARGEST = "CHW", 2**14  # the dimensions of an image, and how large each may be


@frozen
class SavedTwin:
    """What `twin.json` holds.

    `factory` is as in the configuration, the path of a file relative to the folder of `twin.json`; `source_sha256` is
    that file's, "" where there is none. `seed` draws what the factory leaves to chance. `shape` is that of an image,
    (C, H, W). `cuts` are the channels removed, by module and side, such as "layer1.conv1 out". `target_layer` is None
    where the default is explained.
    """

    version: int
    factory: str
    seed: int
    shape: list[int]
    weights_sha256: str
    source_sha256: str = ""
    arguments: dict[str, Any] = field(factory=dict)
    cuts: dict[str, list[int]] = field(factory=dict)
    target_layer: str | None = None


def need_lab() -> None:
    """Raise a DependencyError with the command that cures it where the workstation extra is not installed."""
    try:
        import edgecheck.lab  # noqa: F401
    except ImportError as error:
        raise DependencyError(
            f"this needs PyTorch twins, but {error.name or error} is not installed; run: pip install 'edgecheck[lab]'"
        ) from None


def build_twin(spec: ModelSpec, seed: int) -> nn.Module:
    """Build a module; what its factory leaves to chance is drawn from `seed`."""
    need_lab()
    import torch

    from edgecheck.lab import subjects

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return subjects.build(spec)


def reshaped(model: nn.Module, cuts: Mapping[str, Sequence[int]], shape: Sequence[int], weights: Path) -> nn.Module:
    """Return a copy of a factory's module without the channels that were cut, with the weights that were saved."""
    import torch

    from edgecheck.lab import prune
    from edgecheck.lab.weights import load_weights

    pairs = {(module, side): list(gone) for name, gone in cuts.items() for module, side in [name.rsplit(" ", 1)]}
    made = prune.reshaped(model, pairs, torch.zeros(1, *shape))
    load_weights(made, weights)
    return made


def save(job: Run, name: str, cuts: Mapping[str, list[int]]) -> None:
    """Write `twin.json` into the folder of a variant whose weights are there already."""
    spec, folder = job.plan.model, job.store.path(name)
    assert spec is not None, "what was made has a model"
    factory, source = spec.factory, ""
    if is_file_factory(factory):
        file, _, function = factory.rpartition(":")
        source = storage.sha256(Path(file))
        factory = f"{Path(os.path.relpath(Path(file).resolve(), folder.resolve())).as_posix()}:{function}"
    saved = SavedTwin(
        VERSION,
        factory,
        job.plan.seed,
        list(job.data.shape),
        storage.sha256(folder / WEIGHTS),
        source,
        spec.arguments,
        dict(cuts),
        job.plan.explain.target_layer,
    )
    text = to_json(saved)
    if not (folder / FILE).is_file() or (folder / FILE).read_text() != text:
        storage.write_text(folder / FILE, text)


def load(folder: Path) -> nn.Module:
    """Return the twin of a variant, in eval mode; the folder is that of a float variant, of the control or baseline.

    Warns where the factory's file is no longer the one that the variant was made with.

    Raises:
        ConfigError: a factory that this edgecheck does not know.
        DependencyError: PyTorch is not installed.
        ModelError: no twin there, weights that are not the ones it names, or a factory that is not there or makes
            another network.
    """
    saved = read(folder)
    for note in stale(folder, saved):
        warnings.warn(note, stacklevel=3)
    return _loaded(folder, saved)


def twin_in(folder: Path, store: Store, role: str) -> tuple[Twin, list[str]]:
    """Return the twin of a variant, built when it is needed, and what the user should know about it.

    Args:
        folder: of the variant.
        store: of the run that takes the twin.
        role: the folder in `store` that keeps what is made of it.

    Raises:
        ModelError: as `load`, as far as it shows without building.
    """
    saved = read(folder)
    build = functools.cache(lambda: _loaded(folder, saved))
    made_of = identity(_spec(folder, saved), store, role, build)
    made_of |= {"weights": saved.weights_sha256, "saved": storage.sha256(folder / FILE)}
    return Twin(build, made_of, str(folder), role), stale(folder, saved)


def read(folder: Path) -> SavedTwin:
    """Return what the `twin.json` of a folder says.

    Raises:
        ModelError: it is not there or broken, or the weights beside it are not the ones it names.
    """
    path = folder / FILE
    if not path.exists():
        raise ModelError(
            f"{folder}: has no {FILE}; a run writes one for each float variant, a quantized one has no twin of its own"
        )
    require_regular(path, MOST_REPORT_BYTES, ModelError)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: cannot be read ({error})") from None
    version = document.get("version") if isinstance(document, dict) else None
    if version != VERSION:
        raise ModelError(f"{path}: version {version}, but this edgecheck reads {VERSION}: use the one that wrote it")
    try:
        saved = from_dict(document, SavedTwin)
    except InputError as error:
        raise ModelError(f"{path}: {error}") from None
    if len(saved.shape) != len(IMAGE) or not all(1 <= size <= LARGEST for size in saved.shape):
        raise ModelError(f"{path}: shape must be three sizes (C, H, W) of 1 to {LARGEST}, not {saved.shape}")
    if not (folder / WEIGHTS).exists():
        raise ModelError(f"{folder / WEIGHTS}: is gone; run again, or restore it")
    require_regular(folder / WEIGHTS, MOST_WEIGHT_BYTES, ModelError)
    if storage.sha256(folder / WEIGHTS) != saved.weights_sha256:
        raise ModelError(f"{folder / WEIGHTS}: not the weights that {FILE} was written for; run again, or restore them")
    return saved


def stale(folder: Path, saved: SavedTwin) -> list[str]:
    """Return a note where the factory's file has changed: whether the network has, only parity can tell."""
    spec = _spec(folder, saved)
    if not saved.source_sha256 or storage.sha256(_file(spec)) == saved.source_sha256:
        return []
    return [f"{_file(spec)} has changed since {folder / FILE} was written: check parity before trusting this twin"]


def _spec(folder: Path, saved: SavedTwin) -> ModelSpec:
    if not is_file_factory(saved.factory):
        return ModelSpec(saved.factory, None, saved.arguments)
    spec = ModelSpec(str(folder.resolve() / saved.factory), None, saved.arguments)
    if not _file(spec).is_file():
        raise ModelError(
            f"{folder / FILE}: its factory {os.path.normpath(_file(spec))} is not there; put the file back, or change "
            "factory, whose path is relative to this folder"
        )
    return spec


def _file(spec: ModelSpec) -> Path:
    return Path(os.path.normpath(spec.factory.rpartition(":")[0]))


def _loaded(folder: Path, saved: SavedTwin) -> nn.Module:
    model = build_twin(_spec(folder, saved), saved.seed)
    try:
        return reshaped(model, saved.cuts, saved.shape, folder / WEIGHTS)
    except ModelError:
        raise
    except Exception as error:  # cuts of another network may fail in any way
        raise ModelError(
            f"{folder / FILE}: its cuts do not fit what {saved.factory} makes ({type(error).__name__}: {error})"
        ) from error
