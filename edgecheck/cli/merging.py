"""`edgecheck merge`: add what devices measured to a saved run, and judge it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgecheck.cli import screen
from edgecheck.cli.judging import run_argument
from edgecheck.cli.options import format_option, plugin_option


@click.command(short_help="Add results of devices to a run, and judge it.")
@run_argument
@click.argument("results", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--csv",
    "tables",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Figures of another tool, with the columns variant,metric,value: marked as external. Repeatable.",
)
@click.option("--device", "names", metavar="NAME", multiple=True, help="The device of a --csv; once each, in order.")
@click.option("--replace", is_flag=True, help="Replace readings of a device that was merged before.")
@plugin_option
@format_option
@click.pass_context
def merge(
    context: click.Context,
    run: Path,
    results: tuple[Path, ...],
    replace: bool,
    plugin_files: tuple[Path, ...],
    form: str,
    **external: tuple[Any, ...],
) -> None:
    """Add RESULTS of `edgecheck device run` to a saved RUN, and judge it; exit 0 if the gate holds, else 1.

    Refuses results of other files, images or preprocessing. Writes the reports of RUN again.

    Figures that ONNX Runtime cannot give come from a CSV file: --csv trt.csv --device orin-trt. A value has a unit as
    in a criterion: l1-0.40,latency.p50_s,2.4 ms.
    """
    from edgecheck.cli.judging import prepare
    from edgecheck.errors import UsageError
    from edgecheck.pipeline.external import of_csv
    from edgecheck.pipeline.merge import merge as merged
    from edgecheck.pipeline.merge import of_results

    tables, names = external["tables"], external["names"]
    if not results and not tables:
        raise UsageError("nothing to merge: give results of `edgecheck device run`, or a --csv")
    if len(tables) != len(names):
        raise UsageError(f"--csv is given {len(tables)} times and --device {len(names)} times: give one for each")
    prepare(plugin_files, form)
    figures = [of_csv(table, name) for table, name in zip(tables, names, strict=True)]
    report = merged(run, [*of_results(results), *figures], replace)
    screen.show(report, form)
    context.exit(report.exit_code)
