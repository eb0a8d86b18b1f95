"""Variants before they are quantized: ranked, pruned, fine-tuned, exported.

What is removed and what is trained are stages of their own: two variants that lose the same are one variant.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import attrs

from edgecheck import images as pixels
from edgecheck import store as storage
from edgecheck import versions
from edgecheck.config.plan import Compute, Plan, VariantSpec
from edgecheck.errors import ModelError
from edgecheck.pipeline import twins
from edgecheck.pipeline.entry import Entry, Run, Twin
from edgecheck.pipeline.fingerprints import describe_data
from edgecheck.pipeline.making import drawn, export, is_control, record_of, trainable_parameters, training_data
from edgecheck.progress import Named
from edgecheck.records import to_dict

if TYPE_CHECKING:
    from torch import Tensor, nn

    from edgecheck.lab.prune import Pruned, Ranking, Samples


def check_fits(plan: Plan, twin: Twin) -> None:
    """Refuse criteria that cannot rank anything in this network, before anything is trained.

    Raises:
        ConfigError: as said.
    """
    from edgecheck.lab import prune

    for spec in plan.variants:
        if spec.criterion:
            prune.check_fits(spec, twin.build())


def pruned(job: Run, spec: VariantSpec, base: Entry) -> Entry:
    """Prune the baseline as `spec` says, fine-tune it, and export it; or return what came out the same before.

    The same recipe, data order and seed serve all variants and the control.

    Raises:
        MeasurementError: the fine-tuning ran into a loss that is no number.
        ModelError: the network cannot be pruned or exported so.
    """
    first = functools.cache(lambda: _step(job, spec, base, None))
    begun = job.store.stage(
        spec.name, "prune", _inputs(job, spec, base), lambda: _described(job, spec, first()), tools=versions.TRAINING
    )
    # What follows depends on nothing else: not on how it was ranked, unless it will be ranked again.
    rest = _inputs(job, spec, base) if spec.steps > 1 else None
    key = storage.digest({"begun": begun["state"], "rest": rest, "seed": _seed(job, spec)})
    same = job.made.get(key)
    if same is not None and same.variant.role == "control" and not is_control(spec):
        raise ModelError("nothing is removed at this rate, so it equals the control; raise rate or lower round_to")
    if same is not None:
        return same
    entry = _tuned(job, spec, base, begun, key, first)
    job.made[key] = entry
    return entry


def _tuned(
    job: Run, spec: VariantSpec, base: Entry, begun: dict[str, Any], key: str, first: Callable[[], Pruned]
) -> Entry:
    """Fine-tune what the first step left, take the other steps, and export."""
    weights = job.store.path(spec.name, "weights.safetensors")
    recipe, teacher = job.plan.finetune, _twin(base)
    inputs = {
        "pruned": key,
        "baseline": teacher.identity,  # equal weights in another forward are another network
        "finetune": to_dict(recipe),
        "preprocessing": to_dict(job.plan.preprocessing),
        "train": describe_data(job.plan.data, job.store),
        "processes": job.plan.compute.processes,  # each has BatchNorm statistics of its own
    }

    def tune() -> dict[str, Any]:
        from edgecheck.lab.weights import save_weights

        state = first()
        while state.step < spec.steps:
            _finetune(job, spec, state, base, recipe.epochs_between)
            state = _step(job, spec, base, state)
        losses = _finetune(job, spec, state, base, recipe.epochs)
        with storage.atomic(weights) as temporary:
            save_weights(state.model, temporary)
        return {
            "parameters": trainable_parameters(state.model),
            "effective_rate": state.effective_rate,
            "cuts": {f"{module} {side}": gone for (module, side), gone in state.cuts.items()},
            "notes": state.notes,
            "losses": losses,
        }

    made = job.store.stage(spec.name, "make", inputs, tune, files=[weights.name], tools=versions.TRAINING)
    twins.save(job, spec.name, made["cuts"])

    @functools.cache
    def build() -> nn.Module:
        """The tuned twin: the baseline in the shape that was left, with the saved weights."""
        return twins.reshaped(_baseline(base), made["cuts"], job.data.shape, weights)

    record = record_of(job.plan, spec)
    # What the ranking said belongs to this variant, however the same network was made before.
    told = begun if spec.steps == 1 else made
    record = attrs.evolve(record, effective_rate=told["effective_rate"], warnings=told["notes"])
    made_of = {"baseline": teacher.identity, "weights": storage.sha256(weights), "cuts": storage.digest(made["cuts"])}
    return export(job, record, Twin(build, made_of, teacher.description, spec.name, made["parameters"]))


def _inputs(job: Run, spec: VariantSpec, base: Entry) -> dict[str, Any]:
    """Return what the first step of pruning depends on."""
    from edgecheck.lab.prune import needs_images

    looked_at = {
        "images": job.plan.prune.images,
        "preprocessing": to_dict(job.plan.preprocessing),
        "train": describe_data(job.plan.data, job.store),
    }
    return {
        "baseline": _twin(base).identity,
        "spec": _unnamed(spec),
        "samples": looked_at if needs_images(spec) else None,
        "shape": job.data.shape,
        "seed": job.plan.seed,
    }


def _described(job: Run, spec: VariantSpec, done: Pruned) -> dict[str, Any]:
    """Return what the first step left: a hash of weights and masks, which images were looked at, and notes."""
    from edgecheck.lab.prune import needs_images
    from edgecheck.lab.weights import fingerprint

    seen = _drawn(job) if needs_images(spec) else None
    masks = {f"{name} mask": mask for name, mask in done.masks.items() if not mask.all()}
    return {
        "state": fingerprint({**done.model.state_dict(), **masks}),
        "images": {"places": seen[1], "sha256": seen[0].sha256} if seen else None,
        "effective_rate": done.effective_rate,
        "notes": done.notes,
    }


def _step(job: Run, spec: VariantSpec, base: Entry, before: Pruned | None) -> Pruned:
    """Take the next step of a variant's schedule; most have one."""
    from edgecheck.lab import prune
    from edgecheck.lab.compute import choose

    if is_control(spec):
        return prune.unpruned(_baseline(base))
    ranking = None if before else _ranking(job, base, _ranked_by(spec))
    samples = _samples(job) if before and prune.needs_images(spec) else None
    device = choose(job.plan.compute)
    return prune.prune(_baseline(base), spec, _example(job), job.plan.seed, samples, before, device, ranking)


@functools.lru_cache(maxsize=2)
def _ranking(job: Run, base: Entry, spec: VariantSpec) -> Ranking:
    """Return the ranking of the baseline, which serves all rates: some take one run of the network a filter."""
    from edgecheck.lab import prune
    from edgecheck.lab.compute import choose

    samples = _samples(job) if prune.needs_images(spec) else None
    device = choose(job.plan.compute)
    text = f"{spec.criterion}: ranking by {job.plan.prune.images} training images"
    with job.progress.busy(text) if samples else nullcontext():
        return prune.rank(_baseline(base), spec, _example(job), job.plan.seed, samples, device)


def _ranked_by(spec: VariantSpec) -> VariantSpec:
    """Return the spec without what a ranking does not depend on; structures of single weights share theirs."""
    from edgecheck.lab.prune import ranks_filters

    kind = "filters" if ranks_filters(spec) else "unstructured"
    return VariantSpec("", spec.criterion, kind, "global", 0.0)


def _unnamed(spec: VariantSpec) -> dict[str, Any]:
    """Return what a variant is made by; its name does not matter, and quantizing comes later."""
    return {key: value for key, value in to_dict(spec).items() if key not in ("name", "quantization", "seed")}


def _seed(job: Run, spec: VariantSpec) -> int:
    return job.plan.seed if spec.seed is None else spec.seed


def _finetune(job: Run, spec: VariantSpec, done: Pruned, base: Entry, epochs: int) -> list[float]:
    from edgecheck.lab import train
    from edgecheck.lab.compute import placed

    if epochs == 0:
        return []
    step = f" (step {done.step} of {spec.steps})" if spec.steps > 1 else ""
    job.progress.note(f"{spec.name}: fine-tuning{step}")
    recipe, compute = attrs.evolve(job.plan.finetune, epochs=epochs), job.plan.compute
    guide = copy.deepcopy(_baseline(base)) if recipe.distill else None
    with placed(done.model, compute) as model, _beside(guide, compute):
        examples, how, seed = training_data(job), job.plan.preprocessing, _seed(job, spec)
        told = Named(job.progress, spec.name)
        return train.train(model, examples, how, recipe, seed, told, done.masks, guide, compute.processes)


def _beside(model: nn.Module | None, options: Compute) -> AbstractContextManager[Any]:
    from edgecheck.lab.compute import placed

    return nullcontext() if model is None else placed(model, options)


@functools.lru_cache(maxsize=1)
def _samples(job: Run) -> Samples:
    """Return the images that criteria look at, as the network takes them."""
    import torch

    from edgecheck.lab.prune import Samples

    chosen, _ = _drawn(job)
    inputs = pixels.preprocess(chosen.images[:], job.plan.preprocessing)
    return Samples(torch.from_numpy(inputs), torch.from_numpy(chosen.targets))


def _drawn(job: Run) -> tuple[pixels.ImageSet, list[int]]:
    return drawn(job, job.plan.prune.images)


def _twin(base: Entry) -> Twin:
    assert base.twin is not None, "the baseline of a run has a twin"
    return base.twin


def _baseline(base: Entry) -> nn.Module:
    return _twin(base).build()


def _example(job: Run) -> Tensor:
    import torch

    return torch.zeros(1, *job.data.shape)
