"""`edgecheck check`: compare existing ONNX files with a baseline, and gate them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgecheck.cli import screen
from edgecheck.cli.options import (
    command_line,
    format_option,
    json_objects,
    numbers,
    out_option,
    timings_option,
    whole_numbers,
)

if TYPE_CHECKING:
    from edgecheck.pipeline.store import Store
    from edgecheck.records import Report


@click.command(short_help="Gate existing ONNX files against a baseline.")
@click.option(
    "--baseline", metavar="FILE", required=True, type=click.Path(path_type=Path), help="The uncompressed model, .onnx."
)
@click.option(
    "--candidate",
    "candidates",
    metavar="FILE",
    required=True,
    multiple=True,
    type=click.Path(path_type=Path),
    help="A compressed model, .onnx. Repeatable.",
)
@click.option(
    "--data", "source", metavar="DATA", help="digits, cifar10, stl10, an .npz of images and labels, or an image folder."
)
@click.option("--root", metavar="FOLDER", help="Folder of the data set, for cifar10 and stl10.")
@click.option(
    "--baseline-twin",
    metavar="MODEL",
    multiple=True,
    help="PyTorch model of the baseline: path/file.py:function, torchvision:NAME, timm:NAME or edgecheck:NAME; or the "
    "folder of a variant in a run folder, which includes weights and arguments.",
)
@click.option(
    "--baseline-weights", metavar="FILE", multiple=True, help="Weights of that model: .safetensors or a .pt state_dict."
)
@click.option(
    "--baseline-twin-arguments",
    metavar="JSON",
    multiple=True,
    callback=json_objects,
    help="Arguments of the baseline's factory, such as '{\"num_classes\": 10}'.",
)
@click.option(
    "--candidate-twin", metavar="MODEL", multiple=True, help="PyTorch model of a candidate; once each, in order."
)
@click.option(
    "--candidate-weights", metavar="FILE", multiple=True, help="Weights of a candidate twin; once per candidate."
)
@click.option(
    "--candidate-twin-arguments",
    metavar="JSON",
    multiple=True,
    callback=json_objects,
    help="Arguments of a candidate's factory; once per candidate.",
)
@click.option(
    "--config",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="An edgecheck.yaml: data, preprocessing, explain, gate.",
)
@click.option(
    "--gate",
    "sentences",
    metavar="CRITERION",
    multiple=True,
    help="Criterion, such as 'accuracy_drop_pp <= 2'. Repeatable.",
)
@click.option("--size", metavar="HxW", callback=whole_numbers, help="Resize images to HEIGHTxWIDTH.")
@click.option(
    "--range",
    "pixel_range",
    metavar="LOW,HIGH",
    callback=numbers,
    help="Range that pixels 0..255 are scaled to, such as 0,1.",
)
@click.option("--mean", metavar="NUMBERS", callback=numbers, help="Mean to subtract per channel, after --range.")
@click.option(
    "--std", metavar="NUMBERS", callback=numbers, help="Standard deviation to divide by per channel, after --range."
)
@click.option(
    "--classes",
    metavar="MAP",
    help="A class map file, or one output per class of the data, such as 0,217,482. [default: output i]",
)
@click.option("--limit", metavar="N", type=click.IntRange(1), help="Use only the first N images.")
@click.option("--target-layer", metavar="NAME", help="Dotted name of the layer to explain.")
@click.option(
    "--time-budget",
    metavar="SECONDS",
    type=click.FloatRange(0),
    help="Seconds of latency sampling per file; 0 for none.",
)
@click.option("--threads", metavar="N", type=click.IntRange(1), help="Intra-op threads of ONNX Runtime.")
@click.option(
    "--max-opset",
    metavar="N",
    type=click.IntRange(1, 100),
    help="Newest opset that the device's ONNX Runtime supports; with --gate, adds a criterion.",
)
@click.option(
    "--max-ir", metavar="N", type=click.IntRange(1, 100), help="Newest IR version that it supports; likewise."
)
@out_option(None, "Keep the run folder with its reports.")
@timings_option
@format_option
@click.pass_context
def check(
    context: click.Context, baseline: Path, candidates: tuple[Path, ...], out: Path | None, form: str, **flags: Any
) -> None:
    """Gate each candidate against the baseline: accuracy, size, latency, and with twins the heatmaps.

    Without twins, the default gate omits the heatmaps and the report says so; an Sp2PS criterion given with --gate is
    then MISSING.
    """
    import tempfile

    from edgecheck.errors import UsageError
    from edgecheck.pipeline.store import Store

    if not flags["config"] and not flags["source"]:
        raise UsageError("--data is missing: name labelled test images, or a --config that does")
    with (
        tempfile.TemporaryDirectory(prefix="edgecheck-") as scratch,
        Store(out or Path(scratch)).attempt() as store,
        screen.own_words(),
    ):
        report = _checked(baseline, candidates, store, {**flags, "form": form})
    screen.show(report, form)
    if flags["timings"]:
        screen.show_timings(report)
    context.exit(report.exit_code)


def _checked(baseline: Path, candidates: Sequence[Path], store: Store, flags: dict[str, Any]) -> Report:
    from edgecheck.config import reader
    from edgecheck.pipeline.check import Given
    from edgecheck.pipeline.check import check as check_files
    from edgecheck.report import renderer

    if not flags["config"] and not flags["size"] and _data(flags["source"])["dataset"] == "folder":
        flags["size"] = _size_of(baseline)
    for metric, limit in (("opset", flags["max_opset"]), ("ir_version", flags["max_ir"])):
        if limit is not None and flags["sentences"]:
            flags["sentences"] = (*flags["sentences"], f"{metric} <= {limit}")
    overrides = _overrides(flags)
    plan = (
        reader.load(flags["config"], overrides)
        if flags["config"]
        else reader.parse("", Path("command line"), overrides)
    )
    renderer(flags["form"])
    twin = _twins(flags, "baseline", 1)[0]
    given = [Given("baseline", "baseline", baseline, *twin)]
    twins = _twins(flags, "candidate", len(candidates))
    for name, file, twin in zip(_names(candidates), candidates, twins, strict=True):
        given.append(Given(name, "candidate", file, *twin))
    return check_files(plan, given, store, screen.Screen(), command=command_line())


def _names(candidates: Sequence[Path]) -> list[str]:
    return ["candidate"] if len(candidates) == 1 else [f"candidate-{place + 1}" for place in range(len(candidates))]


def _twins(flags: dict[str, Any], role: str, files: int) -> list[tuple[Any, ...]]:
    """Return (twin, weights, arguments) from the options for each file of a role.

    Raises:
        UsageError: an option is given, but not once per file.
    """
    columns = []
    for name in ("twin", "weights", "twin_arguments"):
        given = flags[f"{role}_{name}"]
        if len(given) not in (0, files):
            option = f"--{role}-{name.replace('_', '-')}"
            raise click.UsageError(f"{option} is given {len(given)} times for {files} files: give it once per file")
        columns.append(given or (None,) * files)
    return list(zip(*columns, strict=True))


def _size_of(file: Path) -> list[int] | None:
    """Return the image size (H, W) if the file fixes it, so that --size is not needed."""
    from edgecheck.device.runtime.session import input_size

    _, height, width = input_size(file)
    return [height, width] if height and width else None


def _overrides(flags: dict[str, Any]) -> dict[str, Any]:
    """Return the options that were given as a mapping in the form of an edgecheck.yaml."""
    sections = {
        "data": {**_data(flags["source"]), "limit": flags["limit"], "classes": _classes(flags["classes"])},
        "preprocessing": {
            "size": flags["size"],
            "range": flags["pixel_range"],
            "mean": flags["mean"],
            "std": flags["std"],
        },
        "explain": {"target_layer": flags["target_layer"]},
        "measure": {
            "latency_budget_s": flags["time_budget"],
            "intra_op_threads": flags["threads"],
            "max_opset": flags["max_opset"],
            "max_ir": flags["max_ir"],
        },
        "gate": {"criteria": list(flags["sentences"]) or None},
    }
    if flags["root"]:
        if "root" in sections["data"]:
            raise click.UsageError("--root applies to a named data set, but --data is a path")
        sections["data"]["root"] = flags["root"]
    given = {name: {k: v for k, v in section.items() if v is not None} for name, section in sections.items()}
    return {name: section for name, section in given.items() if section}


def _classes(text: str | None) -> str | list[int] | None:
    """Return output numbers, or the path of a class map file."""
    parts = (text or "").split(",")
    return [int(part) for part in parts] if all(part.strip().isdecimal() for part in parts) else text


def _data(source: str | None) -> dict[str, Any]:
    """Return the `data` section for a file, a folder or the name of a data set."""
    if source is None:
        return {}
    path = Path(source)
    if path.suffix.lower() == ".npz":
        return {"dataset": "npz", "root": source}
    if path.is_dir() or "/" in source:
        return {"dataset": "folder", "root": source}
    return {"dataset": source}
