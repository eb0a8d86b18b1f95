"""`device run --host` and `device install`: what these commands do on other machines, over the system's OpenSSH."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from edgecheck.cli import screen
from edgecheck.cli.options import Decorator
from edgecheck.errors import EdgecheckError, UsageError

if TYPE_CHECKING:
    from edgecheck.remote.connection import Access, Connection
    from edgecheck.remote.measuring import Fetched, Place
    from edgecheck.remote.names import Host

RESULT, RESULTS = "result.json", "results"

host_option: Decorator = click.option(
    "--host",
    "hosts",
    metavar="[USER@]HOST",
    multiple=True,
    help="Measure on this machine, as your `ssh` knows it, in the place of this one. Repeatable.",
)
config_option: Decorator = click.option(
    "--ssh-config", metavar="FILE", type=click.Path(path_type=Path), help="Configuration of `ssh`. [default: yours]"
)
python_option: Decorator = click.option(
    "--python",
    metavar="PYTHON",
    help="Interpreter on the host. [default: that of `edgecheck device install`, else python3]",
)


class Asked(NamedTuple):
    """What the command line asks of other machines."""

    hosts: tuple[str, ...]
    names: tuple[str, ...]
    options: list[str]
    python: str | None
    ssh_config: Path | None


def run(bundle: Path, out: Path | None, asked: Asked) -> int:
    """Measure a bundle on hosts; return the exit code."""
    from edgecheck.device.bundle.unpack import verify
    from edgecheck.remote.measuring import MODULES, Job, measure
    from edgecheck.remote.several import on_all

    hosts, access = _reached(asked.hosts, asked.python, asked.ssh_config)
    job = Job(bundle, verify(bundle), tuple(asked.options))
    places = _places(hosts, asked.names, out)
    shown = screen.Screen()
    code, written = 0, []
    for outcome in on_all(hosts, access, MODULES, lambda line: measure(line, job, places[line.host], shown), _say_left):
        if outcome.value is None:
            code = max(code, _say_failed(outcome.error))
        else:
            written.append(outcome.value)
            _say_fetched(outcome.value, outcome.host)
    if written:
        screen.say(f"merge {'it' if len(written) == 1 else 'them'} into the run:")
        screen.say(f"edgecheck merge RUN {' '.join(shlex.quote(str(each.path)) for each in written)}")
    return code


def _reached(names: Sequence[str], python: str | None, ssh_config: Path | None) -> tuple[list[Host], Access]:
    from edgecheck.remote.connection import Access
    from edgecheck.remote.names import host, interpreter

    hosts = [host(name) for name in names]
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise UsageError(f"--host {twice} is given twice")
    if ssh_config is not None and not ssh_config.is_file():
        raise UsageError(f"--ssh-config {ssh_config}: no such file")
    return hosts, Access(None if python is None else interpreter(python), ssh_config)


def _places(hosts: Sequence[Host], names: Sequence[str], out: Path | None) -> dict[Host, Place]:
    """Return how each device is called and where its result goes, after checking that it can be written there."""
    from edgecheck.atomic import require_writable
    from edgecheck.remote.claims import Claims
    from edgecheck.remote.measuring import Place

    if names and len(names) != len(hosts):
        raise UsageError(f"--name is given {len(names)} times for {len(hosts)} hosts; name all devices, or none")
    several = len(hosts) > 1
    path = out or Path(RESULTS if several else RESULT)
    if several and path.exists() and not path.is_dir():
        raise UsageError(f"-o {path}: is a file; the results of several hosts need a folder")
    if several:
        path.mkdir(parents=True, exist_ok=True)
    require_writable(path / RESULT if several else path)
    claims = Claims(path, several)
    return {host: Place(names[place] if names else None, claims.of(host)) for place, host in enumerate(hosts)}


def _say_left(line: Connection) -> None:
    screen.say(f"{line.host}: interrupted while {line.doing}; {line.resume}")


def _say_failed(error: EdgecheckError | None) -> int:
    assert error is not None
    screen.say(f"edgecheck: {error}")
    return error.exit_code


def _say_fetched(fetched: Fetched, host: Host) -> None:
    result = fetched.result
    screen.say(f"{fetched.path}: written, {len(result.variants)} files measured on {result.name} ({host})")


@click.command(short_help="Install edgecheck on another machine.")
@click.option(
    "--host",
    "hosts",
    metavar="[USER@]HOST",
    multiple=True,
    required=True,
    help="The machine, as your `ssh` knows it. Repeatable.",
)
@click.option(
    "--wheels",
    metavar="DIR",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder with the wheels of edgecheck and of all that it needs, for the platform of the machine.",
)
@click.option("--venv", metavar="PATH", help="The virtual environment there. [default: ~/.cache/edgecheck/venv]")
@click.option("--python", metavar="PYTHON", default="python3", show_default=True, help="Interpreter on the host.")
@config_option
@click.pass_context
def install(
    context: click.Context,
    hosts: tuple[str, ...],
    wheels: Path,
    venv: str | None,
    python: str,
    ssh_config: Path | None,
) -> None:
    """Install edgecheck on a machine without internet: into a virtual environment there, from wheels that lie here.

    `edgecheck device run --host` then uses the default environment; for another one, add --python PATH/bin/python.
    Exits with 0 if it is installed on all hosts, else with 3, or 2 for bad input.
    """
    from edgecheck.remote.installing import MODULES, wheels_in
    from edgecheck.remote.installing import install as install_on
    from edgecheck.remote.names import interpreter
    from edgecheck.remote.several import on_all

    known, access = _reached(hosts, python, ssh_config)
    there = None if venv is None else interpreter(venv, "--venv")
    carried, shown = wheels_in(wheels), screen.Screen()
    code = 0
    for outcome in on_all(known, access, MODULES, lambda line: install_on(line, carried, there, shown), _say_left):
        if outcome.value is None:
            code = max(code, _say_failed(outcome.error))
        else:
            screen.say(f"{outcome.host}: {outcome.value}")
    context.exit(code)
