"""What a stage depends on, as data: when it changes, the stage runs again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import attrs

from edgecheck import store as storage
from edgecheck.plan import DataSpec, ModelSpec


def identity(spec: ModelSpec) -> dict[str, Any]:
    """Return what tells one model from another: the factory's source, its arguments, the weights' bytes."""
    file, _, function = spec.factory.rpartition(":")
    source = _sources(Path(file)) if file.endswith(".py") else file
    weights = storage.sha256(spec.weights) if spec.weights else None
    return {"source": source, "function": function, "arguments": spec.arguments, "weights": weights}


def _sources(file: Path) -> dict[str, str]:
    """Return the hashes of a factory's file and of all Python files beside and below it, which it may import."""
    beside = file.parent.rglob("*.py") if file.is_file() else []
    hidden = [path for path in beside if not any(part.startswith(".") for part in path.relative_to(file.parent).parts)]
    return {str(path.relative_to(file.parent)): storage.sha256(path) for path in sorted({file, *hidden})}


def describe_data(spec: DataSpec) -> dict[str, Any]:
    """Return the data source with a stamp of its files, so that changed files make the stages run again."""
    described = {**attrs.asdict(spec), "root": str(spec.root) if spec.root else None}
    return {**described, "stamp": _stamp(spec.root) if spec.root and spec.root.exists() else None}


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _stamp(root: Path) -> str:
    """Return a hash of names, sizes and times below `root`: cheap where hashing every pixel is not."""
    beside = root.with_name(f"{root.stem}_train{root.suffix}")  # what an .npz file is trained with
    files = [root, *([beside] if beside.is_file() else [])] if root.is_file() else _files(root)
    facts = {os.path.relpath(path, root): [path.stat().st_size, path.stat().st_mtime_ns] for path in files}
    return storage.digest(facts)
