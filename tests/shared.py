"""Folders that one worker process of pytest-xdist makes and the others copy."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder that `make` writes, once for all workers; each gets a copy, which its tests may change."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        folder = factory.mktemp("made") / name
        make(folder)
        return folder
    shared = factory.getbasetemp().parent / name
    with FileLock(f"{shared}.lock"):
        if not shared.exists():
            making = shared.with_name(f"{name}-{os.environ['PYTEST_XDIST_WORKER']}")
            make(making)
            making.rename(shared)
    return Path(shutil.copytree(shared, factory.mktemp("made") / name))
