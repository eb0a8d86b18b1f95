"""A scan of the layers: what happens to accuracy and heatmaps when one layer alone is pruned or quantized.

Nothing is fine-tuned. The scan looks at the first half of the test images, as a search does: what follows from it can
still be judged on images that had no part in it.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve, frozen

from edgecheck import __version__
from edgecheck.atomic import write_text
from edgecheck.config import naming
from edgecheck.config.plan import Half, Plan, VariantSpec
from edgecheck.config.recipes import NONE
from edgecheck.errors import ConfigError
from edgecheck.gate import preconditions
from edgecheck.gate.chance import guessing
from edgecheck.pipeline import beginning, comparing, explaining, making
from edgecheck.pipeline.entry import BASELINE, Entry, Findings, Run
from edgecheck.pipeline.examining import measured
from edgecheck.pipeline.failures import FAILURES
from edgecheck.pipeline.schedule import Line, Schedule
from edgecheck.pipeline.stages.groups import FindGroups, Prunable
from edgecheck.pipeline.stages.layers import FindLayers, QuantizableLayer
from edgecheck.pipeline.store import Store
from edgecheck.pipeline.work import Executor, Work
from edgecheck.progress import Progress
from edgecheck.pruning.checks import check_step
from edgecheck.pruning.structures import find_structure
from edgecheck.records import SCHEMA_VERSION, LayerEffect, Reading, Sensitivity, Tool, to_json
from edgecheck.report.sensitivity import page
from edgecheck.report.sensitivity.words import effect_line
from edgecheck.run_folder import SENSITIVITY_FILES
from edgecheck.steps import PruneStep, QuantizeStep

_SHOWN = {"accuracy", "accuracy_drop_pp", "agreement", "size.bytes", "params", "macs"}


@frozen
class Asked:
    """What is done to each layer: pruned at each rate, and quantized where a scheme is named."""

    criterion: str = "l1"
    structure: str = "filters"
    rates: Sequence[float] = (0.5,)
    quantization: str | None = None


@frozen(eq=False)
class Bench:
    """What every layer is measured with."""

    run: Run
    baseline: Findings
    progress: Progress


def scan(
    plan: Plan,
    store: Store,
    asked: Asked,
    executor: Executor,
    progress: Progress,
    command: Sequence[str] | None = None,
) -> Sensitivity:
    """Compress one layer at a time, and write `sensitivity.html`, `.md` and `.json`.

    Args:
        plan: its variants, controls and gate are ignored.
        store: the run folder; a second scan with it goes on where the first one ended.
        asked: what is done to the layers.
        executor: computes the stages.
        progress: receives the progress of every stage, and each result.
        command: the command line, for the page.

    Raises:
        ConfigError: rates, criterion or structure that make no sense.
        ModelError: no layer can be pruned.
        EdgecheckError: raised by `beginning.begin`, or the baseline cannot be measured.
    """
    with executor as place:
        schedule = Schedule(store, place)
        job = beginning.begin(_narrowed(plan, asked), store, schedule)
        (baseline,) = schedule.finish(schedule.start([_baseline(job)]))
        bench = Bench(job, baseline, progress)
        groups, pruned = prune_each(bench, schedule, asked)
        quantized = quantize_each(bench, schedule, asked.quantization) if asked.quantization else []
    result = record(bench, asked, (groups, pruned, quantized), command)
    write(result, store)
    return result


def record(
    bench: Bench,
    asked: Asked,
    effects: tuple[Prunable, list[LayerEffect], list[LayerEffect]],
    command: Sequence[str] | None = None,
) -> Sensitivity:
    """Return the results of `prune_each` and `quantize_each` as one record."""
    groups, pruned, quantized = effects
    plan = bench.run.plan
    return Sensitivity(
        schema_version=SCHEMA_VERSION,
        tool=Tool("edgecheck", __version__),
        subject=plan.name,
        criterion=asked.criterion,
        structure=asked.structure,
        quantization=asked.quantization,
        seed=plan.seed,
        images=len(bench.run.data),
        baseline=_shown(bench.baseline.readings),
        pruned=pruned,
        quantized=quantized,
        not_pruned=groups.notes,
        doubt=_doubt(bench),
        command=list(command) if command else None,
    )


def write(result: Sensitivity, store: Store) -> None:
    """Write a scan as `sensitivity.html`, `.md` and `.json` into a run folder."""
    html, markdown, document = (store.path("", file) for file in SENSITIVITY_FILES)
    write_text(html, page.html(result))
    write_text(markdown, page.markdown(result))
    write_text(document, to_json(result))


def _narrowed(plan: Plan, asked: Asked) -> Plan:
    """Return the plan of a scan; its variants stand for all that follow, so that they are checked before any work."""
    for rate in asked.rates:
        if not 0 < rate < 1:
            raise ConfigError(f"a pruning rate lies between 0 and 1, not {rate:g}")
    probe = PruneStep(asked.criterion, asked.structure, "layer", max(asked.rates), rates={})
    check_step(probe)
    variants = [VariantSpec("sensitivity", (probe,), recipe=NONE)]
    if asked.quantization:
        variants.append(VariantSpec("quantized", (QuantizeStep(asked.quantization, plan.quantize),), BASELINE, NONE))
    return evolve(
        plan,
        variants=variants,
        controls=[],
        half=Half(plan.seed, "first"),
        measure=evolve(plan.measure, latency_budget_s=0, rss=False),
    )


def _baseline(job: Run) -> Line[Findings]:
    return (yield from _examined(job, (yield from making.baseline(job)), None))


def prune_each(bench: Bench, schedule: Schedule, asked: Asked) -> tuple[Prunable, list[LayerEffect]]:
    """Prune each layer or dependency group alone at each rate.

    Raises:
        ModelError: there is none.
    """
    (groups,) = schedule.finish(schedule.start([_groups(bench.run, asked.structure)]))
    lines = []
    for group in groups.groups:
        for rate in asked.rates:
            step = PruneStep(asked.criterion, asked.structure, "layer", 0.0, rates={group.name: rate})
            spec = VariantSpec(naming.pruned(step), (step,), recipe=NONE)
            lines.append(_effect(bench, spec, LayerEffect(group.name, spec.name, rate, group.coupled)))
    return groups, schedule.finish(schedule.start(lines))


def _groups(run: Run, structure: str) -> Line[Prunable]:
    assert run.baseline is not None, "the baseline is built"
    stage = FindGroups(run.baseline.network, find_structure(structure).ranks, run.images.shape)
    prunable: Prunable = (yield Work(BASELINE, stage)).outputs
    return prunable


def quantize_each(bench: Bench, schedule: Schedule, scheme: str) -> list[LayerEffect]:
    """Quantize each layer of the baseline's file alone, with the activation behind it.

    Raises:
        ModelError: there is none.
    """
    run, entry = bench.run, bench.baseline.entry
    assert entry is not None, "the baseline was made"
    (layers,) = schedule.finish(schedule.start([_layers(run, entry)]))
    lines = []
    for layer in layers:
        step = QuantizeStep(scheme, evolve(run.plan.quantize, only=layer.nodes, exclude=[]))
        name = f"{BASELINE}-{scheme}-{naming.word(layer.name)}"
        spec = VariantSpec(name, (step,), BASELINE, NONE)
        lines.append(_effect(bench, spec, LayerEffect(layer.name, name)))
    return schedule.finish(schedule.start(lines))


def _layers(run: Run, entry: Entry) -> Line[list[QuantizableLayer]]:
    found = yield Work(BASELINE, FindLayers(entry.file, run.images.shape, run.runtime, run.machine))
    layers: list[QuantizableLayer] = found.outputs.layers
    return layers


def _effect(bench: Bench, spec: VariantSpec, effect: LayerEffect) -> Line[LayerEffect]:
    """Make and measure the variant of one layer; where that fails, the reason takes the place of the readings."""
    try:
        state = yield from making.first_state(bench.run, spec)
        entry = yield from making.variant(bench.run, spec, spec.network, state)
        findings = yield from _examined(bench.run, entry, bench.baseline)
        effect = evolve(effect, readings=_shown(_admitted(bench, findings)))
    except FAILURES as error:
        effect = evolve(effect, reason=str(error))
    bench.progress.note(effect_line(effect))
    return effect


def _examined(run: Run, entry: Entry, baseline: Findings | None) -> Line[Findings]:
    """Measure accuracy, size and heatmaps: as `examining`, without pictures, corruption and maps of the float file."""
    findings = yield from measured(evolve(run, plan=evolve(run.plan, corruption=[])), entry, baseline)
    heatmaps = yield from explaining.explain(run, entry, baseline)
    of_twin = yield from explaining.twin_logits(run, entry, heatmaps.own)
    assert findings.logits is not None, "the file was run"
    readings = [*findings.readings, *comparing.parity_of(findings.variant, findings.logits, of_twin)]
    if baseline is not None:
        readings += comparing.heatmaps(run, entry.name, heatmaps)
    return evolve(findings, heatmaps=heatmaps, readings=readings)


def _admitted(bench: Bench, findings: Findings) -> list[Reading]:
    """Return the readings of a variant without those of twins that do not compute what their files do."""
    sides = [bench.baseline, findings]
    readings = [reading for side in sides for reading in side.readings]
    admitted, _ = preconditions.admit(bench.run.plan.policy, [side.variant for side in sides], readings)
    return [reading for reading in admitted if reading.variant == findings.name]


def _shown(readings: Sequence[Reading]) -> list[Reading]:
    return [one for one in readings if one.metric in _SHOWN or one.metric.startswith("sp2ps.")]


def _doubt(bench: Bench) -> str:
    return guessing([bench.baseline.variant], bench.baseline.readings, bench.run.data.chance)
