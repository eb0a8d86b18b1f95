"""`edgecheck compare` and `history`: what changed between two saved runs, and the trend over many."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecheck.cli import screen
from edgecheck.cli.options import NamedPath, listing_format_option, load_plugins, out_option, plugin_option, words

if TYPE_CHECKING:
    from edgecheck.release.comparison import Asked

FAIL_ON = ("new-flips", "regression", "verdict")


@click.command(short_help="Show what changed between two saved runs.")
@click.argument("first", metavar="RUN_A", type=NamedPath())
@click.argument("second", metavar="RUN_B", type=NamedPath())
@click.option(
    "--device",
    "devices",
    metavar="NAME[,NAME]",
    default="host",
    show_default=True,
    callback=words,
    help="Device whose readings are compared. Two names: the first of RUN_A, the second of RUN_B, which may be the "
    "same run.",
)
@click.option(
    "--map",
    "renamed",
    metavar="OLD=NEW",
    multiple=True,
    help="The variant OLD of RUN_A is called NEW in RUN_B. Repeatable.",
)
@click.option("--all", "every", is_flag=True, help="Show every metric, not only those of the gate.")
@click.option("--anyway", is_flag=True, help="Compare runs on other data, preprocessing or classes; the title says so.")
@click.option(
    "--unverified",
    is_flag=True,
    help="Compare even if files or reports do not match their digests, such as those of older versions; the title "
    "says so.",
)
@click.option(
    "--fail-on",
    metavar="|".join(FAIL_ON),
    callback=words,
    help="Exit 1 if a candidate has newly broken images (new-flips); if a metric of the gate is worse or missing, or a "
    "candidate that passed no longer does or is gone (regression); or only the latter (verdict). Several with commas.",
)
@plugin_option
@listing_format_option
@click.pass_context
def compare(
    context: click.Context,
    first: Path,
    second: Path,
    every: bool,
    fail_on: list[str] | None,
    plugin_files: tuple[Path, ...],
    form: str,
    **asked: object,
) -> None:
    """Show what changed from RUN_A to RUN_B: readings, verdicts, limits, images newly broken and repaired.

    Refuses runs on other images, preprocessing or classes (exit code 2). Otherwise exits 0, or 1 by --fail-on.

    A metric is worse if the 95 % interval of its change lies on the worse side as a whole; without an interval, a size
    or a count is worse if it grew by more than 1 %, and nothing else is.
    """
    from edgecheck.pipeline.release import comparing
    from edgecheck.registry import lookup
    from edgecheck.release.failing import FAIL_ON as KINDS
    from edgecheck.release.failing import failures
    from edgecheck.report.release.comparison import listing

    for kind in fail_on or []:
        lookup(KINDS, kind, "--fail-on")
    load_plugins(plugin_files)
    changed = comparing.compare((first, second), _asked(first, second, asked))
    found = failures(changed, fail_on or [])
    screen.show_listing(listing(changed, found, every), form)
    context.exit(1 if found else 0)


def _asked(first: Path, second: Path, options: dict[str, object]) -> Asked:
    from edgecheck.errors import UsageError
    from edgecheck.release.comparison import Asked

    devices, renamed = options["devices"], options["renamed"]
    assert isinstance(devices, list)
    assert isinstance(renamed, tuple)
    if len(devices) not in (1, 2):
        raise UsageError(f"--device {','.join(devices)}: expected one name, or two, one for each run")
    named = [text.partition("=") for text in renamed]
    wrong = next((text for text, parts in zip(renamed, named, strict=True) if not all(parts)), None)
    if wrong is not None:
        raise UsageError(f"--map {wrong}: expected OLD=NEW, the names of a variant in RUN_A and in RUN_B")
    by_old = {old: new for old, _, new in named}
    if len(by_old) < len(named):
        raise UsageError("--map: a variant of RUN_A is given twice")
    return Asked(
        runs=(str(first), str(second)),
        devices=(devices[0], devices[-1]),
        renamed=by_old,
        anyway=bool(options["anyway"]),
        unverified=bool(options["unverified"]),
    )


@click.command(short_help="Show the trend over many saved runs.")
@click.argument("folder", metavar="DIR", type=NamedPath())
@out_option(None, "Write a page with charts to this file, such as history.html.")
@plugin_option
@listing_format_option
def history(folder: Path, out: Path | None, plugin_files: tuple[Path, ...], form: str) -> None:
    """Show the metrics of the gate over all runs below DIR, by the time at which they were made.

    A run that did not finish, or whose report does not match its files, is skipped with a warning.
    """
    from edgecheck.atomic import write_text
    from edgecheck.pipeline.release import history as page
    from edgecheck.report.release.history import html, listing

    load_plugins(plugin_files)
    runs = page.read(folder, screen.say)
    if out is not None:
        write_text(out, html(runs))
    screen.show_listing(listing(runs), form)
