"""`edgecheck gate` and `report`: judge or render a saved run again, without measuring."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from edgecheck.cli import screen
from edgecheck.cli.gating import REPLACING, gate_option, profile_option
from edgecheck.cli.options import NamedPath, format_option, images_option, load_plugins, out_option, plugin_option

if TYPE_CHECKING:
    from edgecheck.records import Policy

Require = Literal["all", "any"]

run_argument = click.argument("run", type=NamedPath())
unverified_option = click.option(
    "--unverified",
    is_flag=True,
    help="Judge even if files or the report do not match their digests; every format then says so.",
)


@click.command(short_help="Judge a saved run again.")
@run_argument
@click.option("--config", type=click.Path(path_type=Path), help="Use the gate: section of this file.")
@gate_option(REPLACING)
@profile_option
@click.option("--only", is_flag=True, help="Use only the --gate criteria.")
@click.option("--require", type=click.Choice(["all", "any"]), help="Whether every candidate must pass.")
@unverified_option
@plugin_option
@out_option(None, "Write the report files of this judgement to this folder.")
@images_option
@format_option
@click.pass_context
def gate(
    context: click.Context,
    run: Path,
    unverified: bool,
    plugin_files: tuple[Path, ...],
    out: Path | None,
    form: str,
    **asked: Any,
) -> None:
    """Judge a saved RUN again, by its own policy or another one; exit 0 if the gate holds, else 1.

    First compares the report and the files it was made from with their digests; a mismatch is an error (exit code 2).

    --gate 'sp2ps.grad-cam >= 0.9' changes that limit and keeps the other criteria; with --only it is the whole gate.
    """
    from edgecheck.days import today
    from edgecheck.errors import UsageError
    from edgecheck.gate.judgement import judged as judge
    from edgecheck.pipeline import saved as folder

    images = asked.pop("images")
    if not images and out is None:
        raise UsageError("--no-images needs --out: without it, no page is written")
    prepare(plugin_files, form)
    saved = folder.read(run, unverified)
    judged = judge(saved, _policy(saved.policy, **asked), today())
    if out:
        from edgecheck.pipeline import reporting

        reporting.write(judged, out, run=run, images=images)
    screen.show(judged, form)
    context.exit(judged.exit_code)


@click.command(short_help="Render a saved run again.")
@run_argument
@unverified_option
@plugin_option
@out_option(None, "Write the report files to this folder instead of RUN.")
@images_option
@format_option
def report(
    run: Path, unverified: bool, plugin_files: tuple[Path, ...], out: Path | None, images: bool, form: str
) -> None:
    """Render a saved RUN again: report.html, report.md, junit.xml, and the result on stdout."""
    from edgecheck.days import today
    from edgecheck.gate.judgement import judged as judge
    from edgecheck.pipeline import reporting
    from edgecheck.pipeline import saved as folder

    prepare(plugin_files, form)
    saved = folder.read(run, unverified)
    judged = judge(saved, saved.policy, today())
    reporting.write(judged, out or run, run=run, images=images)
    screen.show(judged, form)


def prepare(plugin_files: Sequence[Path], form: str) -> None:
    """Load the plugins, then refuse an unknown format, before anything is read."""
    from edgecheck.report import renderer

    load_plugins(plugin_files)
    renderer(form)


def _policy(
    saved: Policy,
    config: Path | None,
    profile: str | None,
    sentences: tuple[str, ...],
    only: bool,
    require: Require | None,
) -> Policy:
    if not (config or profile is not None or sentences or only or require):
        return saved  # without the import of all that reads configurations

    import attrs

    from edgecheck.config import gates, reader
    from edgecheck.errors import UsageError

    policy = reader.load_gate(config) if config else saved
    if only and not sentences:
        raise UsageError("--only needs at least one --gate")
    if only and profile is not None:
        raise UsageError("--only drops the criteria of --profile: leave out one of them")
    if profile is not None:
        policy = attrs.evolve(policy, criteria=gates.profile(profile, gates.PROFILE_FLAG), profile=profile)
    if only:
        policy = attrs.evolve(policy, criteria=[], profile="")
    if sentences:
        policy = gates.amended(policy, sentences)
    return attrs.evolve(policy, require=require) if require else policy
