from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from attrs import evolve
from torch import nn

from edgecheck.lab.cam import changes, ways
from edgecheck.lab.cam.ablate import CHECKS, Ablation
from edgecheck.lab.cam.head import Head, read_head
from edgecheck.lab.cam.runs import Pass
from edgecheck.lab.cam.split import split
from edgecheck.lab.cam.ways import Way
from tests.lab.cam import networks
from tests.lab.cam.networks import ConvolutionHead, Curved, Dense, Middle, Plain, Residual, seeded

torch.set_num_threads(1)
EXAMPLE = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def prepared(network: type[nn.Module], target: str | None = None) -> tuple[Head, Ablation, Pass]:
    model = seeded(network)
    parts = split(model, EXAMPLE, target or network.target).split
    head = read_head(model, parts)
    with torch.no_grad():
        activations, others = parts.body(EXAMPLE)
    activations.requires_grad_()
    staged, passing = head.prefix(activations, *others)
    logits = head.rest(staged, *passing)
    explained, classes = logits.max(1)
    gradients, slopes = torch.autograd.grad(explained.sum(), (activations, staged))
    batch = Pass(activations.detach(), others, staged.detach(), slopes, gradients, classes, explained.detach())
    return head, Ablation(head, parts.tail), batch


def by_definition(ablation: Ablation) -> Way:
    return ways.by_copies(ablation.alone)


@pytest.mark.parametrize(
    ("network", "target", "affine", "in_map", "mixes", "sliced"),
    [
        (Plain, None, True, False, True, True),  # a max pooling before the linear layer
        (Residual, None, True, True, True, True),
        (Dense, None, True, True, True, True),
        (Dense, "features", True, False, True, True),  # BatchNorm's output: the ReLU belongs to the channel-wise part
        (Curved, None, False, False, True, True),
        (ConvolutionHead, None, False, False, True, True),
        (Middle, None, False, False, False, True),  # its convolution is followed by a value that passed by
        (networks.Branching, None, False, False, False, False),  # hooks: nothing to be seen
    ],
)
def test_what_is_seen_of_a_tail(
    network: type[nn.Module], target: str | None, affine: bool, in_map: bool, mixes: bool, sliced: bool
) -> None:
    head, ablation, _ = prepared(network, target or getattr(network, "target", None))
    assert (head.affine, head.affine_in_map) == (affine, in_map)
    assert (head.mixing is not None, head.sliced is not None) == (mixes, sliced)
    assert len(ablation.candidates) == affine + 2 * mixes


@pytest.mark.parametrize("network", [Plain, Residual, Dense, Curved, ConvolutionHead, Middle])
def test_the_ways_agree_and_the_quickest_is_taken(network: type[nn.Module]) -> None:
    _, ablation, batch = prepared(network)
    expected = by_definition(ablation)(batch, torch.arange(batch.activations.shape[1]))
    assert expected.abs().max() > 1e-3
    for way in ablation.candidates:
        torch.testing.assert_close(way(batch, torch.arange(len(expected[0]))), expected, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(ablation.drops(batch), expected, rtol=1e-3, atol=1e-5)
    assert not ablation.candidates or ablation.way is ablation.candidates[0]


def test_a_shortcut_that_disagrees_is_dropped() -> None:
    _, ablation, batch = prepared(Plain)
    ablation.candidates.insert(0, lambda batch, channels: torch.zeros(len(batch.classes), len(channels)))
    ablation.drops(batch)
    assert len(ablation.candidates) == 3
    assert ablation.way is ablation.candidates[0]


class LiesAboutItsName(nn.Flatten):
    """A subclass that mixes channels, under a name that says it does not."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(input.flip(1) * input)


LiesAboutItsName.__name__ = "Flatten"


def test_an_operator_that_is_not_what_its_name_says_is_found_out() -> None:
    class Lying(Plain):
        def __init__(self) -> None:
            super().__init__()
            LiesAboutItsName.__module__ = "torch.nn.liar"  # so that tracing takes it for one of torch's own
            self[8] = LiesAboutItsName()

    _, ablation, batch = prepared(Lying)
    assert len(ablation.candidates) == 3
    expected = by_definition(ablation)(batch, torch.arange(12))
    torch.testing.assert_close(ablation.drops(batch), expected)
    assert not ablation.candidates


@pytest.mark.parametrize("size", [1, 2**14, 2**30])
@pytest.mark.parametrize("network", [Curved, ConvolutionHead, Middle])
def test_chunks_do_not_matter(network: type[nn.Module], size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    _, ablation, batch = prepared(network)
    expected = ablation.drops(batch)
    monkeypatch.setattr("edgecheck.lab.cam.ways.CHUNK_BYTES", size)
    torch.testing.assert_close(ablation.drops(batch), expected, rtol=1e-4, atol=1e-5)


def test_a_number_that_passes_by_keeps_the_batch_as_it_is() -> None:
    class Counting(Residual):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            count = x.size(0)
            return self.fc(self.stages(self.stem(x)).relu().sum((2, 3)).reshape(count, 8))

    _, ablation, batch = prepared(Counting)
    assert batch.others == (3,)
    expected = torch.zeros(3, 8)
    with torch.no_grad():
        model = seeded(Counting)
        for channel in range(8):
            maps = batch.activations.clone()
            maps[:, channel] = 0
            logits = model.fc(maps.relu().sum((2, 3)))
            expected[:, channel] = batch.logits - logits[torch.arange(3), batch.classes]
    torch.testing.assert_close(ablation.drops(batch), expected, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(by_definition(ablation)(batch, torch.arange(8)), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("held", [1, 2**30])
@pytest.mark.parametrize("dense", [0.0, 1.0])
def test_channels_and_values_without_effect_are_skipped(
    held: int, dense: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    class TwoHidden(Curved):
        def __init__(self) -> None:
            super().__init__()
            hidden = [nn.Linear(32, 24), nn.ReLU(), nn.Linear(24, networks.CLASSES, bias=False)]
            self.classifier = nn.Sequential(*self.classifier[:3], *hidden)

    _, ablation, batch = prepared(TwoHidden)
    batch.activations[:, 3] = 0  # a dead channel
    batch.staged.reshape(3, 12, -1)[:, 3] = 0
    logits = ablation.together(batch, batch.activations[:, None])[:, 0]
    batch = evolve(batch, logits=logits)
    monkeypatch.setattr(changes, "HELD_BYTES", held)
    monkeypatch.setattr(changes, "DENSE", dense)
    found = ablation.candidates[0](batch, torch.arange(12))
    assert found[:, 3].eq(0).all()
    torch.testing.assert_close(found, by_definition(ablation)(batch, torch.arange(12)), rtol=1e-3, atol=1e-5)
    some = torch.tensor([1, 3, 8])
    torch.testing.assert_close(ablation.candidates[0](batch, some), found[:, some])


@pytest.mark.parametrize("network", [Plain, Residual, Curved, ConvolutionHead])
def test_once_checked_no_class_is_computed_that_is_not_explained(network: type[nn.Module]) -> None:
    head, ablation, batch = prepared(network)
    for _ in range(CHECKS):
        ablation.drops(batch)
    assert head.sliced is not None
    with called(head.sliced.layer) as calls:
        ablation.drops(batch)
    assert calls == []


@contextmanager
def called(layer: nn.Module) -> Iterator[list[torch.Size]]:
    calls: list[torch.Size] = []
    handle = layer.register_forward_hook(lambda module, inputs, output: calls.append(output.shape))
    yield calls
    handle.remove()
