"""Hosts for tests: folders that a `ssh` of our own reaches, and what stands there in the place of a measurement."""

import json
import os
import shutil
import sys
import time
from pathlib import Path

from edgecheck.remote.there.files import sha256

# Runs the command in the folder of the host. A file `hook` there may end it, print noise, or set filters.
SSH = """\
#!/bin/sh
while [ "$1" != -- ]; do shift; done
host=$2
shift 2
HOME=$BOARDS/$host
[ -d "$HOME" ] || { echo "ssh: Could not resolve hostname $host: Name or service not known" >&2; exit 255; }
cd "$HOME"
export HOME PYTHONPATH="$HOME/python" XDG_CACHE_HOME=
PATH="$HOME/bin:$PATH"
to=cat from=cat
[ -f hook ] && . ./hook
[ "$to$from" = catcat ] && exec sh -c "$*"
$to | sh -c "$*" | { $from; kill 0; }
"""

# Python imports it before anything else. It stands in for `edgecheck device run`, which takes seconds, and for a clock.
SITE = """\
import json, hashlib, os, sys, time
home = os.environ["BOARD"] if "BOARD" in os.environ else os.path.dirname(os.path.dirname(__file__))
def beside(name):
    return os.path.join(home, name)
if os.path.exists(beside("clock")):
    began = time.monotonic()
    time.time = lambda: time.monotonic() - began + 60
if sys.orig_argv[-1:] != ["-c"] and "device" in sys.orig_argv and "run" in sys.orig_argv:
    if not os.path.exists(beside("measures")):
        with open(beside("starts"), "a") as file:
            file.write("started\\n")
        print("baseline: latency", file=sys.stderr, flush=True)
        while os.path.exists(beside("hold")):
            time.sleep(0.02)
        if os.path.exists(beside("fails")):
            code, said = open(beside("fails")).read().split(" ", 1)
            print(said, file=sys.stderr, flush=True)
            os._exit(int(code))
        result = json.load(open(beside("prepared.json")))
        del result["seal"]
        name = sys.orig_argv[sys.orig_argv.index("--name") + 1]
        result["name"] = name
        for reading in result["readings"]:
            reading["device"] = name
        result["seal"] = hashlib.sha256(json.dumps(result, sort_keys=True).encode()).hexdigest()
        with open("result.json", "w") as file:
            file.write(json.dumps(result) + "\\n")
        print("result.json: written, 2 files measured on " + name, file=sys.stderr, flush=True)
        os._exit(0)
"""
PATIENCE_S = 60.0


class Board:
    """A host: its home folder, and what happens there."""

    def __init__(self, home: Path, prepared: Path | None) -> None:
        self.home = home
        (home / "bin").mkdir(parents=True)
        (home / "python").mkdir()
        (home / "python" / "sitecustomize.py").write_text(SITE)
        self.python(f'exec {sys.executable} "$@"')
        if prepared is None:
            (home / "measures").touch()
        else:
            shutil.copyfile(prepared, home / "prepared.json")

    @property
    def cache(self) -> Path:
        return self.home / ".cache" / "edgecheck"

    @property
    def work(self) -> list[Path]:
        """What is kept there for bundles; the lock of the device is left out."""
        folder = self.cache / "device-run"
        return [path for path in folder.iterdir() if path.is_dir()] if folder.exists() else []

    @property
    def starts(self) -> int:
        """How often a measurement was started."""
        path = self.home / "starts"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def python(self, script: str) -> None:
        """Make `python3` there a script."""
        script_file(self.home / "bin" / "python3", f"#!/bin/sh\n{script}\n")

    def hook(self, text: str) -> None:
        (self.home / "hook").write_text(text)

    def unhook(self) -> None:
        (self.home / "hook").unlink()

    def hold(self) -> None:
        (self.home / "hold").touch()

    def release(self) -> None:
        (self.home / "hold").unlink(missing_ok=True)

    def wait_for_start(self, times: int = 1) -> None:
        until(lambda: self.starts >= times)

    def wait_for_end(self) -> None:
        """Wait until the measurement has ended and its exit code is known."""
        until(lambda: list(self.cache.glob("device-run/*/*/exit")) != [])


def script_file(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


def until(happened) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def prepared_result(path: Path, bundle: Path) -> dict:
    document = json.loads(path.read_text())
    assert document["run"]["bundle_sha256"] == sha256(bundle)
    return document


def environment(folder: Path) -> dict[str, str]:
    """The environment in which our own `ssh` is found, and finds its hosts."""
    return {"PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}", "BOARDS": str(folder / "boards")}
