"""The models of a run: the baseline, and each variant, which passes every compression step once."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from attrs import frozen

from edgecheck.artefact import Artefact
from edgecheck.config.plan import VariantSpec
from edgecheck.errors import NothingRemovedError
from edgecheck.pipeline import twins
from edgecheck.pipeline.entry import BASELINE, Entry, Run, Twin
from edgecheck.pipeline.schedule import Line
from edgecheck.pipeline.stages.baseline import SaveBaseline
from edgecheck.pipeline.stages.change import Change
from edgecheck.pipeline.stages.convert import Convert
from edgecheck.pipeline.stages.export import FILE, Export
from edgecheck.pipeline.stages.finetune import FineTune
from edgecheck.pipeline.stages.network import Before, Changed, NetworkStage
from edgecheck.pipeline.stages.prune import Prune
from edgecheck.pipeline.stages.quantize import Quantize
from edgecheck.pipeline.stages.rank import Rank
from edgecheck.pipeline.stages.recalibrate import Recalibrate
from edgecheck.pipeline.subject import Drawn, calibrated
from edgecheck.pipeline.work import Work
from edgecheck.pruning.checks import needs_images
from edgecheck.pruning.structures import find_structure
from edgecheck.records import Diagnostic, Role, Variant
from edgecheck.steps import FileStep, FineTuneStep, NetworkStep, PruneStep, QuantizeStep, RecalibrateStep, Step


@frozen
class State:
    """A network between two steps: the output of the last step, and the warnings of all steps so far."""

    file: Artefact | None = None
    changed: Changed | None = None
    notes: tuple[Diagnostic, ...] = ()


def baseline(run: Run) -> Line[Entry]:
    """Export the baseline."""
    twins.save(run, BASELINE, {})
    record = Variant(BASELINE, "baseline", twin=_twin(run).description)
    return (yield from _exported(run, record, _twin(run)))


def first_state(run: Run, spec: VariantSpec) -> Line[State]:
    """Apply the first step of a variant if it prunes, to find variants that remove the same weights.

    Raises:
        ModelError: the network cannot be pruned in this way, or this rate removes nothing.
    """
    steps = spec.on_network
    if not steps or not isinstance(steps[0], PruneStep):
        return State()
    return (yield from _step(run, spec.network, State(), 0, steps))


def variant(run: Run, spec: VariantSpec, source: str, state: State) -> Line[Entry]:
    """Apply the steps of a variant that follow `first_state`: on the network, export, on the file.

    Args:
        run: the run.
        spec: the variant.
        source: the folder of the float network, which other variants may share.
        state: what `first_state` returned.

    Raises:
        MeasurementError: the loss of fine-tuning is not finite.
        ModelError: the network cannot be pruned, exported or quantized in this way.
    """
    if not spec.on_file:
        return (yield from _of_network(run, spec.name, spec, state))
    on_network = attrs.evolve(spec, name=source, steps=spec.on_network)
    float_entry = yield from _of_network(run, source, on_network, state) if spec.on_network else baseline(run)
    return (yield from _on_file(run, spec, float_entry))


def record_of(run: Run, spec: VariantSpec) -> Variant:
    """Return the record of a variant as known before it is made."""
    role: Role = "control" if spec.is_control else "candidate"
    return Variant(spec.name, role, twin=_twin(run).description, steps=spec.steps, recipe=spec.recipe)


def _of_network(run: Run, name: str, spec: VariantSpec, state: State) -> Line[Entry]:
    """Apply the steps on the network, and export it."""
    done = 0 if state.file is None else 1
    for place in range(done, len(spec.on_network)):
        state = yield from _step(run, name, state, place, spec.on_network)
    twin = yield from _twin_of(run, name, state)
    record = attrs.evolve(record_of(run, spec), warnings=list(state.notes))
    if state.changed is not None:
        record = attrs.evolve(record, effective_rate=state.changed.effective_rate)
    return (yield from _exported(run, record, twin))


def _step(run: Run, name: str, state: State, place: int, steps: Sequence[Step]) -> Line[State]:
    """Apply one step to the network."""
    stage = yield from _stage(run, name, state, place, steps)
    done = yield Work(name, stage)
    if isinstance(stage, Prune) and not done.outputs.effective_rate:
        raise NothingRemovedError(
            "this rate removes nothing, so the variant equals the control; raise rate or lower round_to"
        )
    return State(done.files[stage.files[0]], done.outputs, (*state.notes, *done.outputs.notes))


def _stage(run: Run, name: str, state: State, place: int, steps: Sequence[Step]) -> Line[NetworkStage]:
    """Return the stage of one step; for a pruning step, after computing its ranking."""
    step, plan = steps[place], run.plan
    before = Before(_twin(run).network, state.file, run.images.shape, place, place == len(steps) - 1)
    if isinstance(step, PruneStep):
        ranked = yield Work(BASELINE if state.file is None else name, _rank(run, step, state))
        (scores,) = ranked.files.values()
        return Prune(before, step, scores, ranked.outputs.notes, ranked.outputs.seen)
    if isinstance(step, FineTuneStep):
        compute, layer = plan.compute, plan.explain.target_layer if step.recipe.preserve else None
        return FineTune(
            before, step, run.source, plan.preprocessing, compute.device, compute.processes, compute.threads, layer
        )
    if isinstance(step, RecalibrateStep):
        samples = Drawn(run.source, plan.preprocessing, step.images, step.seed, "recalibrate_batchnorm")
        return Recalibrate(before, step, samples, plan.compute.device, plan.compute.threads)
    assert isinstance(step, NetworkStep), f"{step.kind} does not act on networks"
    return Change(before, step)


def _rank(run: Run, step: PruneStep, state: State) -> Rank:
    plan = run.plan
    images = Drawn(run.source, plan.preprocessing, plan.prune.images, plan.seed, "prune.images")
    return Rank(
        network=_twin(run).network,
        before=state.file,
        criterion=step.criterion,
        ranked=find_structure(step.structure).ranks,
        samples=images if needs_images(step) else None,
        shape=run.images.shape,
        seed=plan.seed,
        device=plan.compute.device,
    )


def _twin_of(run: Run, name: str, state: State) -> Line[Twin]:
    """Return the twin after all steps, and save what is needed to build it again in the folder of the variant."""
    base = _twin(run)
    if state.changed is None:  # no step: the control of a run without fine-tuning
        yield Work(name, SaveBaseline(base.network))
        twins.save(run, name, {})
        return attrs.evolve(base, folder=name)
    twins.save(run, name, state.changed.cuts)
    network = attrs.evolve(base.network, shape=run.images.shape, cuts=state.changed.cuts, state=state.file)
    return Twin(network, base.description, name, state.changed.parameters)


def _exported(run: Run, record: Variant, twin: Twin) -> Line[Entry]:
    done = yield Work(record.name, Export(twin.network, run.images.shape, run.plan.opset))
    warnings = [*record.warnings, *done.outputs.warnings]
    return Entry(attrs.evolve(record, file=f"{record.name}/{FILE}", warnings=warnings), done.files[FILE], twin)


def _on_file(run: Run, spec: VariantSpec, source: Entry) -> Line[Entry]:
    """Carry out the steps on the file, which then has no twin: the float one computes other numbers."""
    file, warnings = source.file, list[Diagnostic]()
    for place, step in enumerate(spec.on_file):
        stage = _file_stage(run, step, file, place, place == len(spec.on_file) - 1)
        done = yield Work(spec.name, stage)
        (file,) = done.files.values()
        warnings += done.outputs.warnings
    record = attrs.evolve(
        record_of(run, spec),
        file=f"{spec.name}/{FILE}",
        twin=None,
        effective_rate=source.variant.effective_rate,
        warnings=warnings,
    )
    return Entry(record, file, None, source)


def _file_stage(run: Run, step: Step, file: Artefact, place: int, last: bool) -> Quantize | Convert:
    if isinstance(step, QuantizeStep):
        plan, count = run.plan, step.options.images
        images = Drawn(run.source, plan.preprocessing, count, plan.seed, "quantize.images")
        return Quantize(file, step, images if calibrated(step.scheme) else None, run.machine, place, last)
    assert isinstance(step, FileStep), f"{step.kind} does not act on files"
    return Convert(file, step, place, last)


def _twin(run: Run) -> Twin:
    assert run.baseline is not None, "variants are made from a baseline"
    return run.baseline
