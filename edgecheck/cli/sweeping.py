"""`edgecheck sweep`: compare criteria, structures, rates and quantizations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgecheck.cli import screen
from edgecheck.cli.options import (
    config_argument,
    dry_run_option,
    executor_option,
    format_option,
    numbers,
    out_option,
    reuse_option,
    timings_option,
    words,
)

_ROW = ("criterion", "structure", "rate", "recipe", "quantization")


@click.command(short_help="Compare compression methods over the pruning rate.")
@config_argument
@click.option(
    "--criterion", metavar="NAMES", callback=words, help="Pruning criteria, such as l1,fpgm. [default: l1,random]"
)
@click.option(
    "--structure",
    metavar="NAMES",
    callback=words,
    help="Pruning structures, such as filters,2:4. [default: unstructured]",
)
@click.option("--rate", metavar="RATES", callback=numbers, help="Pruning rates. [default: 0.2,0.4,0.6,0.8]")
@click.option(
    "--recipe",
    metavar="NAMES",
    callback=words,
    help="Recipes of fine-tuning: none, paper, preserve, or those of CONFIG. [default: the finetune section]",
)
@click.option(
    "--quantization", metavar="NAMES", callback=words, help="Quantizations, such as none,int8,fp16. [default: none]"
)
@click.option(
    "--steps",
    metavar="N",
    type=click.IntRange(1, 1000),
    help="Number of pruning steps with fine-tuning in between. [default: 1]",
)
@click.option(
    "--round-to", metavar="N", type=click.IntRange(1, 4096), help="Round the kept channels to a multiple of N."
)
@click.option(
    "--controls",
    metavar="N",
    type=click.IntRange(1, 1000),
    help="Number of controls, each with its own seed. [default: that of CONFIG]",
)
@click.option(
    "--image",
    "images",
    metavar="INDEX",
    type=click.IntRange(0),
    multiple=True,
    help="Index of a test image to show. Repeatable.",
)
@reuse_option("training")
@out_option("edgecheck-sweep", "Run folder; a second sweep resumes there.")
@executor_option
@dry_run_option
@timings_option
@format_option
@click.pass_context
def sweep(context: click.Context, config: Path, out: Path, form: str, images: tuple[int, ...], **given: Any) -> None:
    """Make and compare the variants of CONFIG, or those given by options, and the control.

    Writes sweep.html, sweep.md, sweep.csv, figures/ and heatmaps/ beside the reports of a run.

    --criterion, --structure, --rate, --recipe, --quantization, --steps and --round-to replace the variants of CONFIG.
    Those not given default to the settings of Renza & Ballesteros 2023 (L1 and random at four rates), as does a CONFIG
    without variants.

    A sweep does not gate: it exits 0 if every variant was made and measured, else 3.
    """
    from edgecheck.config import reader
    from edgecheck.pipeline import executors
    from edgecheck.pipeline import sweep as sweeping  # the module
    from edgecheck.pipeline.store import Store
    from edgecheck.report import renderer
    from edgecheck.run_folder import SWEEP_FILES

    if given["dry_run"]:
        return _preview(config, out, form, given)
    with Store(out, given["reuse"]).attempt() as store, screen.own_words():
        plan, progress = reader.load(config, _overrides(given)), screen.Screen()
        renderer(form)
        place = executors.executor(given["executor"], progress)
        report = sweeping.sweep(plan, store, images, _command(context, config), progress, place)
    screen.show(report, form)
    if given["timings"]:
        screen.show_timings(report)
    screen.inform(f"a sweep exits 0; `edgecheck gate {out}` exits with {report.exit_code}")
    screen.say_kept(store)
    screen.inform(f"sweep: {store.folder}/{', '.join(SWEEP_FILES)}, figures/, heatmaps/; and report.html")
    if missing := sweeping.failed(report):
        screen.say(f"could not be made: {', '.join(variant.name for variant in missing)}")
        context.exit(3)


def _preview(config: Path, out: Path, form: str, given: dict[str, Any]) -> None:
    from edgecheck.config import reader
    from edgecheck.pipeline import preview
    from edgecheck.pipeline.sweep import whole

    with screen.own_words():
        listing = preview.of_run(whole(reader.load(config, _overrides(given))), out)
    screen.show_preview(listing, form)


def _overrides(given: dict[str, Any]) -> dict[str, Any]:
    from edgecheck.config.rows import PAPER
    from edgecheck.pruning.structures import own_rate

    row = {key: given[key] for key in (*_ROW, "steps", "round_to") if given[key] is not None}
    if set(row) - {"quantization"}:  # the variants are pruned: default to the paper's settings
        row = {"criterion": PAPER.criterion, "structure": PAPER.structure, **row}
        if not all(own_rate(name) is not None for name in row["structure"]):
            row = {"rate": PAPER.rate, **row}
    overrides: dict[str, Any] = {"variants": [row]} if row else {}
    if given["controls"] is not None:
        overrides["controls"] = given["controls"]
    return overrides


def _command(context: click.Context, config: Path) -> list[str]:
    """Return the command for the report, without folders, which differ between readers."""
    parts = ["edgecheck", "sweep", config.name]
    for name, value in context.params.items():
        if name in ("config", "out", "form", "reuse", "timings", "executor", "dry_run") or value in (None, ()):
            continue
        flag = f"--{'image' if name == 'images' else name.replace('_', '-')}"
        if name == "images":
            parts += [part for number in value for part in (flag, str(number))]
        else:
            parts += [flag, ",".join(map(str, value)) if isinstance(value, list) else str(value)]
    return parts
