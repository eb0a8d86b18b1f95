"""`edgecheck search`: find the smallest variant that passes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgecheck.cli import screen
from edgecheck.cli.gating import gate_of, profile_option
from edgecheck.cli.options import (
    command_line,
    config_argument,
    dry_run_option,
    executor_option,
    format_option,
    out_option,
    reuse_option,
    timings_option,
)


@click.command(short_help="Find the smallest variant that passes the gate.")
@config_argument
@click.option(
    "--minimize",
    metavar="METRIC",
    help="What to make as small as possible: size.bytes, latency.ratio or macs. [default: that of CONFIG, or "
    "size.bytes]",
)
@click.option(
    "--budget",
    metavar="TIME|'N variants'",
    help="Stop searching after a time such as 2h or 90m, or after a number of variants. [default: no limit]",
)
@click.option(
    "--trials",
    metavar="N",
    type=click.IntRange(1, 10_000),
    help="Then vary the rates of single layers, and the weights of the recipe, in N more variants (needs pip install "
    "'edgecheck[search]'). [default: that of CONFIG, or none]",
)
@profile_option
@reuse_option("training")
@out_option("edgecheck-search", "Run folder; a second search resumes there.")
@executor_option
@dry_run_option
@timings_option
@format_option
@click.pass_context
def search(context: click.Context, config: Path, out: Path, form: str, **given: Any) -> None:
    """Find the smallest variant of CONFIG that passes the gate.

    The search: section of CONFIG names the criteria, structures, rates, recipes and quantizations to choose from.
    Without it, these are L1, filters, rates of 5 % to 95 %, the recipes none, paper and preserve, with and without
    int8. The variants: section is ignored.

    With --trials, or refine in the search: section, the layers then get rates of their own around the best variant, by
    their sensitivity.

    Variants are tried on one half of the test images, and the smallest that passes is judged once on the other half.
    Writes search.html, search.md and search.json beside the reports of a run.

    Exits 0 if the variant found passes, else 1.
    """
    from edgecheck.config import reader
    from edgecheck.pipeline import executors
    from edgecheck.pipeline import search as searching  # the package
    from edgecheck.pipeline.store import Store
    from edgecheck.report import renderer
    from edgecheck.report.search.sections import decision
    from edgecheck.run_folder import SEARCH_FILES
    from edgecheck.search.budget import Budget

    budget = Budget.of(given["budget"])
    if given["dry_run"]:
        return _preview(config, out, form, given)
    with Store(out).attempt("search") as store, screen.own_words():
        plan, progress = reader.load(config, _overrides(given)), screen.Screen()
        renderer(form)
        executors.executor(given["executor"], progress)  # an unknown one is refused before any work
        tools = searching.Tools(lambda: executors.executor(given["executor"], progress), progress, given["reuse"])
        record, report = searching.search(plan, store, budget, tools, command_line())
    screen.show(report, form)
    if given["timings"]:
        screen.show_timings(report)
    screen.say(decision(record, report))
    screen.inform(f"search: {store.folder}/{', '.join(SEARCH_FILES)}; and report.html")
    context.exit(report.exit_code if record.found else 1)


def _preview(config: Path, out: Path, form: str, given: dict[str, Any]) -> None:
    from edgecheck.config import reader
    from edgecheck.pipeline import preview
    from edgecheck.pipeline.search import checked

    with screen.own_words():
        plan = reader.load(config, _overrides(given))
        listing = preview.of_search(plan, checked(plan), out)
    screen.show_preview(listing, form)


def _overrides(given: dict[str, Any]) -> dict[str, Any]:
    asked = {"minimize": given["minimize"]} if given["minimize"] else {}
    refined = {"refine": {"trials": given["trials"]}} if given["trials"] else {}
    return {**gate_of(given["profile"]), **({"search": {**asked, **refined}} if asked or refined else {})}
