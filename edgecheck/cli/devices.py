"""`edgecheck bundle`, `device run`, `device selftest` and `device install`: measure the files of a run elsewhere."""

from __future__ import annotations

import platform
import shlex
import shutil
from pathlib import Path
from typing import Any

import click

from edgecheck.cli import remote, screen
from edgecheck.cli.judging import run_argument
from edgecheck.cli.options import command_line, listing_format_option, plugin_option
from edgecheck.cli.verbosity import verbosity_options
from edgecheck.errors import UsageError

bundle_argument = click.argument("bundle", type=click.Path(path_type=Path))


@click.command(short_help="Pack a run for another device.")
@run_argument
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    default="bundle.zip",
    show_default=True,
    help="The bundle; any file there is replaced.",
)
@click.option(
    "--variant",
    "variants",
    metavar="NAME",
    multiple=True,
    help="Pack only this variant, beside the baseline. Repeatable. [default: all]",
)
@click.option(
    "--images",
    metavar="N",
    type=click.IntRange(1),
    default=500,
    show_default=True,
    help="Number of test images, drawn by the seed of the run.",
)
@click.option("--no-images", is_flag=True, help="Pack noise in the place of images that must not leave this machine.")
@click.option(
    "--time-budget",
    "budget_s",
    metavar="SECONDS",
    type=click.FloatRange(0),
    default=30.0,
    show_default=True,
    help="Seconds of latency sampling per file on the device; 0 for none.",
)
@click.option(
    "--target-layer",
    metavar="TENSOR",
    help="Tensor of the files to explain. [default: that of the run, or the last feature map]",
)
@plugin_option
@verbosity_options
def bundle(run: Path, out: Path, images: int, no_images: bool, plugin_files: tuple[Path, ...], **asked: Any) -> None:
    """Pack the ONNX files of a saved RUN, test images and expected outputs into one file for `edgecheck device run`.

    Equal content gives equal bytes. Metrics and methods of plugins stay here: devices have no plugins.
    """
    from edgecheck.pipeline.bundle import Asked
    from edgecheck.pipeline.bundle import bundle as pack
    from edgecheck.plugins import load

    load(plugin_files)
    wanted = Asked(images=images, real_images=not no_images, **asked)
    manifest = pack(run, out, wanted, screen.Screen())
    what = "synthetic images" if manifest.synthetic else f"{len(manifest.images):,} images"
    packed = f"{len(manifest.variants)} files, {what}, {out.stat().st_size:,} bytes"
    screen.inform(f"{out}: written, {packed}; copy it to the device, and run there:")
    screen.inform(f"edgecheck device run {shlex.quote(out.name)} -o result.json")


@click.group(short_help="Measure a bundle on a device.")
def device() -> None:
    """Measure or verify a bundle on this device, or measure it on others over SSH.

    Needs neither PyTorch nor the run folder.
    """


@device.command("run", short_help="Measure a bundle, here or over SSH.")
@bundle_argument
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
@verbosity_options
@click.pass_context
def run_on(
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
    from edgecheck.atomic import remove_leftovers, require_writable, write_text
    from edgecheck.device.bundle.result import to_text
    from edgecheck.device.bundle.unpack import unpack
    from edgecheck.pipeline.device_run import Here, measure
    from edgecheck.pipeline.store import Store

    _check_name(name)
    _check_provider(provider)
    require_writable(out)
    remove_leftovers([out.parent])
    here = Here(name, provider, threads)
    unfinished = out.with_name(f"{out.name}.unfinished")
    with Store(unfinished).attempt() as store, screen.own_words():
        unpacked = unpack(bundle, unfinished / "bundle")
        result = measure(unpacked, here, store, screen.Screen(), command_line())
    write_text(out, to_text(result))
    shutil.rmtree(unfinished, ignore_errors=True)
    screen.say_kept(store)
    screen.say(f"{out}: written, {len(result.variants)} files measured on {here.name}; merge it into the run:")
    screen.say(f"edgecheck merge RUN {shlex.quote(out.name)}")


device.add_command(remote.install)


@device.command(short_help="Verify this device.")
@bundle_argument
@click.option("--provider", metavar="NAME", help="Execution provider of ONNX Runtime. [default: CPUExecutionProvider]")
@click.option("--threads", metavar="N", type=click.IntRange(1, 256), help="Intra-op threads. [default: as in the run]")
@listing_format_option
@click.pass_context
def selftest(context: click.Context, bundle: Path, provider: str | None, threads: int | None, form: str) -> None:
    """Run the golden images of BUNDLE on every file; exit 0 if classes, outputs and heatmaps are those of the host.

    Exits with 1 if those of any file are not.
    """
    from edgecheck.device.bundle.unpack import unpack
    from edgecheck.pipeline.inspect.selftest import tested
    from edgecheck.scratch import temporary_folder

    _check_provider(provider)
    with temporary_folder() as scratch:
        listing, passed = tested(unpack(bundle, scratch, "set TMPDIR to a folder on another disk"), provider, threads)
    screen.show_listing(listing, form)
    context.exit(0 if passed else 1)


def _check_provider(name: str | None) -> None:
    """Refuse a provider that this device does not have, before anything is unpacked."""
    from edgecheck.device.runtime.ort import require_provider

    if name is not None:
        require_provider(name, "--provider")


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
