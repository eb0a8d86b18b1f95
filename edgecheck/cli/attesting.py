"""`edgecheck verify` and `attest`: are these the files that were judged, and a signed statement that they were."""

from __future__ import annotations

from pathlib import Path

import click

from edgecheck.cli import screen
from edgecheck.cli.judging import run_argument
from edgecheck.cli.options import listing_format_option, plugin_option

CHANGED = 2
FAILS = 1


@click.command(short_help="Check that files are those that a run judged.")
@run_argument
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--config",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The edgecheck.yaml of the run: also compares it, its gate, its preprocessing and the test images that it "
    "names, which are read again.",
)
@click.option(
    "--passing",
    is_flag=True,
    help="Exit 1 if everything is unchanged, but a file does not pass the gate; without FILES, if the gate of RUN does "
    "not hold.",
)
@plugin_option
@listing_format_option
@click.pass_context
def verify(
    context: click.Context,
    run: Path,
    files: tuple[Path, ...],
    config: Path | None,
    passing: bool,
    plugin_files: tuple[Path, ...],
    form: str,
) -> None:
    """Check that a saved RUN is unchanged, and that FILES are models that it judged; exit 0 if so, 2 if not.

    Compares the report and everything it was made from with their digests. A file may have any name: it is known by the
    SHA-256 of its content, with its external data. A file that the gate fails is unchanged as well; its verdict is
    shown, and --passing requires it.
    """
    from edgecheck.pipeline.release import verifying
    from edgecheck.report.release.verification import listing

    if plugin_files:
        from edgecheck.plugins import load

        load(plugin_files)
    found = verifying.verify(run, files, config, screen.Screen())
    screen.show_listing(listing(found), form)
    context.exit(CHANGED if not found.unchanged else FAILS if passing and not found.passes else 0)
