"""`edgecheck count`, `bench`, `layers` and `doctor`: inspect files and this machine; nothing is judged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from edgecheck.cli import screen
from edgecheck.cli.options import listing_format_option, whole_numbers
from edgecheck.cli.verbosity import verbosity_options

shape_option = click.option(
    "--shape",
    metavar="C,H,W",
    callback=whole_numbers,
    help="Channels, height and width of an image, such as 3,224,224. Needed only if the file leaves them free.",
)
threads_option = click.option(
    "--threads",
    type=click.IntRange(1, 256),
    metavar="N",
    default=1,
    show_default=True,
    help="Intra-op threads of ONNX Runtime.",
)


@click.command(short_help="Count parameters, MACs and FLOPs of an ONNX file.")
@click.argument("file", type=click.Path(path_type=Path))
@shape_option
@click.option("--paper", is_flag=True, help="Count layer by layer with Eqs. 1-5 of the Sp2PS paper instead.")
@listing_format_option
def count(file: Path, shape: Sequence[int] | None, paper: bool, form: str) -> None:
    """Count parameters, MACs and FLOPs of an ONNX FILE, operator by operator."""
    from edgecheck.pipeline.inspect import counts

    listing = counts.by_paper if paper else counts.by_operator
    screen.show_listing(listing(file, _shape(shape)), form)


@click.command(short_help="Measure the latency of ONNX files.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@shape_option
@click.option(
    "--time-budget",
    type=click.FloatRange(0.01),
    metavar="SECONDS",
    default=30.0,
    show_default=True,
    help="Seconds per file. Sampling stops early if all ratios are known to 1 %, but not before 64 runs.",
)
@click.option(
    "--pace",
    type=click.FloatRange(0.01, 1e6),
    metavar="HZ",
    help="Runs per second, with idle gaps between them. Default: one run after the other.",
)
@click.option(
    "--batch", type=click.IntRange(1, 4096), metavar="N", default=1, show_default=True, help="Images per run."
)
@threads_option
@click.option(
    "--provider",
    metavar="NAME",
    default="CPUExecutionProvider",
    show_default=True,
    help="Execution provider of ONNX Runtime; `edgecheck doctor` lists the available ones.",
)
@click.option(
    "--graph-optimization",
    type=click.Choice(["all", "extended", "basic", "disabled"]),
    default="all",
    show_default=True,
    help="Graph optimization level of ONNX Runtime.",
)
@verbosity_options
@listing_format_option
def bench(files: tuple[Path, ...], shape: Sequence[int] | None, form: str, **flags: Any) -> None:
    """Measure the latency of ONNX FILES in turn; ratios are relative to the first file."""
    from edgecheck.config.plan import Measure
    from edgecheck.pipeline.inspect.bench import latencies

    if not math.isfinite(flags["time_budget"]):
        raise click.BadParameter("must be a finite number of seconds", param_hint="--time-budget")
    measure = Measure(
        latency_budget_s=flags["time_budget"],
        pace_hz=flags["pace"],
        batch=flags["batch"],
        intra_op_threads=flags["threads"],
        provider=flags["provider"],
        graph_optimization=flags["graph_optimization"],
    )
    screen.show_listing(latencies(files, _shape(shape), measure, screen.Screen()), form)


@click.command(short_help="Show which layers cost time, MACs and memory.")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("other", required=False, type=click.Path(path_type=Path))
@shape_option
@threads_option
@listing_format_option
def layers(file: Path, other: Path | None, shape: Sequence[int] | None, threads: int, form: str) -> None:
    """Profile an ONNX FILE layer by layer, as ONNX Runtime runs it; with OTHER, both side by side."""
    from edgecheck.config.plan import Measure
    from edgecheck.pipeline.inspect.layers import side_by_side

    files = [file, other] if other else [file]
    screen.show_listing(side_by_side(files, _shape(shape), Measure(intra_op_threads=threads)), form)


@click.command(short_help="Show versions, CPU, and what is missing.")
@listing_format_option
def doctor(form: str) -> None:
    """Show installed versions, execution providers and the CPU, and how to install what is missing."""
    from edgecheck.pipeline.inspect.doctor import installation

    screen.show_listing(installation(), form)


def _shape(numbers: Sequence[int] | None) -> tuple[int, int, int] | None:
    if numbers is None:
        return None
    if len(numbers) != 3:
        raise click.BadParameter("give three numbers: CHANNELS,HEIGHT,WIDTH", param_hint="--shape")
    channels, height, width = numbers
    return channels, height, width
