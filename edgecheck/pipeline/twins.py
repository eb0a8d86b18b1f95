"""Saves and loads the twins of variants.

`twin.json`, beside the weights of each float variant, describes how to build its twin: the factory, and the channels to
remove from the factory's network. It contains neither code nor weights.
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
IMAGE, LARGEST = "CHW", 2**14  # the dimensions of an image, and the largest size of each


@frozen
class SavedTwin:
    """The contents of `twin.json`.

    `factory` is written as in the configuration, with the path of a file relative to the folder of `twin.json`;
    `source_sha256` is the hash of that file, "" without a file. `seed` seeds the factory's random numbers. `shape` is
    the shape of an image, (C, H, W). `cuts` are the removed channels, by module and side, such as "layer1.conv1 out".
    `target_layer` is None for the default.
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
    """Write `twin.json` into the folder of a variant, after its weights."""
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
    """Load the twin of a float variant, a control or the baseline from its folder, in eval mode.

    Warns if the factory's file has changed since the variant was made.

    Raises:
        ConfigError: the factory is unknown.
        DependencyError: PyTorch is not installed.
        ModelError: the folder has no twin, the weights have changed, the factory's file is missing, or its network
            does not fit the weights.
    """
    saved = read(folder)
    for diagnostic in stale(folder, saved):
        warnings.warn(render(diagnostic), stacklevel=3)
    return _network(folder, saved).build()


def twin_in(folder: Path, store: Store, role: str) -> tuple[Twin, list[Diagnostic]]:
    """Return the twin of a variant, which is built on demand, and warnings about it.

    Args:
        folder: the folder of the variant.
        store: the store of the run that uses the twin.
        role: the folder in `store` for results of the twin.

    Raises:
        ModelError: as in `load`, except errors that only building the twin can show.
    """
    saved = read(folder)
    network = _network(folder, saved)
    made_of = {**identity(network.model, store, role, network.build), "saved": sha256(folder / FILE)}
    return Twin(attrs.evolve(network, identity=made_of), str(folder), role), stale(folder, saved)


def read(folder: Path) -> SavedTwin:
    """Read the `twin.json` of a folder.

    Raises:
        ModelError: it is missing or damaged, or the weights beside it have changed.
    """
    path = folder / FILE
    if not path.exists():
        raise ModelError(
            f"{folder}: has no {FILE}; a run writes one for each float variant, but quantized variants have no twin"
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
        raise ModelError(f"{folder / WEIGHTS}: is missing; run again, or restore the file")
    require_regular(folder / WEIGHTS, MOST_WEIGHT_BYTES, ModelError)
    if sha256(folder / WEIGHTS) != saved.weights_sha256:
        raise ModelError(
            f"{folder / WEIGHTS}: not the weights that {FILE} was written for; run again, or restore the file"
        )
    return saved


def stale(folder: Path, saved: SavedTwin) -> list[Diagnostic]:
    """Return a warning if the factory's file has changed; only parity shows whether the network has changed, too."""
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
            f"{folder / FILE}: its factory {os.path.normpath(_file(spec))} does not exist; restore the file, or change "
            "factory, a path relative to this folder"
        )
    return spec


def _file(spec: ModelSpec) -> Path:
    return Path(os.path.normpath(spec.factory.rpartition(":")[0]))


def _network(folder: Path, saved: SavedTwin) -> Network:
    """Return the network that a `twin.json` describes, without its identity."""
    channels, height, width = saved.shape
    weights = Artefact(saved.weights_sha256, folder / WEIGHTS)
    return Network({}, saved.seed, _spec(folder, saved), (channels, height, width), saved.cuts, weights)
