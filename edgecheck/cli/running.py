"""`edgecheck demo`, `run` and `init`: the whole pipeline, and its configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgecheck.cli import screen
from edgecheck.cli.gating import (
    REPLACING,
    gate_of,
    gate_option,
    profile_option,
    version_criteria,
    version_options,
    versions_of,
)
from edgecheck.cli.options import (
    command_line,
    config_argument,
    dry_run_option,
    executor_option,
    format_option,
    out_option,
    timings_option,
)
from edgecheck.cli.verbosity import verbosity_options

if TYPE_CHECKING:
    from edgecheck.config.plan import Plan

DEMO_CONFIG = "digits_cnn.yaml"
INIT_TEMPLATE = "edgecheck.yaml"


@click.command(short_help="Compress, measure and gate the model of CONFIG.")
@config_argument
@out_option("edgecheck-report", "Run folder, with reports and one folder per variant; a second run resumes there.")
@gate_option(REPLACING)
@profile_option
@version_options
@executor_option
@dry_run_option
@timings_option
@format_option
@click.pass_context
def run(context: click.Context, config: Path, out: Path, form: str, **given: Any) -> None:
    """Prune, fine-tune, export, measure and gate the model of CONFIG (by default edgecheck.yaml in this folder).

    --gate 'sp2ps.grad-cam >= 0.9' changes that limit and keeps the other criteria.
    """
    from edgecheck.pipeline import executors
    from edgecheck.pipeline.run import run as carry_out
    from edgecheck.pipeline.store import Store
    from edgecheck.report import renderer

    if given["dry_run"]:
        return _preview(config, out, form, given)
    with Store(out).attempt() as store, screen.own_words():
        plan, progress = _plan(config, given), screen.Screen()
        renderer(form)
        report = carry_out(plan, store, progress, executors.executor(given["executor"], progress), command_line())
    screen.show(report, form)
    if given["timings"]:
        screen.show_timings(report)
    screen.say_where(store)
    context.exit(report.exit_code)


def _plan(config: Path, given: dict[str, Any]) -> Plan:
    from edgecheck.config import reader

    versions = given["max_opset"], given["max_ir"]
    overrides = {**gate_of(given["profile"]), **versions_of(*versions)}
    return reader.load(config, overrides, [*version_criteria(*versions), *given["sentences"]])


def _preview(config: Path, out: Path, form: str, given: dict[str, Any]) -> None:
    from edgecheck.pipeline import executors, preview

    with screen.own_words():
        listing = preview.of_run(_plan(config, given), out)
        executors.executor(given["executor"], screen.Screen())  # an unknown one is refused
    screen.show_preview(listing, form)


@click.command(short_help="Run a complete example on handwritten digits.")
@out_option("demo-report", "Run folder.")
@verbosity_options
@format_option
def demo(out: Path, form: str) -> None:
    """Run a complete example: a small network on handwritten digits, 6 variants, and all reports.

    The demo does not gate: it exits 0 when it completes, and prints the exit code of `edgecheck gate`.
    """
    from importlib import resources

    from edgecheck.config import reader
    from edgecheck.pipeline.run import run as carry_out
    from edgecheck.pipeline.store import Store
    from edgecheck.report import renderer

    renderer(form)
    with resources.as_file(resources.files("edgecheck.models")) as folder, Store(out).attempt() as store:
        report = carry_out(reader.load(folder / DEMO_CONFIG), store, screen.Screen(), command=command_line())
    screen.show(report, form)
    screen.say_where(store)
    screen.inform(f"the demo exits 0; `edgecheck gate {out}` exits with {report.exit_code}")


@click.command(short_help="Write a commented configuration.")
@click.argument("path", type=click.Path(path_type=Path), default=INIT_TEMPLATE)
@click.option("--force", is_flag=True, help="Overwrite PATH.")
def init(path: Path, force: bool) -> None:
    """Write a commented configuration to PATH (edgecheck.yaml)."""
    from importlib import resources

    from edgecheck.atomic import write_text
    from edgecheck.errors import UsageError

    if path.exists() and not force:
        raise UsageError(f"{path}: already exists; add --force to overwrite it, or name another PATH")
    write_text(path, resources.files("edgecheck.cli").joinpath(INIT_TEMPLATE).read_text())
    screen.say(f"{path}: written; fill in model and data, then: edgecheck run {path}")
