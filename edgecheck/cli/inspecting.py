"""`edgecheck count`, `bench` and `doctor`: looks at files and at this machine; nothing is judged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import click

from edgecheck.cli import screen
from edgecheck.cli.options import format_option, whole_numbers

shape_option = click.option(
    "--shape", callback=whole_numbers, help="CHANNELS,HEIGHT,WIDTH where the file leaves them free."
)


@click.command(short_help="Count parameters, MACs and FLOPs.")
@click.argument("file", type=click.Path(path_type=Path))
@shape_option
@click.option("--paper", is_flag=True, help="Count layer by layer as the Sp2PS paper does (Eqs. 1-5).")
@format_option
def count(file: Path, shape: Sequence[int] | None, paper: bool, form: str) -> None:
    """Count parameters, MACs and FLOPs of an ONNX FILE by operator."""
    from edgecheck.pipeline import inspection

    listing = inspection.paper_counts if paper else inspection.counts
    screen.show_listing(listing(file, _shape(shape)), form)


@click.command(short_help="Measure latency of ONNX files.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@shape_option
@click.option("--time-budget", type=click.FloatRange(0.01), default=5.0, show_default=True, help="Seconds a file.")
@click.option("--threads", type=click.IntRange(1, 256), default=1, show_default=True, help="Intra-op threads.")
@format_option
def bench(files: tuple[Path, ...], shape: Sequence[int] | None, time_budget: float, threads: int, form: str) -> None:
    """Measure the latency of ONNX FILES, interleaved; ratios are to the first of them."""
    from edgecheck.pipeline import inspection

    if not math.isfinite(time_budget):
        raise click.BadParameter(f"{time_budget} seconds is no time", param_hint="--time-budget")
    listing = inspection.latencies(files, _shape(shape), time_budget, threads, screen.Screen())
    screen.show_listing(listing, form)


@click.command(short_help="Show versions, CPU and what is missing.")
@format_option
def doctor(form: str) -> None:
    """Show versions, providers and CPU, and what is missing with the command that installs it."""
    from edgecheck.pipeline import inspection

    screen.show_listing(inspection.installation(), form)


def _shape(numbers: Sequence[int] | None) -> tuple[int, int, int] | None:
    if numbers is None:
        return None
    if len(numbers) != 3:
        raise click.BadParameter("a shape has three numbers: CHANNELS,HEIGHT,WIDTH", param_hint="--shape")
    channels, height, width = numbers
    return channels, height, width
