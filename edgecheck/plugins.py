"""Plugin files: Python files outside the package that register criteria, methods, metrics and more.

`plugins: [file.py]` in the configuration names them. Each is imported before the configuration is checked, and again in
every worker process; its content is part of the key of every stage that runs its code.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from attrs import frozen

from edgecheck import registry
from edgecheck.artefact import Artefact
from edgecheck.errors import ConfigError, EdgecheckError
from edgecheck.hashing import digest, sha256


@frozen
class _Loaded:
    """A plugin, and the names that it registered. Its hash includes the modules it imports from its own folder."""

    file: Artefact
    names: frozenset[str]


# The plugins imported in this process, by resolved path: each may register its names only once.
_LOADED: dict[Path, _Loaded] = {}


def load(paths: Sequence[Path]) -> tuple[Artefact, ...]:
    """Import plugin files, each once per process, and return them.

    Raises:
        ConfigError: a file does not exist, cannot be imported, or registers a name that is already registered.
    """
    return tuple(_load(path).file for path in paths)


def using(names: Iterable[str]) -> tuple[Artefact, ...]:
    """Return the loaded plugins that registered any of these names."""
    wanted = set(names)
    return tuple(one.file for one in _LOADED.values() if one.names & wanted)


def _load(path: Path) -> _Loaded:
    place = path.resolve()
    if place not in _LOADED:
        if not place.is_file():
            raise ConfigError(f"{path}: no such file; plugins lists Python files")
        before = set(sys.modules)
        with registry.recorded() as names:
            _import(path, place)
        beside = [Path(file) for name in set(sys.modules) - before if (file := _file_of(name))]
        own = sorted({place, *(file.resolve() for file in beside if place.parent in file.resolve().parents)})
        contents = digest({str(file.relative_to(place.parent)): sha256(file) for file in own})
        _LOADED[place] = _Loaded(Artefact(contents, place), frozenset(names))
    return _LOADED[place]


def _file_of(module: str) -> str | None:
    return getattr(sys.modules.get(module), "__file__", None)


def _import(path: Path, place: Path) -> None:
    # Named after its path, so that plugins with equal file names do not collide, and pickle works across processes.
    name = f"edgecheck_plugin_{hashlib.sha256(str(place).encode()).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(name, place)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path}: not a Python file; plugins lists Python files")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(place.parent))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # the user's file may raise anything
        del sys.modules[name]
        told = str(error).strip().splitlines() or [type(error).__name__]
        kind = "" if isinstance(error, EdgecheckError) else f"{type(error).__name__}: "
        raise ConfigError(f"{path}: importing this plugin fails: {kind}{told[0]}") from error
    finally:
        if str(place.parent) in sys.path:
            sys.path.remove(str(place.parent))
