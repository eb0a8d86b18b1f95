"""Hashes of what stages depend on; a stage runs again if one of them changes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecheck.atomic import write_text
from edgecheck.config.plan import DataSpec, ModelSpec
from edgecheck.hashing import digest, sha256
from edgecheck.pipeline.store import Store
from edgecheck.pipeline.subject import DataSource

if TYPE_CHECKING:
    from torch import nn

# In the folder of a model: which files its factory reads, and which the network reads when it runs.
READS, LATER = "reads.json", "later-reads.json"


def identity(spec: ModelSpec, store: Store, folder: str, build: Callable[[], nn.Module]) -> dict[str, Any]:
    """Return the identity of a model: the factory's source, the files that it reads, its arguments, the weights.

    Args:
        spec: the model.
        store: stores the names of the files that the factory reads, so that a finished run need not build the model.
        folder: the folder of the model in the store.
        build: calls the factory; used if the names are unknown or a file has changed.
    """
    file, _, function = spec.factory.rpartition(":")
    weights = sha256(spec.weights) if spec.weights else None
    own = {"function": function, "arguments": spec.arguments, "weights": weights}
    if not file.endswith(".py"):
        return {"source": file, **own}
    source = _sources(Path(file))
    read = _reads(Path(file), spec, source, store.path(folder, READS), build)
    return {"source": {**source, **read, **_changed(Path(file).parent, store.path(folder, LATER))}, **own}


@contextmanager
def noted_reads(factory: str) -> Iterator[dict[str, str | None]]:
    """Yield a dictionary for the hashes of the files that a user's network reads when it runs.

    Paths are relative to the folder of the factory's file. The dictionary is filled when the block ends.
    """
    file, _, _ = factory.rpartition(":")
    hashes: dict[str, str | None] = {}
    if not file.endswith(".py"):
        yield hashes
        return
    from edgecheck.lab.reads import recorded

    place = Path(file).parent
    with recorded(place) as paths:
        yield hashes
    hashes |= _hashed(sorted(os.path.relpath(path, place.resolve()) for path in paths), place)


def remember_reads(reads: Mapping[str, str | None], store: Store, folder: str) -> None:
    """Store the hashes of the files that a network read when it ran; hashes stored earlier are kept.

    The key of a network is needed before it runs, so these files are not part of it until one of them changes.
    """
    memory = store.path(folder, LATER)
    if reads:
        write_text(memory, json.dumps({**reads, **_noted(memory)}, indent=1))


def _changed(folder: Path, memory: Path) -> dict[str, str | None]:
    """Return the hashes of the noted files that have changed."""
    noted = _noted(memory)
    return {name: now for name, now in _hashed(noted, folder).items() if now != noted[name]}


def _noted(memory: Path) -> dict[str, str | None]:
    try:
        return dict(json.loads(memory.read_text()))
    except (OSError, ValueError, TypeError, RecursionError):
        return {}


def _sources(file: Path) -> dict[str, str]:
    """Return the hashes of a factory's file and of all Python files beside and below it, which it may import."""
    beside = file.parent.rglob("*.py") if file.is_file() else []
    hidden = [path for path in beside if not any(part.startswith(".") for part in path.relative_to(file.parent).parts)]
    return {str(path.relative_to(file.parent)): sha256(path) for path in sorted({file, *hidden})}


def _reads(
    file: Path, spec: ModelSpec, source: Mapping[str, str], memory: Path, build: Callable[[], nn.Module]
) -> dict[str, str | None]:
    """Return the hashes of the files that the factory reads; `build` is called only if they may have changed."""
    about = {"factory": spec.factory, "arguments": spec.arguments, "source": dict(source)}
    known = _remembered(memory, digest(about))
    if known is not None and known == _hashed(known, file.parent):
        return known
    from edgecheck.lab.reads import recorded

    with recorded(file.parent) as paths:
        build()
    kept = paths - {file.resolve(), *([spec.weights.resolve()] if spec.weights else [])}
    hashes = _hashed(sorted(os.path.relpath(path, file.parent.resolve()) for path in kept), file.parent)
    write_text(memory, json.dumps({"of": digest(about), "reads": hashes}, indent=1))
    return hashes


def _hashed(names: Mapping[str, Any] | list[str], folder: Path) -> dict[str, str | None]:
    paths = {name: folder.resolve() / name for name in names}
    return {name: sha256(path) if path.is_file() else None for name, path in paths.items()}


def _remembered(memory: Path, of: str) -> dict[str, str | None] | None:
    try:
        noted = json.loads(memory.read_text())
        return dict(noted["reads"]) if noted["of"] == of else None
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def data_source(spec: DataSpec, store: Store) -> DataSource:
    """Return the data source with a hash of its files' contents, so that changed files make the stages run again."""
    if spec.root is None or not spec.root.exists():
        return DataSource(spec, None)
    beside = spec.root.with_name(f"{spec.root.stem}_train{spec.root.suffix}")  # the training split of an .npz file
    roots = [spec.root, *([beside] if spec.root.is_file() and beside.is_file() else [])]
    return DataSource(spec, [store.contents.tree(root, without=store.folder) for root in roots])
