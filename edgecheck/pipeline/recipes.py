"""Training recipes in words, for the report."""

from __future__ import annotations

from collections.abc import Iterator

from edgecheck.config.plan import Plan
from edgecheck.report.format import format_count
from edgecheck.steps import Recipe


def describe_recipe(recipe: Recipe, images: int | None = None) -> str:
    """Return a recipe in one line; `images` is the number of training images, from the first on; None for all."""
    if recipe.epochs == 0:
        count = recipe.recalibrate_batchnorm
        return f"none, BatchNorm statistics of {format_count(count, 'training image')}" if count else "none"
    return (
        f"SGD, learning rate {recipe.learning_rate:g} ({recipe.schedule}), momentum {recipe.momentum:g}, "
        f"weight decay {recipe.weight_decay:g}, batch {recipe.batch_size}, {format_count(recipe.epochs, 'epoch')}"
        f"{f' of the first {images:,} training images' if images else ''}, cross-entropy"
        + "".join(f", {words}" for words in _extras(recipe))
    )


def describe_recipes(plan: Plan) -> str:
    """Return the recipe of `finetune:`, and the named ones that variants use, in one line."""
    used = dict.fromkeys(spec.recipe for spec in plan.controls if spec.recipe)
    named = {name: describe_recipe(plan.recipes[name], plan.data.train_limit) for name in used}
    default = describe_recipe(plan.finetune, plan.data.train_limit)
    return "; ".join([default, *(f"recipe {name}: {words}" for name, words in named.items())])


def _extras(recipe: Recipe) -> Iterator[str]:
    """Yield the settings of a recipe that the paper's does not use."""
    if recipe.warmup_epochs:
        yield f"warm-up over {recipe.warmup_epochs:g} epochs"
    if recipe.label_smoothing:
        yield f"label smoothing {recipe.label_smoothing:g}"
    if recipe.flip:
        yield "mirrored at random"
    if recipe.crop:
        yield f"shifted by up to {recipe.crop} pixels"
    if recipe.distill:
        yield f"distilled from the baseline ({recipe.distill:g}, temperature {recipe.temperature:g})"
    if recipe.preserve:
        yield f"{recipe.preserve.method} maps kept (weight {recipe.preserve.weight:g})"
    if recipe.freeze_batchnorm_statistics:
        yield "BatchNorm statistics frozen"
    if recipe.recalibrate_batchnorm:
        yield f"BatchNorm statistics of {format_count(recipe.recalibrate_batchnorm, 'training image')}"
    if recipe.validation:
        yield f"best epoch by {recipe.validation:.0%} of the training images"
    if recipe.patience:
        yield f"stopped after {format_count(recipe.patience, 'epoch')} without improvement"
    if recipe.precision != "float32":
        yield recipe.precision
