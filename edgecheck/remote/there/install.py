"""Installs edgecheck on a device from wheels that the host sends: into a virtual environment, without a network."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from edgecheck.remote.there.files import cache, private, receive
from edgecheck.remote.there.wire import RefusedError, Wire, serve

VENV = "venv"  # the folder whose Python `device run --host` prefers; the host names it in a script as well


def main(token: str) -> None:
    """Answer the host."""
    serve(token, _install)


def _install(wire: Wire, request: dict[str, Any]) -> None:
    venv = Path(request["venv"]).absolute() if request["venv"] else cache() / VENV
    _check(venv)
    wheels = private(cache() / "wheels")
    for name, size, checksum in request["wheels"]:
        wire.tell("wheel", name=name)
        receive(wire, wheels / Path(name).name, size, checksum)
    wire.tell("installing", venv=str(venv))
    again = (venv / "pyvenv.cfg").exists()
    if not again:
        private(cache())
        _run([sys.executable, "-P", "-m", "venv", "--without-pip", str(venv)])
    python = venv / "bin" / "python"
    pip = [*_pip(wheels, python), "install", "--no-index", "--find-links", str(wheels), "--disable-pip-version-check"]
    _run([*pip, request["requirement"]])
    if again:  # pip keeps a package of the same version, whatever the wheel holds
        _run([*pip, "--force-reinstall", "--no-deps", request["requirement"]])
    shutil.rmtree(wheels, ignore_errors=True)
    _run([str(python), "-P", "-m", "edgecheck", "--version"])
    wire.tell("installed", python=platform.python_version(), venv=str(venv))


def _check(venv: Path) -> None:
    """Refuse a folder that holds something else."""
    if venv.is_dir() and any(venv.iterdir()) and not (venv / "pyvenv.cfg").exists():
        raise RefusedError(f"{venv}: exists there, and is no virtual environment; choose another --venv")
    if not venv.is_dir() and os.path.lexists(venv):
        raise RefusedError(f"{venv}: exists there, and is no folder; choose another --venv")


def _pip(wheels: Path, python: Path) -> list[str]:
    """Return the command of a pip that installs into an environment: from the wheels, of Python, or of the system."""
    carried = sorted(wheels.glob("pip-*.whl"))
    if carried:
        return [str(python), "-P", str(carried[-1] / "pip")]
    own = [str(python), "-P", "-m", "pip"]
    if python.with_name("pip3").exists():
        return own
    if importlib.util.find_spec("ensurepip"):
        _run([str(python), "-P", "-m", "ensurepip"])
        return own
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-P", "-m", "pip", "--python", str(python)]
    raise RefusedError("there is no pip there: add its wheel to the others (`pip download --no-deps pip`)")


def _run(command: list[str]) -> None:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    if done.returncode:
        raise RefusedError(_condensed(done.stdout.splitlines()))


def _condensed(said: list[str]) -> str:
    """Return what a failed command said, as one line."""
    errors = [line.partition("ERROR: ")[2] for line in said if line.startswith("ERROR: ")]
    lacking = [line.removeprefix("No matching distribution found for ") for line in errors if line.startswith("No mat")]
    if lacking:
        here = f"Python {sys.version_info.major}.{sys.version_info.minor} on {sysconfig.get_platform()}"
        return f"no wheel of {lacking[0]} fits {here}; add one to --wheels"
    if any("No space left" in line for line in said):
        return "no space left on the disk there; free some and start again"
    return (errors or [line for line in said if line.strip()] or ["it ended without a message"])[-1]
