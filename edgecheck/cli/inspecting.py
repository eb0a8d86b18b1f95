"""`edgecheck count`, `bench` and `doctor`: looks at files and at this machine; nothing is judged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from edgecheck.cli import screen
from edgecheck.cli.options import listing_format_option, whole_numbers

shape_option = click.option(
    "--shape", callback=whole_numbers, help="CHANNELS,HEIGHT,WIDTH where the file leaves them free."
)


@click.command(short_help="Count parameters, MACs and FLOPs.")
@click.argument("file", type=click.Path(path_type=Path))
@shape_option
@click.option("--paper", is_flag=True, help="Count layer by layer as the Sp2PS paper does (Eqs. 1-5).")
@listing_format_option
def count(file: Path, shape: Sequence[int] | None, paper: bool, form: str) -> None:
    """Count parameters, MACs and FLOPs of an ONNX FILE by operator."""
    from edgecheck.pipeline import inspection

    listing = inspection.paper_counts if paper else inspection.counts
    screen.show_listing(listing(file, _shape(shape)), form)


@click.command(short_help="Measure latency of ONNX files.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@shape_option
@click.option(
    "--time-budget",
    type=click.FloatRange(0.01),
    default=30.0,
    show_default=True,
    help="Seconds a file; less once ratios are known to 1 %, more where 64 runs take longer.",
)
@click.option("--pace", type=click.FloatRange(0.01, 1e6), help="Runs a second, with idle gaps between them.")
@click.option("--batch", type=click.IntRange(1, 4096), default=1, show_default=True, help="Images a run.")
@click.option("--threads", type=click.IntRange(1, 256), default=1, show_default=True, help="Intra-op threads.")
@click.option("--provider", default="CPUExecutionProvider", show_default=True, help="Of ONNX Runtime.")
@click.option(
    "--graph-optimization",
    type=click.Choice(["all", "extended", "basic", "disabled"]),
    default="all",
    show_default=True,
    help="How far ONNX Runtime rewrites graphs.",
)
@listing_format_option
def bench(files: tuple[Path, ...], shape: Sequence[int] | None, form: str, **flags: Any) -> None:
    """Measure the latency of ONNX FILES, interleaved; ratios are to the first of them."""
    from edgecheck.config.plan import Measure
    from edgecheck.pipeline import inspection

    if not math.isfinite(flags["time_budget"]):
        raise click.BadParameter(f"{flags['time_budget']} seconds is no time", param_hint="--time-budget")
    measure = Measure(
        latency_budget_s=flags["time_budget"],
        pace_hz=flags["pace"],
        batch=flags["batch"],
        intra_op_threads=flags["threads"],
        provider=flags["provider"],
        graph_optimization=flags["graph_optimization"],
    )
    screen.show_listing(inspection.latencies(files, _shape(shape), measure, screen.Screen()), form)


@click.command(short_help="Show which layers cost time, MACs and memory.")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("other", required=False, type=click.Path(path_type=Path))
@shape_option
@click.option("--threads", type=click.IntRange(1, 256), default=1, show_default=True, help="Intra-op threads.")
@listing_format_option
def layers(file: Path, other: Path | None, shape: Sequence[int] | None, threads: int, form: str) -> None:
    """Profile an ONNX FILE, or a baseline FILE beside OTHER, layer by layer as ONNX Runtime runs them."""
    from edgecheck.config.plan import Measure
    from edgecheck.pipeline import inspection

    files = [file, other] if other else [file]
    screen.show_listing(inspection.layer_table(files, _shape(shape), Measure(intra_op_threads=threads)), form)


@click.command(short_help="Show versions, CPU and what is missing.")
@listing_format_option
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
