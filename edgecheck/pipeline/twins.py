"""Twins: made by a factory, and found again in the folder of a variant.

`twin.json` beside the weights of each float variant says how its twin is made: by which factory, and which channels
were cut out of what the factory makes. It holds no code, and no weights.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from attrs import field, frozen

from edgecheck.artefact import Artefact
from edgecheck.atomic import write_text
from edgecheck.config.plan import ModelSpec
from edgecheck.config.reader import is_file_factory
from edgecheck.errors import InputError, ModelError
from edgecheck.hashing import sha256
from edgecheck.pipeline.entry import Run, Twin
from edgecheck.pipeline.fingerprints import identity
from edgecheck.pipeline.stages.baseline import WEIGHTS
from edgecheck.pipeline.store import Store
from edgecheck.pipeline.subject import Network
from edgecheck.records import Diagnostic, from_dict, to_json
from edgecheck.regular import MOST_REPORT_BYTES, MOST_WEIGHT_BYTES, require_regular
from edgecheck.report.diagnostics import render

if TYPE_CHECKING:
    from torch import nn

FILE = "twin.json"
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


def save(run: Run, name: str, cuts: Mapping[str, list[int]]) -> None:
    """Write `twin.json` into the folder of a variant whose weights are there already."""
    spec, folder = run.plan.model, run.folder / name
    assert spec is not None, "what was made has a model"
    factory, source = spec.factory, ""
    if is_file_factory(factory):
        file, _, function = factory.rpartition(":")
        source = sha256(Path(file))
        factory = f"{Path(os.path.relpath(Path(file).resolve(), folder.resolve())).as_posix()}:{function}"
    saved = SavedTwin(
        VERSION,
        factory,
        run.plan.seed,
        list(run.images.shape),
        sha256(folder / WEIGHTS),
        source,
        spec.arguments,
        dict(cuts),
        run.plan.explain.target_layer,
    )
    text = to_json(saved)
    if not (folder / FILE).is_file() or (folder / FILE).read_text() != text:
        write_text(folder / FILE, text)


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
    for diagnostic in stale(folder, saved):
        warnings.warn(render(diagnostic), stacklevel=3)
    return _network(folder, saved).build()


def twin_in(folder: Path, store: Store, role: str) -> tuple[Twin, list[Diagnostic]]:
    """Return the twin of a variant, built when it is needed, and warnings about it.

    Args:
        folder: of the variant.
        store: of the run that takes the twin.
        role: the folder in `store` that keeps what is made of it.

    Raises:
        ModelError: as `load`, as far as it shows without building.
    """
    saved = read(folder)
    network = _network(folder, saved)
    made_of = {**identity(network.model, store, role, network.build), "saved": sha256(folder / FILE)}
    return Twin(attrs.evolve(network, identity=made_of), str(folder), role), stale(folder, saved)


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
    if sha256(folder / WEIGHTS) != saved.weights_sha256:
        raise ModelError(f"{folder / WEIGHTS}: not the weights that {FILE} was written for; run again, or restore them")
    return saved


def stale(folder: Path, saved: SavedTwin) -> list[Diagnostic]:
    """Return a warning where the factory's file has changed; only parity can tell whether the network has, too."""
    spec = _spec(folder, saved)
    if not saved.source_sha256 or sha256(_file(spec)) == saved.source_sha256:
        return []
    return [Diagnostic("twin-source-changed", {"source": str(_file(spec)), "saved": str(folder / FILE)})]


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


def _network(folder: Path, saved: SavedTwin) -> Network:
    """Return the network that a `twin.json` describes, without what tells it from others."""
    channels, height, width = saved.shape
    weights = Artefact(saved.weights_sha256, folder / WEIGHTS)
    return Network({}, saved.seed, _spec(folder, saved), (channels, height, width), saved.cuts, weights)
