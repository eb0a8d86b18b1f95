"""`edgecheck metrics`, `criteria` and `schema`: what the names in a gate, a variant and a report mean."""

from __future__ import annotations

import click

from edgecheck.cli import screen
from edgecheck.cli.options import listing_format_option

name_argument = click.argument("name", required=False)


@click.command(short_help="Explain the metrics of a gate.")
@name_argument
@listing_format_option
def metrics(name: str | None, form: str) -> None:
    """List the metrics that a gate can use, or explain the metric NAME: meaning, unit, better direction, source."""
    from edgecheck.pipeline.inspect import reference

    screen.show_listing(reference.metrics(name), form)


@click.command(short_help="Explain the pruning criteria.")
@name_argument
@listing_format_option
def criteria(name: str | None, form: str) -> None:
    """List the pruning criteria, or explain the criterion NAME: meaning, what it ranks, need of images, source."""
    from edgecheck.pipeline.inspect import reference

    screen.show_listing(reference.criteria(name), form)


@click.command(short_help="Print the JSON Schema of report.json.")
def schema() -> None:
    """Print the JSON Schema (draft 2020-12) of report.json and of --format json."""
    from edgecheck.records.schema import schema_text

    click.echo(schema_text(), nl=False)
