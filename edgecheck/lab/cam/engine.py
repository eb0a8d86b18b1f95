"""Heatmaps of a whole set of images: one forward through the body, one forward and one backward through the tail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from attrs import evolve
from numpy.typing import NDArray
from torch import Tensor, nn

from edgecheck.classes import Selection
from edgecheck.config.plan import Preprocessing
from edgecheck.errors import EdgecheckError, ModelError
from edgecheck.images import ImageSet, preprocess
from edgecheck.lab.answers import best
from edgecheck.lab.cam.ablate import Ablation, Pass
from edgecheck.lab.cam.explanation import Collected, Explanation, Result
from edgecheck.lab.cam.head import read_head
from edgecheck.lab.cam.method import METHODS, Evidence, Method
from edgecheck.lab.cam.preserved import as_found
from edgecheck.lab.cam.split import Split, probe_of, same, split
from edgecheck.lab.cam.trace import reason
from edgecheck.lab.compute import device_of
from edgecheck.progress import Progress, Silent
from edgecheck.registry import lookup
from edgecheck.score.selection import selected

BATCH_SIZE = 32  # large enough to keep the cores busy, small enough for 224 px feature maps in memory


def explain(
    model: nn.Module,
    data: ImageSet,
    how: Preprocessing,
    methods: Sequence[str],
    target_layer: str | None = None,
    classes: NDArray[np.int64] | None = None,
    progress: Progress | None = None,
    batch_size: int = BATCH_SIZE,
) -> Explanation:
    """Return the maps of all images under each method; the model is left as it was found.

    Where the data selects outputs of the network (`data.classes`), only these can be predicted, and logits and classes
    are those of the data's classes; what is explained is the network's own output for such a class.

    Args:
        model: a network that takes float32 `(N, C, H, W)` and gives logits `(N, classes)`.
        data: the images, at the size the network takes.
        how: from pixels to what the network takes.
        methods: names in `METHODS`.
        target_layer: a dotted module name, or a function's output as `features.norm5+relu`; None for the default.
        classes: the class to explain per image `(N,)`; None for the model's own arg-max.
        progress: told of the batches.
        batch_size: images at once.

    Raises:
        ConfigError: unknown method.
        DataError: an output is selected that the network does not have.
        ModelError: a network that does not take the images, whose output is not finite logits `(N, classes)`, that has
            no such target layer, or fewer classes than are to be explained.
    """
    chosen = {name: lookup(METHODS, name, "CAM method") for name in methods}
    selection = data.selection
    if selection and classes is not None:
        classes = selection.numbers(classes)
    with torch.inference_mode(False), as_found(model):
        probe = probe_of(_inputs(model, data, how, slice(0, 1)))
        logits = _checked_output(model, probe, classes, len(data))
        if selection:
            selection.check(type(model).__name__, logits.shape[1])
        warnings = _entangled(model, probe, logits)
        batches = _batches(len(data), 1 if warnings else batch_size)
        # Logits alone need no target layer, so any classifier will do.
        target = split(model, probe, target_layer) if chosen else None
        engine = Engine(model, target.split, chosen, selection) if target else _Plain(model, selection)
        found: Collected | None = None
        with _blaming(model):
            if target and not warnings:
                engine.run(probe, None)  # what is checked on the first batches is checked on this first
            for batch, inputs in zip(
                (progress or Silent()).track(batches, "explaining", len(data), lambda batch: batch.stop - batch.start),
                _prefetched(model, data, how, batches),
                strict=True,
            ):
                wanted = None if classes is None else torch.from_numpy(np.asarray(classes[batch], dtype=np.int64))
                result = engine.run(inputs, wanted)
                found = found or Collected(result, len(data))
                found.put(batch, result)
    assert found is not None  # an ImageSet holds at least one image
    warnings += [*(target.warnings if target else []), *engine.warnings]
    explained = found.explanation(target.name if target else "", warnings)
    if selection is None:
        return explained
    return evolve(explained, logits=selected(explained.logits, selection), classes=selection.places(explained.classes))


class Engine:
    """Explains batches with one network, cut once."""

    def __init__(
        self, model: nn.Module, parts: Split, methods: dict[str, Method], selection: Selection | None = None
    ) -> None:
        self.parts, self.head, self.methods = parts, read_head(model, parts), methods
        self.selection = selection
        self.ablation = Ablation(self.head, parts.tail)

    @property
    def warnings(self) -> list[str]:
        """What turned out on the way."""
        if not self.ablation.slow:
            return []
        return ["ablation-cam is slow: the layers behind the target treat the images of a batch together"]

    def run(self, inputs: Tensor, classes: Tensor | None) -> Result:
        """Explain `(N, C, H, W)` inputs, as their own arg-max or as `classes` `(N,)`."""
        with torch.no_grad():
            activations, others = self.parts.body(inputs)
        activations = activations.detach().requires_grad_()
        with torch.enable_grad():
            staged, passing = self.head.prefix(activations, *others)
            logits = self.head.rest(staged, *passing)
            classes = best(logits, self.selection) if classes is None else classes.to(logits.device)
            explained = logits.gather(1, classes[:, None])[:, 0]
            if not explained.requires_grad:
                raise ModelError(
                    "the logits do not depend on the target layer in a way that has gradients: look for detach, "
                    "no_grad, inference_mode or arg-max in its forward"
                )
            gradients, slopes = torch.autograd.grad(explained.sum(), (activations, staged), materialize_grads=True)
        batch = Pass(activations.detach(), others, staged.detach(), slopes, classes, explained.detach())
        evidence = Evidence(
            batch.activations,
            gradients,
            batch.logits,
            lambda: self.ablation.drops(batch),
            (inputs.shape[2], inputs.shape[3]),
            partial(self._scores, inputs, classes),
        )
        maps = {name: _map(method(evidence), batch.activations) for name, method in self.methods.items()}
        return Result(maps, logits.detach(), classes)

    @torch.no_grad()
    def _scores(self, inputs: Tensor, classes: Tensor, masks: Tensor) -> Tensor:
        """Return the explained logits `(N, C)` of the inputs times each of the masks `(N, C, H, W)`."""
        count = masks.shape[1]
        activations, others = self.parts.body((inputs[:, None] * masks[:, :, None]).flatten(0, 1))
        logits = self.parts.tail(activations, *others)
        return logits.gather(1, classes.repeat_interleave(count)[:, None]).reshape(-1, count)


class _Plain:
    """Runs a network as it is, where no maps are asked for."""

    def __init__(self, model: nn.Module, selection: Selection | None) -> None:
        self.model, self.selection, self.warnings = model, selection, list[str]()

    @torch.no_grad()
    def run(self, inputs: Tensor, classes: Tensor | None) -> Result:
        """Return the logits of `(N, C, H, W)` inputs."""
        logits = self.model(inputs)
        return Result({}, logits, best(logits, self.selection) if classes is None else classes)


def _map(weights: Tensor, activations: Tensor) -> Tensor:
    """Return ReLU(sum_k w_k A_k), `(N, h, w)`."""
    return (weights * activations).sum(dim=1).relu()


@contextmanager
def _blaming(model: nn.Module) -> Iterator[None]:
    """Say in one line what the network's own code could not do."""
    try:
        yield
    except EdgecheckError:
        raise
    except Exception as error:  # a user's forward can raise anything at all
        raise ModelError(f"{type(model).__name__} cannot be explained: {reason(error)}") from error


@torch.no_grad()
def _entangled(model: nn.Module, probe: Tensor, together: Tensor) -> list[str]:
    """Return a warning where the answer for an image depends on the others in its batch; nothing where it does not."""
    try:
        alone = torch.cat([model(image[None].clone()) for image in probe])
    except Exception:  # a network that cannot take a single image
        return []
    if alone.shape != together.shape or same(together, alone):
        return []
    return [
        f"what {type(model).__name__} says of an image depends on the others in its batch (BatchNorm without running "
        "statistics?): images are explained one by one"
    ]


def _batches(images: int, size: int) -> list[slice]:
    """Return the batches; one left over joins the last, since some networks cannot take a single image."""
    starts = list(range(0, images, size))
    if len(starts) > 1 and size > 1 and images - starts[-1] == 1:
        starts.pop()
    return [slice(start, end) for start, end in zip(starts, [*starts[1:], images], strict=True)]


def _inputs(model: nn.Module, data: ImageSet, how: Preprocessing, batch: slice) -> Tensor:
    return torch.from_numpy(preprocess(data.images[batch], how)).to(device_of(model))


def _prefetched(model: nn.Module, data: ImageSet, how: Preprocessing, batches: Sequence[slice]) -> Iterator[Tensor]:
    """Yield the inputs of each batch; the next one is read and preprocessed while the caller works on this one."""
    with ThreadPoolExecutor(max_workers=1) as reader:
        coming = [reader.submit(_inputs, model, data, how, batches[0])]
        for batch in batches[1:]:
            coming.append(reader.submit(_inputs, model, data, how, batch))
            yield coming.pop(0).result()
        yield coming.pop(0).result()


@torch.no_grad()
def _checked_output(model: nn.Module, example: Tensor, classes: NDArray[np.int64] | None, images: int) -> Tensor:
    """Return the logits of the example, once they are known to be such."""
    name, shape = type(model).__name__, tuple(example.shape[1:])
    if isinstance(model, torch.jit.ScriptModule):
        raise ModelError(f"{name} is a TorchScript module, which cannot be cut: give the Python module it was made of")
    try:
        output = model(example.clone())
    except Exception as error:  # a user's forward can raise anything at all
        raise ModelError(f"{name} cannot take images of shape (C, H, W) = {shape}: {reason(error)}") from error
    if not isinstance(output, Tensor) or output.ndim != 2 or len(output) != len(example):
        found = tuple(output.shape) if isinstance(output, Tensor) else f"a {type(output).__name__}"
        raise ModelError(f"{name} gives {found} for {len(example)} images, but a classifier gives logits (N, classes)")
    if classes is None:
        return output
    if np.shape(classes) != (images,):
        raise ModelError(
            f"classes to explain are of shape {np.shape(classes)}, but there are {images} images: one each"
        )
    if np.max(classes) >= output.shape[1]:
        raise ModelError(f"class {np.max(classes)} is to be explained, but {name} has only {output.shape[1]} classes")
    if np.min(classes) < 0:
        raise ModelError(f"class {np.min(classes)} is to be explained: classes count from 0")
    return output
