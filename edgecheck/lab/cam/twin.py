"""The PyTorch twin as a source of evidence: one forward through the whole, one backward through the tail."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgecheck.attribution.evidence import Evidence, missing
from edgecheck.attribution.source import SOURCES, Answer, ExplainedSubject
from edgecheck.attribution.table import Need
from edgecheck.errors import ModelError
from edgecheck.foreign import blamed
from edgecheck.lab.cam.ablate import Ablation, Pass
from edgecheck.lab.cam.cut import Split, Values
from edgecheck.lab.cam.head import read_head
from edgecheck.lab.cam.preserved import as_found
from edgecheck.lab.cam.probing import BATCH_DEPENDENT, batch_dependent, checked_logits, probe_of, same
from edgecheck.lab.cam.split import split
from edgecheck.lab.compute import describe, device_of, placed
from edgecheck.records import Diagnostic
from edgecheck.registry import register

CHECKED: frozenset[Need] = frozenset({"drops", "own-head", "positions"})  # what runs the tail on changed feature maps


@register(SOURCES, "twin")
@contextmanager
def open_twin(subject: ExplainedSubject, example: NDArray[np.float32]) -> Iterator[TwinSource | LogitSource]:
    """Open the PyTorch twin of a subject on its compute device, see `attribution.source.Opener`.

    Raises:
        DependencyError: the device is not there.
        ModelError: no twin; otherwise as `opened`.
    """
    if subject.build_twin is None:
        raise ModelError(
            "heatmaps of the twin need the PyTorch module that the file was exported from, and this file has none"
        )
    with (
        placed(subject.build_twin(), subject.compute) as model,
        opened(model, example, subject.target_layer, subject.needs) as source,
    ):
        yield source


@contextmanager
def opened(
    model: nn.Module, example: NDArray[np.float32], target_layer: str | None, needs: Collection[Need]
) -> Iterator[TwinSource | LogitSource]:
    """Open a network as a source, in eval mode, on its current device; its state is restored.

    Args:
        model: takes float32 `(N, C, H, W)` and gives logits `(N, classes)`.
        example: the first image, preprocessed, `(1, C, H, W)`.
        target_layer: a name as in `edgecheck.lab.cam.trace`; None for the default layer.
        needs: the parts of the evidence that will be asked for; none for logits alone, which need no target layer.

    Raises:
        ModelError: a network that does not take the image, whose output is not logits `(N, classes)`, or that has no
            such target layer.
    """
    with torch.inference_mode(False), as_found(model):
        probe = probe_of(torch.from_numpy(example).to(device_of(model)))
        logits = checked_logits(model, probe)
        warnings = batch_dependent(model, probe, logits)
        if not needs:
            yield LogitSource(model, warnings)
            return
        target = split(model, probe, target_layer, logits)
        source = TwinSource(model, target.split, target.name, [*warnings, *target.warnings])
        if CHECKED & set(needs) and not warnings:
            with blamed(f"{source.network} cannot be explained"):
                source.rehearse(probe, *target.passed, needs)
        yield source


class LogitSource:
    """Runs a network as it is, where no maps are asked for."""

    gives: frozenset[Need] = frozenset()
    lacks: Mapping[Need, str] = {}
    target_layer = ""

    def __init__(self, model: nn.Module, warnings: list[Diagnostic]) -> None:
        self.model, self.warnings = model, warnings
        self.network = type(model).__name__
        self.device = describe(device_of(model))
        self.largest_batch = 1 if warnings else None

    @torch.no_grad()
    def answer(self, inputs: NDArray[np.float32]) -> Answer:
        """Return the logits of inputs `(N, C, H, W)`."""
        batch = torch.from_numpy(inputs).to(device_of(self.model))
        return Answer(self.model(batch), missing("activations"))


class TwinSource:
    """Explains batches with one network, split once at its target layer."""

    gives: frozenset[Need] = frozenset(get_args(Need))
    lacks: Mapping[Need, str] = {}

    def __init__(
        self, model: nn.Module, parts: Split, target_layer: str, warnings: list[Diagnostic] | None = None
    ) -> None:
        self.model, self.parts, self.target_layer = model, parts, target_layer
        self.network = type(model).__name__
        self.device = describe(device_of(model))
        self.head = read_head(model, parts)
        self.sliceable = True  # until an explained logit computed alone differs from that of the whole
        self.ablation = Ablation(self.head, parts.tail)
        self.known = warnings or []
        self.largest_batch = 1 if any(one.id == BATCH_DEPENDENT for one in self.known) else None

    @property
    def warnings(self) -> list[Diagnostic]:
        """The warnings from splitting and ablating the network."""
        return [*self.known, *([Diagnostic("heatmaps-slow-ablation")] if self.ablation.slow else [])]

    def answer(self, inputs: NDArray[np.float32]) -> Answer:
        """Return the logits of inputs `(N, C, H, W)`, and evidence for any of their classes."""
        return self._answer(torch.from_numpy(inputs).to(device_of(self.model)))

    def rehearse(self, probe: Tensor, activations: Tensor, others: Values, needs: Collection[Need]) -> None:
        """Check on noise first what is checked on the first batches, with what the body made of the probe."""
        forward = _Forward(self, probe, activations.detach(), others)
        batch = forward.batch(forward.logits.argmax(dim=1))
        self.ablation.check(batch)
        if "positions" in needs:
            self.ablation.check_positions(batch)

    def _answer(self, inputs: Tensor) -> Answer:
        with torch.no_grad():
            activations, others = self.parts.body(inputs)
        forward = _Forward(self, inputs, activations.detach(), others)
        return Answer(forward.logits.detach(), forward.evidence)


class _Forward:
    """One batch on its way through the tail."""

    def __init__(self, source: TwinSource, inputs: Tensor, activations: Tensor, others: Values) -> None:
        self.source, self.inputs, self.others = source, inputs, others
        self.activations = activations.requires_grad_()
        head = source.head
        with torch.enable_grad():
            self.staged, self.passing = head.prefix(self.activations, *others)
            if head.sliced is None or not source.sliceable:
                self.u, self.logits = None, head.rest(self.staged, *self.passing)
                return
            self.u = head.sliced.before(self.staged, *self.passing)
        with torch.no_grad():
            self.logits = head.sliced.logits(self.u)

    def evidence(self, classes: NDArray[np.int64]) -> Evidence:
        """Return the evidence for the class `(N,)` of each image."""
        chosen = torch.from_numpy(np.asarray(classes, dtype=np.int64)).to(self.logits.device)
        explained = self._explained(chosen)
        slopes = cache(lambda: self._slopes(explained))  # one backward serves all methods
        batch = cache(lambda: self._pass(chosen, explained, slopes()))
        return Evidence(
            self.activations.detach(),
            explained.detach(),
            (self.inputs.shape[2], self.inputs.shape[3]),
            gradients=lambda: slopes()[0],
            drops=lambda: self.source.ablation.drops(batch()),
            score=lambda masks: self._score(masks, chosen),
            head=lambda maps: self.source.ablation.head(batch(), maps),
            positions=lambda: self.source.ablation.positions(batch()),
            input_gradients=lambda: self._input_gradients(chosen),
        )

    def batch(self, classes: Tensor) -> Pass:
        """Return what ablation takes, for the class `(N,)` of each image."""
        explained = self._explained(classes)
        return self._pass(classes, explained, self._slopes(explained))

    def _pass(self, classes: Tensor, explained: Tensor, slopes: tuple[Tensor, Tensor]) -> Pass:
        gradients, staged_slopes = slopes
        maps, staged = self.activations.detach(), self.staged.detach()
        return Pass(maps, self.others, staged, staged_slopes, gradients, classes, explained.detach())

    @torch.enable_grad()
    def _explained(self, classes: Tensor) -> Tensor:
        """Return the explained logits `(N,)` with their graph: of their classes alone, if that gives the same."""
        sliced = self.source.head.sliced
        if self.u is not None and sliced is not None:
            with suppress(RuntimeError):  # shapes that do not fit: not the operators they were taken for
                explained = sliced.explained(self.u, classes)[:, 0]
                if same(self.logits.gather(1, classes[:, None])[:, 0], explained.detach()):
                    return explained
            self.source.sliceable, self.u = False, None
            self.logits = self.source.head.rest(self.staged, *self.passing)
        return self.logits.gather(1, classes[:, None])[:, 0]

    def _slopes(self, explained: Tensor) -> tuple[Tensor, Tensor]:
        """Return dy/dA at the target layer, and dy/dz behind the head's prefix."""
        _require_gradient(explained, "target layer")
        gradients, slopes = torch.autograd.grad(
            explained.sum(), (self.activations, self.staged), materialize_grads=True
        )
        return gradients, slopes

    @torch.no_grad()
    def _score(self, masks: Tensor, classes: Tensor) -> Tensor:
        """Return the explained logits `(N, C)` of the inputs times each of the masks `(N, C, H, W)`."""
        count = masks.shape[1]
        activations, others = self.source.parts.body((self.inputs[:, None] * masks[:, :, None]).flatten(0, 1))
        logits = self.source.parts.tail(activations, *others)
        return logits.gather(1, classes.repeat_interleave(count)[:, None]).reshape(-1, count)

    def _input_gradients(self, classes: Tensor) -> Tensor:
        """Return dy/dx `(N, C, H, W)`, from one more forward and backward through the whole network."""
        inputs = self.inputs.detach().clone().requires_grad_()
        with torch.enable_grad():
            # A copy: a network may overwrite its input, which PyTorch refuses for a tensor that requires gradients.
            explained = self.source.model(inputs.clone()).gather(1, classes[:, None])[:, 0]
            _require_gradient(explained, "input")
            (gradients,) = torch.autograd.grad(explained.sum(), inputs)
        return gradients


def _require_gradient(explained: Tensor, of: str) -> None:
    if not explained.requires_grad:
        raise ModelError(
            f"the logits do not depend on the {of} in a way that has gradients: look for detach, no_grad, "
            "inference_mode or arg-max in its forward"
        )
