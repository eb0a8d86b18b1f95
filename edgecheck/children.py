"""Start child processes whose imports do not depend on the current folder, and which end with their parent."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PACKAGE = Path(__file__).with_name("__init__.py")
# Copied at import, before a model factory is called: its folder is on the path only during the call.
SEARCH_PATH = tuple(sys.path)

PR_SET_PDEATHSIG = 1  # linux/prctl.h

# The child loads `edgecheck` from the parent's files, so the folder that contains it need not be on the path.
_START = """\
import importlib.util, os, sys
package, path, module = sys.argv[1:4]
sys.path[:] = path.split(os.pathsep)
spec = importlib.util.spec_from_file_location("edgecheck", package)
sys.modules["edgecheck"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["edgecheck"])
sys.exit(importlib.import_module(module).main(sys.argv[4:]))
"""


def command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs `main` of an edgecheck module in a new process.

    The child imports the same packages as this process, except those in the current folder.
    """
    return [sys.executable, "-P", "-c", _START, str(PACKAGE), os.pathsep.join(_search_path()), module, *arguments]


def environment() -> dict[str, str]:
    """Return the environment of this process, changed so that Python does not import from the current folder."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**kept, "PYTHONSAFEPATH": "1"}


@contextmanager
def safe_environment(variables: Mapping[str, str] = {}) -> Iterator[None]:
    """Within this block, start processes with `environment()` and `variables`."""
    changed = {"PYTHONPATH", "PYTHONSAFEPATH", *variables}
    before = {name: os.environ[name] for name in changed if name in os.environ}
    os.environ.pop("PYTHONPATH", None)
    os.environ.update({"PYTHONSAFEPATH": "1", **variables})
    try:
        yield
    finally:
        for name in changed:
            os.environ.pop(name, None)
        os.environ.update(before)


def end_with_parent(parent: int) -> None:
    """Make the kernel kill this process when its parent ends for any reason. Does nothing outside Linux.

    Args:
        parent: the process ID of the parent; if it has already ended, this process ends at once.
    """
    if sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _search_path() -> list[str]:
    """Return the search path without the current folder, which an empty or relative entry also means."""
    here = os.path.realpath(os.curdir)
    return [entry for entry in SEARCH_PATH if os.path.isabs(entry) and os.path.realpath(entry) != here]
