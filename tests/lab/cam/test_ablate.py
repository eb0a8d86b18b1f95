import pytest
import torch
from torch import nn

from edgecheck.lab.cam.ablate import Ablation
from edgecheck.lab.cam.head import Head, read_head
from edgecheck.lab.cam.split import split
from edgecheck.lab.cam.ways import Pass
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
    (slopes,) = torch.autograd.grad(explained.sum(), staged)
    batch = Pass(activations.detach(), others, staged.detach(), slopes, classes, explained.detach())
    return head, Ablation(head, parts.tail), batch


@pytest.mark.parametrize(
    ("network", "target", "affine", "mixes"),
    [
        (Plain, None, True, True),
        (Residual, None, True, True),
        (Dense, None, True, True),
        (Dense, "features", True, True),  # BatchNorm's output: the ReLU belongs to the channel-wise part
        (Curved, None, False, True),
        (ConvolutionHead, None, False, True),
        (Middle, None, False, False),  # its convolution is followed by a value that passed by
        (networks.Branching, None, False, False),  # hooks: nothing to be seen
    ],
)
def test_what_is_seen_of_a_tail(network: type[nn.Module], target: str | None, affine: bool, mixes: bool) -> None:
    head, ablation, _ = prepared(network, target or getattr(network, "target", None))
    assert (head.affine, head.mixing is not None) == (affine, mixes)
    assert len(ablation.candidates) == affine + mixes


@pytest.mark.parametrize("network", [Plain, Residual, Dense, Curved, ConvolutionHead, Middle])
def test_the_ways_agree_and_the_quickest_is_taken(network: type[nn.Module]) -> None:
    _, ablation, batch = prepared(network)
    expected = ablation.by_copies(batch, torch.arange(batch.activations.shape[1]))
    assert expected.abs().max() > 1e-3
    for way in ablation.candidates:
        torch.testing.assert_close(way(batch, torch.arange(len(expected[0]))), expected, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(ablation.drops(batch), expected, rtol=1e-3, atol=1e-5)
    assert ablation.way is [*ablation.candidates, ablation.by_copies][0]


def test_a_shortcut_that_disagrees_is_dropped() -> None:
    _, ablation, batch = prepared(Plain)
    ablation.candidates.insert(0, lambda batch, channels: torch.zeros(len(batch.classes), len(channels)))
    ablation.drops(batch)
    assert len(ablation.candidates) == 2
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
    assert len(ablation.candidates) == 2
    expected = ablation.by_copies(batch, torch.arange(12))
    torch.testing.assert_close(ablation.drops(batch), expected)
    assert ablation.way is ablation.by_copies


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
    torch.testing.assert_close(ablation.by_copies(batch, torch.arange(8)), expected, rtol=1e-3, atol=1e-4)
