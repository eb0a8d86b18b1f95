"""`edgecheck device run`: measure a bundle on this device, or on others over SSH."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path
from typing import Any

import click

from edgecheck.cli import remote, screen
from edgecheck.cli.options import command_line
from edgecheck.errors import UsageError


@click.command("run", short_help="Measure a bundle, here or over SSH.")
@click.argument("bundle", type=click.Path(path_type=Path))
@remote.host_option
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="The result; OUT.unfinished beside it keeps finished stages until it is complete. With several --host, a "
    "folder that gets NAME.json of each. [default: result.json, or the folder results]",
)
@click.option(
    "--name",
    "names",
    metavar="NAME",
    multiple=True,
    help="Name of this device, which criteria such as 'latency.p50_s@NAME <= 30 ms' use; with several --host, one for "
    "each. [default: host name]",
)
@click.option("--provider", metavar="NAME", help="Execution provider of ONNX Runtime. [default: CPUExecutionProvider]")
@click.option("--threads", metavar="N", type=click.IntRange(1, 256), help="Intra-op threads. [default: as in the run]")
@remote.python_option
@remote.config_option
@click.pass_context
def run(
    context: click.Context,
    bundle: Path,
    hosts: tuple[str, ...],
    out: Path | None,
    names: tuple[str, ...],
    provider: str | None,
    threads: int | None,
    **access: Any,
) -> None:
    """Measure all files of BUNDLE on this device, and write the result for `edgecheck merge`.

    Exits with 0 if it measured, whatever the figures are. The same command resumes an interrupted measurement.

    With --host, measures on that machine over SSH: copies BUNDLE there, runs edgecheck there, and fetches the result. A
    run goes on when the connection drops or the command is interrupted; the same command attaches to it again. Several
    hosts measure at once; then exits with 0 if all measured, else with 3, or 2 for bad input.
    """
    for name in names:
        _check_name(name)
        if names.count(name) > 1:
            raise UsageError(f"--name {name} is given twice; each device needs a name of its own")
    if hosts:
        options = [("--provider", provider), ("--threads", threads)]
        given = [word for option, value in options if value is not None for word in (option, str(value))]
        context.exit(remote.run(bundle, out, remote.Asked(hosts, names, given, **access)))
    if any(access.values()):
        raise UsageError("--python and --ssh-config apply to --host; name one")
    if len(names) > 1:
        raise UsageError(f"--name is given {len(names)} times, and this is one device")
    _run_here(bundle, out or Path("result.json"), names[0] if names else _own_name(), provider, threads)


def _run_here(bundle: Path, out: Path, name: str, provider: str | None, threads: int | None) -> None:
    from edgecheck.atomic import require_writable, write_text
    from edgecheck.device.bundle.result import to_text
    from edgecheck.device.bundle.unpack import unpack
    from edgecheck.pipeline.device_run import Here, measure
    from edgecheck.pipeline.store import Store

    _check_name(name)
    require_writable(out)
    here = Here(name, provider, threads)
    unfinished = out.with_name(f"{out.name}.unfinished")
    with Store(unfinished).attempt() as store, screen.own_words():
        unpacked = unpack(bundle, unfinished / "bundle")
        result = measure(unpacked, here, store, screen.Screen(), command_line())
    write_text(out, to_text(result))
    shutil.rmtree(unfinished, ignore_errors=True)
    screen.say_kept(store)
    screen.say(f"{out}: written, {len(result.variants)} files measured on {here.name}; merge it into the run:")
    screen.say(f"  edgecheck merge RUN {out.name}")


def _own_name() -> str:
    from edgecheck.records.checks import device_name_of

    return device_name_of(platform.node())


def _check_name(name: str) -> None:
    """Refuse a name that no criterion could use."""
    from edgecheck.records import HOST
    from edgecheck.records.checks import DEVICE_NAME

    if not DEVICE_NAME.fullmatch(name) or name == HOST:
        raise UsageError(
            f"--name {name}: a device name has up to 64 letters, digits, dots, hyphens or underscores, begins with a "
            f"letter or digit, and is not {HOST!r}"
        )
