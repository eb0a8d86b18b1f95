"""Small networks, and ways to fill them with numbers that hide no mistake."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgecheck.lab.prune import Compressed, Ranking, Samples, prune, rank, uncompressed
from edgecheck.steps import PruneStep


def randomized(model: nn.Module, seed: int = 0) -> nn.Module:
    """Return the model in eval mode with all numbers drawn from the seed, BatchNorm's away from 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.weight.data.normal_(0, (2 / module.weight[0].numel()) ** 0.5, generator=generator)
            if module.bias is not None:
                module.bias.data.normal_(0, 0.1, generator=generator)
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
            if module.affine:
                module.weight.data.uniform_(0.5, 1.5, generator=generator)
                module.bias.data.normal_(0, 0.1, generator=generator)
    return model.eval()


class Plain(nn.Module):
    """Convolution of 4 filters, then of 6, a hidden linear layer of 5, an output layer of 3."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4, affine=False)
        self.conv2 = nn.Conv2d(4, 6, 3, groups=self.groups)
        self.hidden = nn.Linear(6 * 4 * 4, 5)
        self.output = nn.Linear(5, 3)

    groups = 1

    def forward(self, images: Tensor) -> Tensor:
        maps = self.middle(torch.relu(self.norm(self.conv1(images))))
        return self.output(torch.relu(self.hidden(self.flat(torch.relu(self.conv2(maps))))))

    def middle(self, maps: Tensor) -> Tensor:
        return maps

    def flat(self, maps: Tensor) -> Tensor:
        return maps.flatten(1)


class Grouped(Plain):
    """Its second convolution has two groups."""

    groups = 2


class FixedView(Plain):
    """Counts on 6 channels where it flattens."""

    def flat(self, maps: Tensor) -> Tensor:
        return maps.view(-1, 6 * 4 * 4)


class Shuffled(Plain):
    """Mixes channels in a way that a dependency graph takes for element-wise."""

    def middle(self, maps: Tensor) -> Tensor:
        return maps.flip(1)


class Padded(Plain):
    """Pads channels by hand: 3 real ones and one of zeros in front."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 3, 3)
        self.norm = nn.BatchNorm2d(3, affine=False)

    def middle(self, maps: Tensor) -> Tensor:
        return nn.functional.pad(maps, (0, 0, 0, 0, 1, 0))


EXAMPLE = torch.zeros(1, 1, 8, 8)


class Normed(Plain):
    """Its BatchNorm has a scale and a shift."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(4)


def samples(count: int = 10, shape: tuple[int, ...] = (1, 8, 8), classes: int = 3, seed: int = 5) -> Samples:
    """Return noise and labels in turn, so that each class is there."""
    images = torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))
    return Samples(images, torch.arange(count) % classes)


def prune_once(
    model: nn.Module,
    step: PruneStep,
    example: Tensor,
    seed: int,
    samples: Samples | None = None,
    ranking: Ranking | None = None,
) -> Compressed:
    """Return what one step leaves of a network that no step has changed before."""
    return prune(uncompressed(model), step, example, seed, samples, ranking=ranking)


def scores(
    criterion: str, model: nn.Module, seen: Samples | None = None, structure: str = "filters", seed: int = 0
) -> dict[str, Tensor]:
    """Return how a criterion ranks a network for 8x8 grey images, or for such images as the samples are."""
    step = PruneStep(criterion, structure, "global", 0.5)
    example = EXAMPLE if seen is None else torch.zeros_like(seen.images[:1])
    return rank(model, step, example, seed, seen).scores
