"""`edgecheck export`: the baseline as an ONNX file, and ONNX files whose further output is their heatmap."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgecheck.cli import screen
from edgecheck.cli.labelled_data import data_options, plan_of, require_data
from edgecheck.cli.options import found_config, out_option
from edgecheck.cli.verbosity import verbosity_options

if TYPE_CHECKING:
    from edgecheck.pipeline.heatmap import Written

_OF_HEATMAPS = ("target_layer", "method", "time_budget")


@click.command(short_help="Export the baseline to ONNX, or add a heatmap to a file.")
@click.argument(
    "subject", metavar="[CONFIG|FILE.onnx]", type=click.Path(path_type=Path), required=False, callback=found_config
)
@out_option(None, "File to write to. [default: model.onnx, or FILE.heatmap.onnx for FILE.onnx]")
@click.option("--with-heatmap", is_flag=True, help="Also write a file that outputs the heatmap of each image.")
@click.option("--target-layer", metavar="NAME", help="Tensor or layer to explain. [default: explain.target_layer]")
@click.option(
    "--method",
    type=click.Choice(["grad-cam", "recipro-cam"]),
    help="Method of the heatmap. [default: grad-cam on a linear head, otherwise recipro-cam]",
)
@click.option(
    "--time-budget",
    type=click.FloatRange(0),
    metavar="SECONDS",
    help="Seconds to measure the latency of the heatmap; 0 for none. [default: measure.latency_budget_s]",
)
@click.option(
    "--config", metavar="FILE", type=click.Path(path_type=Path), help="With FILE.onnx: an edgecheck.yaml with its data."
)
@data_options
@verbosity_options
def export(subject: Path, out: Path | None, with_heatmap: bool, **flags: Any) -> None:
    """Export the model of CONFIG with its weights to ONNX, and compare the file with its twin on the test images.

    If their logits differ by more than 1e-3, or their top-1 classes on more than 0.1 % of the images, no file is
    written and the exit code is 3.

    With --with-heatmap, a second file is written beside it, with the suffix .heatmap.onnx. Its further output
    `heatmap` (batch, h, w) is the heatmap of the arg-max class, before min-max normalization and resizing: for a
    picture, scale each map to 0..1 and resize it to the image. Instead of CONFIG, name a float or quantized ONNX file
    and its --data; with an .npz, this needs no PyTorch. If, on the first 200 test images, the arg-max class changes, a
    class score changes without graph optimization, or the heatmap is not that of edgecheck, the file is not written
    and the exit code is 3.
    """
    from edgecheck.errors import UsageError

    if not with_heatmap and (unused := [name for name in _OF_HEATMAPS if flags[name] is not None]):
        raise UsageError(f"--{unused[0].replace('_', '-')} goes with --with-heatmap")
    if subject.suffix.lower() != ".onnx":
        _export(subject, out or Path("model.onnx"), with_heatmap, flags)
    elif with_heatmap:
        _add_heatmap(subject, out or Path(_beside(subject).name), flags)
    else:
        raise UsageError(f"{subject}: is an ONNX file already: add --with-heatmap, or name an edgecheck.yaml")


def _export(config: Path, out: Path, with_heatmap: bool, flags: dict[str, Any]) -> None:
    from edgecheck.atomic import require_writable
    from edgecheck.errors import UsageError
    from edgecheck.pipeline import single
    from edgecheck.report.format import format_value

    if flags["config"]:
        raise UsageError("--config goes with an ONNX file: leave it out")
    plan = plan_of({**flags, "config": config}, config, _sections(flags))
    if with_heatmap:
        require_writable(_beside(out))
    found = single.export(plan, out, screen.Screen())
    agreement = format_value(found.agreement, "fraction")
    screen.say(
        f"{out}: written; logits differ from the twin's by at most {found.max_abs:.2g}, top-1 classes agree on "
        f"{agreement} of {found.n} test images"
    )
    if with_heatmap:
        from edgecheck.pipeline import heatmap

        _say(heatmap.of_twin(plan, out, _beside(out), flags["method"], screen.Screen()))


def _add_heatmap(file: Path, out: Path, flags: dict[str, Any]) -> None:
    from edgecheck.atomic import require_writable
    from edgecheck.errors import UsageError
    from edgecheck.pipeline import heatmap, preflight

    require_data(flags)
    if out.resolve() == file.resolve():
        raise UsageError(f"--out {out}: is the file without a heatmap; name another")
    preflight.onnx_file(file)
    require_writable(out)
    _say(heatmap.of_file(plan_of(flags, file, _sections(flags)), file, out, flags["method"], screen.Screen()))


def _beside(path: Path) -> Path:
    return path.with_suffix(".heatmap.onnx")


def _sections(flags: dict[str, Any]) -> dict[str, Any]:
    return {
        "explain": {"target_layer": flags["target_layer"]},
        "measure": {"latency_budget_s": flags["time_budget"]},
    }


def _say(written: Written) -> None:
    from edgecheck.pipeline.heatmap import describe

    for line in describe(written):
        screen.say(line)
