"""`edgecheck sweep`: compare criteria, structures, rates and quantizations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgecheck.cli import screen
from edgecheck.cli.options import (
    config_argument,
    executor_option,
    format_option,
    numbers,
    out_option,
    timings_option,
    words,
)

_ROW = ("criterion", "structure", "rate", "quantization")


@click.command(short_help="Compare ways of compressing a model, over the pruning rate.")
@config_argument
@click.option("--criterion", callback=words, help="Such as l1,random. [default: these]")
@click.option("--structure", callback=words, help="Such as filters,2:4. [default: unstructured]")
@click.option("--rate", callback=numbers, help="[default: 0.2,0.4,0.6,0.8]")
@click.option("--quantization", callback=words, help="Such as none,int8,fp16.")
@click.option("--steps", type=click.IntRange(1, 1000), help="Steps to reach the rate in, fine-tuning between.")
@click.option("--round-to", type=click.IntRange(1, 4096), help="Round the kept channels to a multiple of N.")
@click.option("--controls", type=click.IntRange(1, 1000), help="Controls, each by its own seed.")
@click.option("--image", "images", type=click.IntRange(0), multiple=True, help="Show its heatmaps. Repeatable.")
@click.option(
    "--reuse",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Run folder whose finished stages serve here too: what has been trained is not trained twice. Repeatable.",
)
@out_option("edgecheck-sweep", "Run folder. A second sweep goes on from what it holds.")
@executor_option
@timings_option
@format_option
@click.pass_context
def sweep(context: click.Context, config: Path, out: Path, form: str, images: tuple[int, ...], **given: Any) -> None:
    """Make every variant that CONFIG (or the options) name, with the control beside, and compare them.

    Writes sweep.html, sweep.md, sweep.csv, figures/ and heatmaps/ beside the usual report. Without variants: in CONFIG
    and without options it is the experiment of Renza & Ballesteros 2023: L1 and random at four rates. --criterion and
    what follows it replace the variants: of CONFIG; options left out default to the paper's settings. A sweep compares
    and does not judge: it exits 0 when every variant was made and measured, else 3.
    """
    from edgecheck.config import reader
    from edgecheck.pipeline import executors
    from edgecheck.pipeline import sweep as sweeping  # the module
    from edgecheck.pipeline.store import Store
    from edgecheck.report import renderer
    from edgecheck.run_folder import SWEEP_FILES

    with Store(out, given["reuse"]).attempt() as store, screen.own_words():
        plan, progress = reader.load(config, _overrides(given)), screen.Screen()
        renderer(form)
        place = executors.executor(given["executor"], progress)
        report = sweeping.sweep(plan, store, images, _command(context, config), progress, place)
    screen.show(report, form)
    if given["timings"]:
        screen.show_timings(report)
    screen.say(f"a sweep exits 0; `edgecheck gate {out}` exits with {report.exit_code}")
    if store.kept:
        screen.say(f"{store.kept} stages were finished before and kept")
    screen.say(f"sweep: {store.folder}/{', '.join(SWEEP_FILES)}, figures/, heatmaps/; and report.html")
    if missing := sweeping.failed(report):
        screen.say(f"could not be made: {', '.join(variant.name for variant in missing)}")
        context.exit(3)


def _overrides(given: dict[str, Any]) -> dict[str, Any]:
    from edgecheck.config.variants import PAPER
    from edgecheck.pruning.structures import own_rate

    row = {key: given[key] for key in (*_ROW, "steps", "round_to") if given[key] is not None}
    if set(row) - {"quantization"}:  # something is pruned; what is not said is as in the paper
        row = {"criterion": PAPER.criterion, "structure": PAPER.structure, **row}
        if not all(own_rate(name) is not None for name in row["structure"]):
            row = {"rate": PAPER.rate, **row}
    overrides: dict[str, Any] = {"variants": [row]} if row else {}
    if given["controls"] is not None:
        overrides["controls"] = given["controls"]
    return overrides


def _command(context: click.Context, config: Path) -> list[str]:
    """Return the command as it can be typed again; where the folders lie is each reader's own business."""
    parts = ["edgecheck", "sweep", config.name]
    for name, value in context.params.items():
        if name in ("config", "out", "form", "reuse", "timings", "executor") or value in (None, ()):
            continue
        flag = f"--{'image' if name == 'images' else name.replace('_', '-')}"
        if name == "images":
            parts += [part for number in value for part in (flag, str(number))]
        else:
            parts += [flag, ",".join(map(str, value)) if isinstance(value, list) else str(value)]
    return parts
