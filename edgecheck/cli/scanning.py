"""`edgecheck sensitivity`: which layers can be compressed, and which cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgecheck.cli import screen
from edgecheck.cli.options import (
    command_line,
    config_argument,
    executor_option,
    listing_format_option,
    numbers,
    out_option,
    reuse_option,
)


@click.command(short_help="Find the layers that compression hurts most.")
@config_argument
@click.option(
    "--rate",
    "rates",
    metavar="RATES",
    callback=numbers,
    default="0.5",
    show_default=True,
    help="Pruning rates of a layer, such as 0.25,0.5,0.75.",
)
@click.option(
    "--structure",
    metavar="NAME",
    default="filters",
    show_default=True,
    help="What to remove: filters or unstructured (single weights).",
)
@click.option("--criterion", metavar="NAME", default="l1", show_default=True, help="Pruning criterion.")
@click.option(
    "--quantization", metavar="NAME", help="Also quantize each layer alone, such as to int8. [default: not at all]"
)
@reuse_option("the search folder of a search")
@out_option("edgecheck-sensitivity", "Folder of the result; a second scan resumes there.")
@executor_option
@listing_format_option
def sensitivity(config: Path, out: Path, form: str, **given: Any) -> None:
    """Prune each layer of the model of CONFIG alone, and measure accuracy and heatmaps.

    Nothing is fine-tuned or judged. Layers that lose the same filters count as one. The figures are those of the first
    half of the test images, as in a search. The variants: and gate: sections are ignored.

    Writes sensitivity.html, sensitivity.md and sensitivity.json. A layer that must keep its filters gets a rate of its
    own in CONFIG: variants: [{criterion: l1, structure: filters, rate: 0.3, rates: {layer1.0.conv1: 0}}].
    """
    from edgecheck.config import reader
    from edgecheck.pipeline import executors
    from edgecheck.pipeline.sensitivity import Asked, scan
    from edgecheck.pipeline.store import Store
    from edgecheck.report.sensitivity.page import listings
    from edgecheck.run_folder import SENSITIVITY_FILES

    with Store(out, given["reuse"]).attempt("sensitivity scan") as store, screen.own_words():
        plan, progress = reader.load(config), screen.Screen()
        asked = Asked(given["criterion"], given["structure"], given["rates"], given["quantization"])
        place = executors.executor(given["executor"], progress)
        record = scan(plan, store, asked, place, progress, command_line())
    first, *others = listings(record)
    screen.show_listing(first, form)
    for listing in others if form != "json" else []:  # the first one holds the numbers of both
        click.echo()
        screen.show_listing(listing, form)
    screen.say_kept(store)
    screen.inform(f"sensitivity: {store.folder}/{', '.join(SENSITIVITY_FILES)}")
