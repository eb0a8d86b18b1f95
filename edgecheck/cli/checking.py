"""`edgecheck check`: compare existing ONNX files with a baseline, and gate them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgecheck.cli import screen
from edgecheck.cli.gating import gate_option, profile_option, version_criteria, version_options
from edgecheck.cli.labelled_data import data_options, plan_of, require_data
from edgecheck.cli.options import (
    command_line,
    format_option,
    json_objects,
    out_option,
    timings_option,
)
from edgecheck.cli.verbosity import verbosity_options

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
    "--control",
    "controls",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path),
    help="The baseline after the same fine-tuning, without compression, .onnx: limits such as 'control - 0.02' follow "
    "it. Without fine-tuning, the baseline itself. Repeatable.",
)
@data_options
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
@gate_option("Criterion, such as 'accuracy_drop_pp <= 2'.")
@profile_option
@click.option("--target-layer", metavar="NAME", help="Layer of the twins, or tensor of the files, to explain.")
@click.option(
    "--time-budget",
    metavar="SECONDS",
    type=click.FloatRange(0),
    help="Seconds of latency sampling per file; 0 for none.",
)
@click.option("--threads", metavar="N", type=click.IntRange(1), help="Intra-op threads of ONNX Runtime.")
@version_options
@out_option(None, "Keep the run folder with its reports.")
@timings_option
@verbosity_options
@format_option
@click.pass_context
def check(
    context: click.Context, baseline: Path, candidates: tuple[Path, ...], out: Path | None, form: str, **flags: Any
) -> None:
    """Gate each candidate against the baseline: accuracy, size, latency and heatmaps.

    With twins, heatmaps are those of the twins. Otherwise they are those of the files, by ONNX Runtime alone, and the
    default gate does not ask for parity.
    """
    from edgecheck.pipeline.store import Store
    from edgecheck.scratch import temporary_folder

    require_data(flags)
    with (
        temporary_folder() as folder,
        # Its own folder: the process that holds this one could not lock it again.
        Store(out or folder / "run").attempt() as store,
        screen.own_words(),
    ):
        report = _checked(baseline, candidates, store, {**flags, "form": form})
    screen.show(report, form)
    if out:
        screen.say_where(store)
    if flags["timings"]:
        screen.show_timings(report)
    context.exit(report.exit_code)


def _checked(baseline: Path, candidates: Sequence[Path], store: Store, flags: dict[str, Any]) -> Report:
    from edgecheck.pipeline.check import Given
    from edgecheck.pipeline.check import check as check_files
    from edgecheck.report import renderer

    plan = plan_of(flags, baseline, _sections(flags), version_criteria(flags["max_opset"], flags["max_ir"]))
    renderer(flags["form"])
    twin = _twins(flags, "baseline", 1)[0]
    given = [Given("baseline", "baseline", baseline, *twin)]
    given += [Given(name, "control", file) for name, file in zip(*_named("control", flags["controls"]), strict=True)]
    twins = _twins(flags, "candidate", len(candidates))
    for name, file, twin in zip(*_named("candidate", candidates), twins, strict=True):
        given.append(Given(name, "candidate", file, *twin))
    return check_files(plan, given, store, screen.Screen(), command=command_line())


def _named(role: str, files: Sequence[Path]) -> tuple[list[str], Sequence[Path]]:
    """Return the names of files in the report, and the files: `candidate`, or `candidate-1` and so on of several."""
    return [role] if len(files) == 1 else [f"{role}-{place + 1}" for place in range(len(files))], files


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


def _sections(flags: dict[str, Any]) -> dict[str, Any]:
    """Return the options beyond those of the data as a mapping in the form of an edgecheck.yaml."""
    return {
        "explain": {"target_layer": flags["target_layer"]},
        "measure": {
            "latency_budget_s": flags["time_budget"],
            "intra_op_threads": flags["threads"],
            "max_opset": flags["max_opset"],
            "max_ir": flags["max_ir"],
        },
        "gate": {"criteria": list(flags["sentences"]) or None, "profile": flags["profile"]},
    }
