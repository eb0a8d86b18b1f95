"""Child processes: what they import does not depend on the folder they start in, and they end with their parent."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PACKAGE = Path(__file__).with_name("__init__.py")
# Taken before any factory is called: its folder is on the path only while it runs.
SEARCH_PATH = tuple(sys.path)

PR_SET_PDEATHSIG = 1  # linux/prctl.h

# `edgecheck` is bound to the parent's own files, so its folder need not be on the path, where its neighbours would be.
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
    """Return the command that calls `main` of a module of edgecheck in a new process.

    The child finds the packages that this process finds, except those in the current folder.
    """
    return [sys.executable, "-P", "-c", _START, str(PACKAGE), os.pathsep.join(_search_path()), module, *arguments]


def environment() -> dict[str, str]:
    """Return this process's environment, without what makes Python import from the current folder."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**kept, "PYTHONSAFEPATH": "1"}


@contextmanager
def safe_environment(variables: Mapping[str, str] = {}) -> Iterator[None]:
    """Give `environment` and `variables` to every process that starts in this block."""
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
    """Have the kernel kill this process when its parent ends, however that happens. Linux only.

    Args:
        parent: the parent's process ID; if the parent has ended already, this process ends here.
    """
    if sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _search_path() -> list[str]:
    """Return the absolute entries of the search path; an empty or relative one means the current folder."""
    here = os.path.realpath(os.curdir)
    return [entry for entry in SEARCH_PATH if os.path.isabs(entry) and os.path.realpath(entry) != here]
