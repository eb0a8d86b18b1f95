"""Plugin files: Python files outside the package that register criteria, methods, metrics and more.

`plugins: [file.py]` in the configuration names them. Each is imported before the configuration is checked, and again in
every worker process; its content is part of the key of every stage that runs its code.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import sysconfig
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path

from attrs import frozen

from edgecheck import registry
from edgecheck.artefact import Artefact
from edgecheck.children import PACKAGE
from edgecheck.errors import ConfigError, EdgecheckError
from edgecheck.hashing import digest, sha256
from edgecheck.text import error_line


@frozen
class _Loaded:
    """A plugin, and the names that it registered. Its hash includes the modules it imports from its own folder."""

    file: Artefact
    names: frozenset[str]


# The plugins imported in this process, by resolved path: each may register its names only once.
_LOADED: dict[Path, _Loaded] = {}
# Modules that plugins have imported from their own folders. Python imports each once, so the plugin that imports it
# first says nothing about who else needs it: it belongs to every later plugin of that folder too.
_HELPERS: set[Path] = set()
# Not a plugin's own files, even where a plugin lies in the folder of a checkout or of a virtual environment.
_INSTALLED = (PACKAGE.parent, *(Path(sysconfig.get_path(name)) for name in ("purelib", "platlib", "stdlib")))


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


def registered() -> frozenset[str]:
    """Return all names that plugins have registered in this process; other machines do not know them."""
    return frozenset(name for one in _LOADED.values() for name in one.names)


def place_of(error: BaseException) -> str:
    """Return the innermost line of a plugin that an error came from, `my_plugin.py:12`, or nothing."""
    files = {*map(str, _LOADED), *map(str, _HELPERS)}
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in files]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


def _load(path: Path) -> _Loaded:
    place = path.resolve()
    if place not in _LOADED:
        if not place.is_file():
            raise ConfigError(f"{path}: no such file; plugins lists Python files")
        before = set(sys.modules)
        with registry.recorded() as names:
            _import(path, place)
        _HELPERS.update(file for name in set(sys.modules) - before if (file := _file_of(name)) and file != place)
        own = {place, *(file for file in _HELPERS if place.parent in file.parents)}
        contents = digest({str(file.relative_to(place.parent)): sha256(file) for file in own})
        _LOADED[place] = _Loaded(Artefact(contents, place), frozenset(names))
    return _LOADED[place]


def _file_of(module: str) -> Path | None:
    """Return the source of a module that is not installed; made-up modules, such as `torch.classes`, have none."""
    file = Path(getattr(sys.modules.get(module), "__file__", None) or "")
    installed = any(folder in file.parents for folder in _INSTALLED)
    return file.resolve() if file.is_absolute() and file.is_file() and not installed else None


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
        # Never from cached bytecode, which can be that of an earlier text of the same length and second.
        exec(compile(place.read_bytes(), str(place), "exec"), vars(module))
    except (Exception, SystemExit) as error:  # the user's file may raise anything
        del sys.modules[name]
        reason = str(error) if isinstance(error, EdgecheckError) else error_line(error)
        raise ConfigError(f"{path}: importing this plugin fails: {reason}") from error
    finally:
        if str(place.parent) in sys.path:
            sys.path.remove(str(place.parent))
