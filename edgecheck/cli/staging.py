"""`edgecheck train`, `prune` and `cam`: single stages of the pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgecheck.cli import screen
from edgecheck.cli.options import config_argument, out_option
from edgecheck.text import plain


@click.command(short_help="Train a baseline from scratch.")
@config_argument
@out_option("weights.safetensors", "File to write the weights to.")
def train(config: Path, out: Path) -> None:
    """Train the model of CONFIG from scratch with its train: recipe, and report its accuracy on the test split."""
    from edgecheck.config import reader
    from edgecheck.pipeline import single
    from edgecheck.report.format import format_value

    accuracy = single.train(reader.load(config), out, screen.Screen())
    screen.say(f"{out}: written; accuracy on the test split {format_value(accuracy, 'fraction')}")


@click.command(short_help="Prune and fine-tune one variant.")
@config_argument
@click.option(
    "--criterion",
    metavar="NAME",
    default="l1",
    show_default=True,
    help="Criterion that ranks weights or filters; see `edgecheck criteria`.",
)
@click.option(
    "--structure",
    metavar="NAME",
    default="unstructured",
    show_default=True,
    help="What to remove: unstructured, filters, 2:4, ...",
)
@click.option(
    "--scope",
    type=click.Choice(["global", "layer"]),
    help="Rank all layers together, or each layer alone. [default: depends on the structure]",
)
@click.option(
    "--rate",
    metavar="RATE",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Pruning rate, 0 to 1; 2:4 has a fixed one.",
)
@click.option(
    "--steps",
    metavar="N",
    type=click.IntRange(1, 1000),
    default=1,
    help="Number of pruning steps with fine-tuning in between. [default: 1]",
)
@click.option(
    "--round-to",
    metavar="N",
    type=click.IntRange(1, 4096),
    default=1,
    help="Round the kept channels to a multiple of N.",
)
@out_option("edgecheck-report", "Run folder; `edgecheck run` with the same --out reuses its stages.")
def prune(config: Path, out: Path, **row: Any) -> None:
    """Prune and fine-tune one variant of the model of CONFIG, and export it.

    Reports which layers were not pruned and why, and the rate reached.
    """
    from edgecheck.config import reader
    from edgecheck.errors import UsageError
    from edgecheck.pipeline import single
    from edgecheck.pipeline.store import Store
    from edgecheck.pruning.structures import own_rate
    from edgecheck.report.diagnostics import render
    from edgecheck.report.format import format_value

    if row["rate"] is None and own_rate(row["structure"]) is None:
        raise UsageError(
            "--rate is missing: give the share to remove; only N:M structures such as 2:4 have a fixed rate"
        )
    asked = {key: value for key, value in row.items() if value is not None}
    with Store(out).attempt() as store:
        made = single.prune(reader.load(config, {"variants": [asked]}), store, screen.Screen())
    for diagnostic in made.variant.warnings:
        screen.say(f"{made.name}: {render(diagnostic)}")
    removed = format_value(made.variant.effective_rate, "fraction")
    screen.say(f"{made.file.path}: written, {removed} of the prunable part removed")


@click.command(short_help="Write pictures of heatmaps.")
@config_argument
@click.option(
    "--image",
    "images",
    metavar="INDEX",
    type=click.IntRange(0),
    multiple=True,
    help="Index of an image in the test split. Repeatable.",
)
@click.option(
    "--count",
    metavar="N",
    type=click.IntRange(1),
    default=8,
    show_default=True,
    help="Number of images, from the first on, if --image is not given.",
)
@out_option("cams", "Folder to write the pictures to.")
def cam(config: Path, images: tuple[int, ...], count: int, out: Path) -> None:
    """Write pictures of the heatmaps of the PyTorch model of CONFIG, one per method and image.

    Heatmaps of ONNX files are in the report of `edgecheck check --out`.
    """
    from edgecheck.config import reader
    from edgecheck.pipeline import single

    plan = reader.load(config)
    for path in single.cam(plan, images or tuple(range(count)), out, screen.Screen()):
        click.echo(plain(str(path)))
