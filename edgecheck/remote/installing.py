"""Installs edgecheck on a host from a folder of wheels, for boards without internet."""

from __future__ import annotations

import re
import zipfile
from email.parser import Parser
from pathlib import Path

from attrs import frozen

from edgecheck import __version__
from edgecheck.errors import InputError, MeasurementError
from edgecheck.hashing import sha256
from edgecheck.progress import Named, Progress
from edgecheck.remote.connection import Connection
from edgecheck.remote.sending import send
from edgecheck.text import listed

MODULES = ("wire", "files", "install")
RESUME = "the same command goes on from there"


@frozen
class Wheel:
    """A wheel, by its path and what tells it from others."""

    path: Path
    size: int
    sha256: str


def wheels_in(folder: Path) -> list[Wheel]:
    """Return the wheels of a folder, after checking that they can be all that edgecheck needs.

    Whether they fit the platform of a host, only pip there can tell.

    Raises:
        InputError: there is none of this version of edgecheck, or none of a package that it needs.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; `pip wheel edgecheck --wheel-dir {folder}` makes it")
    paths = sorted(folder.glob("*.whl"))
    own = [path for path in paths if path.name.split("-")[:2] == ["edgecheck", __version__]]
    if not own:
        raise InputError(f"{folder}: has no wheel of edgecheck {__version__}; `pip wheel --no-deps` builds one")
    lacking = sorted(_needed(own[0]) - {_normalized(path.name.split("-")[0]) for path in paths})
    if lacking:
        raise InputError(
            f"{folder}: has no wheel of {listed(lacking, len(lacking))}; add them with `pip download --dest {folder} "
            "--only-binary :all: --platform PLATFORM --python-version VERSION NAME...` for the platform of the host"
        )
    return [Wheel(path, path.stat().st_size, sha256(path)) for path in paths]


def install(line: Connection, wheels: list[Wheel], venv: str | None, progress: Progress) -> str:
    """Install edgecheck on the host of a connection; return what is installed where.

    Raises:
        MeasurementError: the host lacks something, or the connection dropped.
    """
    line.begin()
    line.doing, line.resume = "copying wheels", RESUME
    shown = Named(progress, str(line.host))
    line.tell(
        venv=venv,
        requirement=f"edgecheck=={__version__}",
        wheels=[(wheel.path.name, wheel.size, wheel.sha256) for wheel in wheels],
    )
    shown.note(f"copying {len(wheels)} wheels, {sum(wheel.size for wheel in wheels):,} bytes, unless they are there")
    by_name = {wheel.path.name: wheel for wheel in wheels}
    wheel = wheels[0]
    while (message := line.hear())["event"] != "installing":
        if message["event"] == "wheel":
            wheel = by_name[message["name"]]
        else:
            send(line, wheel.path, message["first"], shown)
    line.doing = "installing"
    shown.note(f"installing into {message['venv']}")
    done = line.hear()
    if done["event"] != "installed":
        raise MeasurementError(f"{line.host}: answers {done['event']!r} to an installation")
    return f"edgecheck {__version__} for Python {done['python']} in {done['venv']}"


def _needed(wheel: Path) -> set[str]:
    """Return the names of the packages that a wheel needs without extras.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
            metadata = Parser().parsestr(archive.read(name).decode())
    except (OSError, ValueError, zipfile.BadZipFile, StopIteration) as error:
        raise InputError(f"{wheel}: not a readable wheel ({error or 'it has no metadata'}); build it again") from None
    requirements = [text for text in metadata.get_all("Requires-Dist", []) if "extra ==" not in text]
    return {_normalized(re.split(r"[^A-Za-z0-9._-]", text, maxsplit=1)[0]) for text in requirements}


def _normalized(name: str) -> str:
    """Return a project name in the spelling that all its spellings share."""
    return re.sub(r"[-_.]+", "-", name).lower()
