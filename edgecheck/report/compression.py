"""The compression steps of a variant in words."""

from __future__ import annotations

from edgecheck.records import OtherStep, Variant, to_dict
from edgecheck.records.steps import KIND
from edgecheck.records.variant import FINETUNED, QUANTIZED
from edgecheck.report.format import format_count, format_value
from edgecheck.steps import FineTuneStep, PruneStep, QuantizeStep, RecalibrateStep, Recipe, Step
from edgecheck.text import listed


def compression(variant: Variant) -> str:
    """Return `prune 60.00 % by l1, filters (layer); fine-tune 10 epochs; quantize to int8`; "" without a step."""
    return "; ".join(filter(None, map(describe_step, variant.steps)))


def describe_step(step: Step) -> str:
    """Return one step in words; "" for fine-tuning with 0 epochs, which does nothing."""
    match step:
        case PruneStep():
            return _pruning(step)
        case FineTuneStep():
            return _finetuning(step.recipe.epochs) + _kept(step.recipe)
        case RecalibrateStep():
            return f"BatchNorm statistics of {format_count(step.images, 'training image')}"
        case QuantizeStep():
            return _quantization(step)
        case OtherStep(kind, {"epochs": int() | None as epochs}) if kind == FINETUNED:
            return "fine-tune" if epochs is None else _finetuning(epochs)
        case OtherStep(kind, {"scheme": str(scheme)}) if kind == QUANTIZED:
            return f"quantize to {scheme}"
        case _:
            return " ".join(f"{value}" if name == KIND else f"{name} {value}" for name, value in to_dict(step).items())


def _pruning(step: PruneStep) -> str:
    multiples = f", multiples of {step.round_to}" if step.round_to > 1 else ""
    return f"prune {_rates(step)} by {step.criterion}, {step.structure} ({step.scope}){multiples}"


def _rates(step: PruneStep) -> str:
    """Return `40.00 % (conv1 50.00 %)`: the common rate, and those of single layers."""
    common = format_value(step.rate * step.share, "fraction")
    own = step.rates or {}
    told = listed(f"{name} {format_value(rate * step.share, 'fraction')}" for name, rate in own.items())
    return (f"{common} ({told})" if step.rate else told) if told else common


def _quantization(step: QuantizeStep) -> str:
    kept = f" except {', '.join(step.options.exclude)}" if step.options.exclude else ""
    only = f", only {', '.join(step.options.only)}" if step.options.only is not None else ""
    return f"quantize to {step.scheme}{only}{kept}"


def _finetuning(epochs: int) -> str:
    return f"fine-tune {format_count(epochs, 'epoch')}" if epochs else ""


def _kept(recipe: Recipe) -> str:
    """Return what fine-tuning keeps of the baseline: ` (statistics frozen, distilled, grad-cam maps kept)`."""
    words = [
        "BatchNorm statistics frozen" if recipe.freeze_batchnorm_statistics else "",
        f"distilled {recipe.distill:g}" if recipe.distill else "",
        f"{recipe.preserve.method} maps kept, weight {recipe.preserve.weight:g}" if recipe.preserve else "",
    ]
    return f" ({'; '.join(filter(None, words))})" if recipe.epochs and any(words) else ""
