"""A training recipe in words, for the report."""

from __future__ import annotations

from collections.abc import Iterator

from edgecheck.report.format import format_count
from edgecheck.steps import Recipe


def describe_recipe(recipe: Recipe, images: int | None = None) -> str:
    """Return a recipe in one line; `images` is the number of training images, from the first on; None for all."""
    if recipe.epochs == 0:
        return "none"
    return (
        f"SGD, learning rate {recipe.learning_rate:g} ({recipe.schedule}), momentum {recipe.momentum:g}, "
        f"weight decay {recipe.weight_decay:g}, batch {recipe.batch_size}, {format_count(recipe.epochs, 'epoch')}"
        f"{f' of the first {images:,} training images' if images else ''}, cross-entropy"
        + "".join(f", {words}" for words in _extras(recipe))
    )


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
    if recipe.validation:
        yield f"best epoch by {recipe.validation:.0%} of the training images"
    if recipe.patience:
        yield f"stopped after {format_count(recipe.patience, 'epoch')} without improvement"
    if recipe.precision != "float32":
        yield recipe.precision
