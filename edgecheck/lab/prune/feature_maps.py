"""Feature maps: the output of each filter for images.

The map of a filter is taken after the BatchNorm that follows its layer directly, if no other operation reads the layer:
there a channel of zeros is a filter that is switched off. The activation that follows may be a function without a
module, which no hook sees; criteria that need activations clamp the maps at 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from edgecheck.lab.prune.layers import layers_of

BATCH = 32  # images; the maps of a ResNet-18's first layer at 224 x 224 are then 100 MB

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def last_of(model: nn.Module, example: Tensor) -> dict[str, str]:
    """Return for each layer that runs where its maps are taken: at the BatchNorm that alone reads it, or at itself.

    Args:
        model: in eval mode.
        example: an input `(N, C, H, W)`.
    """
    made: dict[str, Any] = {}  # the outputs are kept, so that their ids stay unique
    norms: dict[str, str] = {}
    readers = _Readers()

    def look(name: str, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if isinstance(module, _NORMS):
            norms.update({layer: name for layer, value in made.items() if value is inputs[0]})
        else:
            made[name] = output
            readers.begin(output)

    watched = {**layers_of(model), **{n: m for n, m in model.named_modules() if isinstance(m, _NORMS)}}
    hooks = [
        module.register_forward_hook(lambda m, inputs, output, name=name: look(name, m, inputs, output))
        for name, module in watched.items()
    ]
    with torch.no_grad(), readers:
        model(example.clone())
    for hook in hooks:
        hook.remove()
    # A shortcut may read the layer too, and a ReLU in between that writes over its input hands on the same tensor.
    return {name: norms[name] if name in norms and readers.of(value) == 1 else name for name, value in made.items()}


class _Readers(TorchFunctionMode):
    """Counts the functions that read each tensor and return a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[int] = Counter()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if any(isinstance(part, Tensor) for part in tree_leaves(result)):
            self.counts.update({id(part) for part in tree_leaves((args, kwargs)) if isinstance(part, Tensor)})
        return result

    def begin(self, value: Any) -> None:
        """Count the readers of a new output from 0: an output that was freed may have had the same id."""
        self.counts[id(value)] = 0

    def of(self, value: Any) -> int:
        """Return how many functions read an output that is still alive."""
        return self.counts[id(value)]


@contextmanager
def hooked(model: nn.Module, hooks: Mapping[str, Callable[[Tensor], Tensor | None]]) -> Iterator[None]:
    """Pass the output of each named module to its function, which may replace it."""
    handles = [
        model.get_submodule(name).register_forward_hook(lambda _module, _inputs, output, act=act: act(output))
        for name, act in hooks.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def maps(model: nn.Module, images: Tensor) -> Iterator[dict[str, Tensor]]:
    """Yield for each batch the maps of each layer by its name, `(n, C, H, W)`, or `(n, C, 1, 1)` for vectors."""
    last = last_of(model, images[:1])
    axes = {layer: channel_axis(model.get_submodule(module)) for layer, module in last.items()}
    for batch in images.split(BATCH):
        seen: dict[str, Tensor] = {}
        with torch.no_grad(), hooked(model, {module: _keep(seen, layer) for layer, module in last.items()}):
            model(batch.clone())  # some networks write over their input
        yield {layer: _spatial(output, axes[layer]) for layer, output in seen.items()}


def flows(
    model: nn.Module,
    watched: Mapping[str, str],
    images: Tensor,
    labels: Tensor,
    objective: Callable[[Tensor, Tensor], Tensor],
) -> Iterator[dict[str, Tensor]]:
    """Yield for each batch the sum over positions of value times gradient of each layer's maps.

    Args:
        model: in eval mode; its in-place modules are made out-of-place.
        watched: the module whose output is the map of a layer, by layer.
        images: float32 `(N, C, H, W)`.
        labels: int64 `(N,)`.
        objective: the scalar that is differentiated, from logits `(n, classes)` and labels `(n,)`.

    Yields:
        `(n, C)` float64 on the CPU by layer; 0 where the objective does not depend on the maps.
    """
    _without_inplace(model).requires_grad_(True)
    axes = {layer: channel_axis(model.get_submodule(module)) for layer, module in watched.items()}
    for batch, wanted in zip(images.split(BATCH), labels.split(BATCH), strict=True):
        seen: dict[str, Tensor] = {}
        hooks = {module: _keep(seen, layer) for layer, module in watched.items()}
        with torch.enable_grad(), hooked(model, hooks):
            target = objective(model(batch.clone().requires_grad_(True).clone()), wanted)
            gradients = torch.autograd.grad(target, list(seen.values()), allow_unused=True)
        yield {
            layer: _flow(value.detach(), gradient, axes[layer])
            for (layer, value), gradient in zip(seen.items(), gradients, strict=True)
        }


def _keep(into: dict[str, Tensor], layer: str) -> Callable[[Tensor], Tensor]:
    """Return a hook that stores an output and passes on a copy, which later operations may overwrite."""

    def keep(output: Tensor) -> Tensor:
        into[layer] = output
        return output.clone()

    return keep


def _flow(value: Tensor, gradient: Tensor | None, axis: int) -> Tensor:
    product = torch.zeros_like(value) if gradient is None else value * gradient
    return _spatial(product, axis).double().sum((2, 3)).cpu()


def channel_axis(module: nn.Module) -> int:
    """Return the channel axis of a module's outputs: the last for a linear layer, else the second."""
    return -1 if isinstance(getattr(module, "layer", module), nn.Linear) else 1


def _without_inplace(model: nn.Module) -> nn.Module:
    """Return the model with its in-place modules made out-of-place, so that maps keep their gradients."""
    for module in model.modules():
        if hasattr(module, "inplace"):
            setattr(module, "inplace", False)  # noqa: B010  (a plain attribute, whatever the type checker sees)
    return model


def _spatial(output: Tensor, axis: int) -> Tensor:
    output = output.movedim(axis, 1)
    return (
        output if output.ndim == 4 else output.flatten(2).unsqueeze(-1) if output.ndim > 2 else output[:, :, None, None]
    )
