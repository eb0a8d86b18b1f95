"""Checks before any work is done, the cheapest first, so that mistakes are reported early."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgecheck.config.plan import ModelSpec, Plan
from edgecheck.config.reader import FACTORY_FORMS, is_file_factory
from edgecheck.corruption import applying
from edgecheck.errors import ConfigError, DataError, ModelError
from edgecheck.pipeline.subject import Network, calibrated, need_lab, require_images
from edgecheck.pruning.checks import check_step, needs_images
from edgecheck.registry import lookup
from edgecheck.score.ssim import check_size
from edgecheck.steps import FineTuneStep, PruneStep, QuantizeStep, RecalibrateStep, Recipe, Step


def need_model(plan: Plan) -> ModelSpec:
    """Return the model of a plan.

    Raises:
        ConfigError: the configuration has no model.
    """
    if plan.model is None:
        raise ConfigError(f"{plan.source}: model: missing; {FACTORY_FORMS} under model.factory")
    return plan.model


def need_weights(plan: Plan) -> ModelSpec:
    """Return the model of a plan with its weights; only a factory in a file may load weights itself.

    Raises:
        ConfigError: there is no model, or it has no weights.
    """
    spec = need_model(plan)
    if spec.weights is None and not is_file_factory(spec.factory):
        raise ConfigError(f"{plan.source}: model.weights: {spec.factory} has random weights; name a weights file")
    return spec


def files(plan: Plan, spec: ModelSpec) -> None:
    """Check that weights, factory and images exist; the files are not opened.

    Raises:
        DataError: `data.root` does not exist.
        ModelError: the file of the weights or of the factory does not exist.
    """
    if spec.weights is not None and not spec.weights.is_file():
        raise ModelError(f"{spec.weights}: no such file; model.weights is a .safetensors or a state_dict .pt")
    if is_file_factory(spec.factory) and not (file := Path(spec.factory.rpartition(":")[0])).is_file():
        raise ModelError(f"{file}: no such file; model.factory is FILE.py:FUNCTION")
    images_there(plan)


def images_there(plan: Plan) -> None:
    """Check that the file or folder of the data set exists.

    Raises:
        DataError: it does not.
    """
    spec = plan.data
    if spec.root is not None and not spec.download and not spec.root.exists():
        raise DataError(f"data.root: {spec.root}: no such file or folder")


def corruptions(plan: Plan) -> None:
    """Check that the packages of all corruptions are installed.

    Raises:
        DependencyError: one is not.
    """
    for corruption in plan.corruption:
        applying.need(corruption)


def chosen(indices: Sequence[int], images: int | None) -> None:
    """Check that the test split, with `images` images (None: not yet known), contains all indices.

    Raises:
        DataError: it does not.
    """
    if indices and images is not None and max(indices) >= images:
        raise DataError(f"image {max(indices)} is requested, but the test split has {images} images, counted from 0")


def onnx_file(path: Path) -> None:
    """Check that an ONNX file exists.

    Raises:
        ModelError: it does not.
    """
    if not path.is_file():
        raise ModelError(f"{path}: {'a folder; give the .onnx file in it' if path.is_dir() else 'no such file'}")


def variants(plan: Plan) -> None:
    """Check, by the configuration alone, that all variants can be made; includes `files`.

    Raises:
        ConfigError: unknown criteria, structures or quantizations, no variants, too few images, or an opset that
            PyTorch cannot write.
        DataError: the images are too small for SSIM.
        DependencyError: a package or device is missing.
        ModelError: raised by `files`.
    """
    files(plan, need_weights(plan))
    if not plan.variants:
        raise ConfigError(f"{plan.source}: variants: there are none, so there is nothing to judge")
    if plan.explain.methods and plan.preprocessing.size:
        check_size(*plan.preprocessing.size)
    need_lab()
    from edgecheck.lab.compute import choose
    from edgecheck.lab.quantize import QUANTIZERS

    choose(plan.compute)
    for spec in plan.variants:
        for step in spec.steps:
            if isinstance(step, PruneStep):
                _check_pruning(spec.name, step)
            if isinstance(step, QuantizeStep):
                lookup(QUANTIZERS, step.scheme, "quantization")
    _check_engine(plan)
    opset(plan)
    if plan.data.train_limit is not None:
        counts(plan, plan.data.train_limit)


def steps(plan: Plan) -> list[Step]:
    """Return the steps of all controls and variants."""
    return [step for spec in (*plan.controls, *plan.variants) for step in spec.steps]


def _check_engine(plan: Plan) -> None:
    preserved = [step for step in steps(plan) if isinstance(step, FineTuneStep) and step.recipe.preserve]
    if preserved and plan.explain.engine != "edgecheck":
        raise ConfigError(
            f"{plan.source}: explain.engine: {plan.explain.engine}, but recipes with preserve train on the heatmaps of "
            "edgecheck's own engine; remove explain.engine, or choose recipes without preserve"
        )


def _check_pruning(variant: str, step: PruneStep) -> None:
    try:
        check_step(step)
    except ConfigError as error:
        raise ConfigError(f"variant {variant}: {error}") from None


def criteria(plan: Plan, network: Network) -> None:
    """Check, before training, that all pruning criteria can rank this network.

    Raises:
        ConfigError: one cannot.
    """
    names = dict.fromkeys(spec.pruning.criterion for spec in plan.variants if spec.pruning)
    if not names:
        return
    from edgecheck.lab.prune import check_fits

    model = network.build()
    for name in names:
        check_fits(name, model)


def opset(plan: Plan) -> None:
    """Check that PyTorch can write the opset.

    Raises:
        ConfigError: it cannot.
    """
    from edgecheck.lab.export import OPSETS

    if plan.opset not in OPSETS:
        raise ConfigError(f"{plan.source}: export.opset {plan.opset}: PyTorch writes only {OPSETS[0]} to {OPSETS[-1]}")


def counts(plan: Plan, available: int) -> None:
    """Check that there are enough training images, and at least one for each validation share.

    Raises:
        DataError: there are not.
    """
    asked = {
        "prune.images": plan.prune.images
        * any(isinstance(step, PruneStep) and needs_images(step) for step in steps(plan)),
        "quantize.images": plan.quantize.images
        * any(isinstance(step, QuantizeStep) and calibrated(step.scheme) for step in steps(plan)),
        "recalibrate_batchnorm": max(
            (step.images for step in steps(plan) if isinstance(step, RecalibrateStep)), default=0
        ),
    }
    for setting, count in asked.items():
        require_images(setting, count, available)
    for step in steps(plan):
        if isinstance(step, FineTuneStep):
            held_out(step.recipe, available, "finetune")


def held_out(recipe: Recipe, available: int, section: str) -> None:
    """Check that a validation share holds at least one image.

    Raises:
        DataError: it does not.
    """
    if recipe.validation and not round(recipe.validation * available):
        raise DataError(
            f"{section}.validation: {recipe.validation:g} of {available} training images is less than one; raise it, "
            "or set it to 0"
        )
