"""`edgecheck blame`: which layer of a quantized file did it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgecheck.cli import screen
from edgecheck.cli.labelled_data import data_options, plan_of, require_data
from edgecheck.cli.options import listing_format_option
from edgecheck.cli.verbosity import verbosity_options


@click.command(short_help="Find the layers that quantization hurts.")
@click.argument("baseline", type=click.Path(path_type=Path))
@click.argument("candidate", type=click.Path(path_type=Path))
@data_options
@click.option(
    "--config",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="An edgecheck.yaml: data, preprocessing, measure.",
)
@click.option(
    "--keep",
    type=click.IntRange(0, 1024),
    default=8,
    show_default=True,
    metavar="N",
    help="Try the worst 1, 2, 4, ... up to N layers in float; 0 for none.",
)
@verbosity_options
@listing_format_option
def blame(baseline: Path, candidate: Path, keep: int, form: str, **flags: Any) -> None:
    """Rank the layers of CANDIDATE, quantized from the float file BASELINE, by their own error.

    Each layer is quantized alone and compared with its float output on test images. Then the file is made with the
    worst layers in float, and run. Nothing is judged.
    """
    from edgecheck.pipeline.inspect.blame import blame as blamed

    require_data(flags)
    layers, kept = blamed(plan_of(flags, baseline, {}), baseline, candidate, keep, screen.Screen())
    screen.show_listing(layers, form)
    if form != "json":  # the first one holds the numbers of both
        click.echo()
        screen.show_listing(kept, form)
