"""The stages that need PyTorch: test images, baseline, variants and their ONNX files.

`edgecheck.lab` is imported only inside the work itself, so a run whose stages are all finished needs no torch.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from edgecheck import images, versions
from edgecheck import store as storage
from edgecheck.config.plan import ModelSpec, Plan, VariantSpec
from edgecheck.config.reader import FACTORY_FORMS, is_file_factory
from edgecheck.errors import ConfigError, DataError
from edgecheck.images import ImageSet
from edgecheck.pipeline.entry import Entry, Run, Twin
from edgecheck.pipeline.fingerprints import describe_data, identity
from edgecheck.pipeline.twins import build_twin as build_twin
from edgecheck.pipeline.twins import need_lab as need_lab
from edgecheck.pipeline.twins import save as save_twin
from edgecheck.progress import Named, Progress
from edgecheck.records import Variant, to_dict
from edgecheck.steps import Recipe
from edgecheck.store import Store

if TYPE_CHECKING:
    from torch import nn


def data(plan: Plan, store: Store, progress: Progress) -> tuple[ImageSet, str]:
    """Return the test images and their fingerprint; `data.npz` in the run folder is what a board can read."""
    spec = plan.data
    how = to_dict(plan.preprocessing)
    inputs = {"data": describe_data(spec, store), "preprocessing": how, "split": "test"}
    path = store.path("", "data.npz")

    def load() -> dict[str, Any]:
        found = load_test(plan, progress, store.folder)
        with storage.atomic(path) as temporary:
            images.save_npz(temporary, found, plan.preprocessing)
        return {"sha256": found.sha256, "skipped": found.skipped}

    result = store.stage("", "data", inputs, load, files=["data.npz"], tools=versions.IMAGES)
    # The store has just compared the file with its hash.
    found = images.with_outputs(images.load_npz(path, verified=True), spec.classes)
    return attrs.evolve(found, skipped=result["skipped"]), result["sha256"]


def load_test(plan: Plan, progress: Progress, scratch: Path | None = None) -> ImageSet:
    """Load the test split, decoded images into `scratch`; a ready .npz needs nothing that a board lacks."""
    spec, size = plan.data, plan.preprocessing.size
    if spec.dataset == "npz" and spec.root and spec.root.is_file():
        found = images.head(images.load_npz(spec.root), spec.limit)
        if size is None or size == found.shape[1:]:
            return images.with_outputs(found, spec.classes)
    need_lab()
    from edgecheck.lab import data as lab_data

    return lab_data.load(spec, plan.preprocessing, "test", progress, scratch)


def baseline_twin(plan: Plan, store: Store) -> Twin:
    """Build the baseline with its weights, and keep them as safetensors; needs no images."""
    spec = need_weights(plan)
    weights = store.path("baseline", "weights.safetensors")

    @functools.cache
    def build() -> nn.Module:
        return build_twin(spec, plan.seed)

    inputs = {**identity(spec, store, "baseline", build), "seed": plan.seed}

    def save() -> dict[str, Any]:
        from edgecheck.lab.weights import save_weights

        with storage.atomic(weights) as temporary:
            save_weights(build(), temporary)
        return {"parameters": trainable_parameters(build())}

    made = store.stage("baseline", "make", inputs, save, files=[weights.name], tools=versions.TWINS)
    # The weights alone do not tell: the same weights in an edited forward are another model.
    return Twin(build, {**inputs, "weights": storage.sha256(weights)}, spec.factory, "baseline", made["parameters"])


def baseline(job: Run, twin: Twin) -> Entry:
    """Export the baseline."""
    save_twin(job, "baseline", {})
    return export(job, Variant("baseline", "baseline", twin=twin.description), twin)


def record_of(plan: Plan, spec: VariantSpec) -> Variant:
    """Return what is known of a variant before it is made."""
    return Variant(
        spec.name,
        "control" if is_control(spec) else "candidate",
        twin=need_model(plan).factory,
        criterion=spec.criterion,
        structure=spec.structure,
        scope=spec.scope if spec.structure else "",
        rate=spec.rate if spec.criterion or not spec.quantization else None,
        epochs=plan.finetune.epochs if spec.criterion or not spec.quantization else None,
        quantization=spec.quantization,
        steps=spec.steps,
        round_to=spec.round_to,
    )


def controls(plan: Plan) -> list[VariantSpec]:
    """Return the noise floor: the same fine-tuning, nothing pruned, as often as asked for, each by its own seed."""
    first = VariantSpec("control", criterion="", structure="", scope="global", rate=0.0)
    seeds = range(plan.seed + 1, plan.seed + plan.controls)
    return [first, *(attrs.evolve(first, name=f"control-seed{seed}", seed=seed) for seed in seeds)]


def is_control(spec: VariantSpec) -> bool:
    """Return whether a variant is fine-tuned and nothing else."""
    return not spec.criterion and not spec.quantization


def need_model(plan: Plan) -> ModelSpec:
    """Return the model of a plan, or say that the configuration names none."""
    if plan.model is None:
        raise ConfigError(f"{plan.source}: model: missing; {FACTORY_FORMS} under model.factory")
    return plan.model


def need_weights(plan: Plan) -> ModelSpec:
    """Return the model of a plan with its weights; only a factory of one's own may load them itself."""
    spec = need_model(plan)
    if spec.weights is None and not is_file_factory(spec.factory):
        raise ConfigError(f"{plan.source}: model.weights: {spec.factory} starts with random weights; name a file")
    return spec


def trainable_parameters(model: nn.Module) -> int:
    """Return the number of elements that training may change."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


@functools.lru_cache(maxsize=1)
def training_data(job: Run) -> ImageSet:
    """Return the training split; it is read once a run, and only if something is trained."""
    from edgecheck.lab import data as lab_data

    found = lab_data.load(job.plan.data, job.plan.preprocessing, "train", job.progress, job.store.folder)
    if found.shape != job.data.shape:
        raise DataError(f"training images are {found.shape}, test images {job.data.shape}; set preprocessing.size")
    check_counts(job.plan, len(found))
    return found


def drawn(job: Run, count: int) -> tuple[ImageSet, list[int]]:
    """Return so many training images drawn by the seed, and their places.

    Raises:
        DataError: the training split has fewer.
    """
    return images.draw(training_data(job), count, job.plan.seed)


def check_counts(plan: Plan, available: int) -> None:
    """Refuse a plan that asks for more training images than there are, or holds out none of them.

    Raises:
        DataError: as said.
    """
    from edgecheck.lab.prune import needs_images
    from edgecheck.lab.quantize import CALIBRATED

    ranked = any(map(needs_images, plan.variants))
    calibrated = any(spec.quantization in CALIBRATED for spec in plan.variants)
    asked = {"prune.images": plan.prune.images * ranked, "quantize.images": plan.quantize.images * calibrated}
    for key, count in asked.items():
        if count > available:
            raise DataError(
                f"{key}: {count} images are asked for, but the training split has {available}: set it to at most that"
            )
    if plan.finetune.epochs:
        check_held_out(plan.finetune, available, "finetune")


def check_held_out(recipe: Recipe, available: int, section: str) -> None:
    """Refuse a validation share that is less than one image.

    Raises:
        DataError: as said.
    """
    if recipe.validation and not round(recipe.validation * available):
        raise DataError(
            f"{section}.validation: {recipe.validation:g} of {available} training images is less than one; raise it, "
            "or set it to 0"
        )


def export(job: Run, record: Variant, twin: Twin) -> Entry:
    """Write the twin's ONNX file with a free batch dimension."""
    file = job.store.path(record.name, "model.onnx")
    inputs = {"twin": twin.identity, "opset": job.plan.opset, "shape": job.data.shape}

    def write() -> dict[str, Any]:
        from edgecheck.lab import export

        with Named(job.progress, record.name).busy("exporting"):
            return {"warnings": export.export(twin.build(), file, job.data.shape, job.plan.opset)}

    result = job.store.stage(record.name, "export", inputs, write, files=[file.name], tools=versions.EXPORT)
    record = attrs.evolve(record, file=f"{record.name}/{file.name}", warnings=[*record.warnings, *result["warnings"]])
    return Entry(record, file, twin)
