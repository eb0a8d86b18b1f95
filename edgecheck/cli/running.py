"""`edgecheck demo`, `run` and `init`: the whole job."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecheck.cli import screen
from edgecheck.cli.options import config_argument, format_option, out_option, timings_option

if TYPE_CHECKING:
    from edgecheck.store import Store

DEMO_CONFIG = "digits_cnn.yaml"
INIT_TEMPLATE = "edgecheck.yaml"


@click.command(short_help="Do the whole job that CONFIG describes.")
@config_argument
@out_option("edgecheck-report", "Run folder: reports, one folder per variant. A second run goes on from what it holds.")
@timings_option
@format_option
@click.pass_context
def run(context: click.Context, config: Path, out: Path, timings: bool, form: str) -> None:
    """Prune, fine-tune, export, measure and judge, as CONFIG (edgecheck.yaml) says."""
    from edgecheck import pipeline
    from edgecheck.config import reader as reader
    from edgecheck.store import Store

    with Store(out).attempt() as store, screen.own_words():
        report = pipeline.run(reader.load(config), store, screen.Screen())
    screen.show(report, form)
    if timings:
        screen.show_timings(report)
    _say_where(store)
    context.exit(screen.exit_code(report))


@click.command(short_help="Take the tour on handwritten digits.")
@out_option("demo-report", "Run folder.")
@format_option
def demo(out: Path, form: str) -> None:
    """Take the tour: a small network on handwritten digits, 12 variants, the whole report.

    The demo does not gate: it exits 0 when it completes, and says what `edgecheck gate` would return.
    """
    from importlib import resources

    from edgecheck import pipeline
    from edgecheck.config import reader as reader
    from edgecheck.store import Store

    with resources.as_file(resources.files("edgecheck.models")) as folder, Store(out).attempt() as store:
        report = pipeline.run(reader.load(folder / DEMO_CONFIG), store, screen.Screen())
    screen.show(report, form)
    _say_where(store)
    screen.say(f"the demo exits 0; `edgecheck gate {out}` exits with {screen.exit_code(report)}")


def _say_where(store: Store) -> None:
    if store.kept:
        screen.say(f"{store.kept} stages were finished before and kept")
    screen.say(f"reports: {store.folder}/report.html, report.md, report.json, junit.xml")


@click.command(short_help="Write a commented configuration.")
@click.argument("path", type=click.Path(path_type=Path), default=INIT_TEMPLATE)
@click.option("--force", is_flag=True, help="Overwrite PATH.")
def init(path: Path, force: bool) -> None:
    """Write a commented configuration to PATH (edgecheck.yaml)."""
    from importlib import resources

    from edgecheck.errors import UsageError
    from edgecheck.store import write_text

    if path.exists() and not force:
        raise UsageError(f"{path}: exists already; add --force to overwrite it, or name another PATH")
    write_text(path, resources.files("edgecheck.cli").joinpath(INIT_TEMPLATE).read_text())
    screen.say(f"{path}: written; fill in model and data, then: edgecheck run {path}")
