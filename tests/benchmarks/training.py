"""Training speed against a plain PyTorch loop that does the same work: ResNet-20 on 32x32 images, on the CPU.

python -m tests.benchmarks.training [--json] [--images N] [--blocks N] [--threads N] [--batches N ...]
    [--recipes NAME ...]

The loop has normalized images as one tensor, made beforehand, draws batches by a permutation, and does nothing but the
steps. Ours is `train` as a stage calls it. Both train an epoch on the same images from the same weights, in turn, and
each block gives one ratio of wall times and, on one thread, one of CPU times, on which other processes have less
influence. A third contender is the loop with images and weights in channels-last order. Losses show
that all do the same work; where images are augmented, those of the loop are drawn by other numbers.

Images are those of CIFAR-10 in the folder that EDGECHECK_DATA names, else random, which cost as much time.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from attrs import frozen
from torch import Tensor, nn

from edgecheck.config.plan import Compute
from edgecheck.images import ImageSet, head, load_npz, preprocess
from edgecheck.lab.compute import placed
from edgecheck.lab.descent import Training
from edgecheck.lab.train import train
from edgecheck.models.resnet_cifar import resnet20
from edgecheck.progress import Silent
from edgecheck.steps import Recipe
from tests.benchmarks.subjects import IMAGENET, real_data

SEED = 0
SIDE, CLASSES = 32, 10
RECIPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "augmented": {"crop": 4, "flip": True},
    "distilled": {"distill": 0.9},
}
Contender = Callable[[], float]  # trains an epoch and returns its mean loss
Seconds = dict[str, float]  # by clock


@frozen(eq=False)
class Setting:
    """One comparison: what is trained, on what, and how."""

    data: ImageSet
    recipe: Recipe
    model: nn.Module
    teacher: nn.Module


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON only")
    parser.add_argument("--images", type=int, default=512, help="images of an epoch, which is a block (%(default)s)")
    parser.add_argument("--blocks", type=int, default=11, help="epochs of each contender, in turn (%(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="(%(default)s)")
    parser.add_argument("--batches", type=int, nargs="+", default=[32, 128], help="batch sizes (32 128)")
    parser.add_argument("--recipes", nargs="+", choices=list(RECIPES), default=list(RECIPES), help="(all)")
    options = parser.parse_args()
    result: dict[str, Any] = {"threads": options.threads, "images": options.images, "rows": []}
    with placed(nn.Identity(), Compute("cpu", options.threads)):
        for name in options.recipes:
            for batch in options.batches:
                found = {"recipe": name, "batch": batch} | measure(setting(name, batch, options.images), options.blocks)
                result["rows"].append(found)
                if not options.json:
                    print(line(found), flush=True)
    if options.json:
        print(json.dumps(result, indent=2))


def setting(name: str, batch: int, count: int) -> Setting:
    torch.manual_seed(SEED)
    recipe = Recipe(epochs=1, batch_size=batch, **RECIPES[name])
    return Setting(images(count), recipe, resnet20(), resnet20().eval())


def images(count: int) -> ImageSet:
    path = real_data() / "cifar10" / "test.npz"
    if path.is_file():
        return head(load_npz(path), count)
    random = np.random.default_rng(SEED)
    pixels = random.integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)
    return ImageSet(pixels, random.integers(0, CLASSES, count), tuple(map(str, range(CLASSES))))


def measure(setting: Setting, blocks: int) -> dict[str, Any]:
    """Return images per second of each contender, and the ratios of ours to the loops with their quartiles."""
    contenders: dict[str, Contender] = {
        "ours": lambda: ours(setting),
        "loop": Loop(setting, torch.contiguous_format).epoch,
        "loop_channels_last": Loop(setting, torch.channels_last).epoch,
    }
    losses = {name: contender() for name, contender in contenders.items()}  # the first epoch also warms up
    taken: dict[str, list[Seconds]] = {name: [] for name in contenders}
    for block in range(blocks):
        for name in sorted(contenders, reverse=block % 2 == 1):  # none always follows the same other one
            taken[name].append(seconds(contenders[name]))
    rates = {name: len(setting.data) / statistics.median(one["wall"] for one in taken[name]) for name in contenders}
    others = [name for name in contenders if name != "ours"]
    return {
        "losses": losses,
        "images_per_s": rates,
        "ours_over": {name: {clock: ratio(taken, name, clock) for clock in clocks()} for name in others},
    }


def clocks() -> list[str]:
    return ["wall", "cpu"] if torch.get_num_threads() == 1 else ["wall"]  # threads that wait for others use the CPU too


def seconds(contender: Contender) -> Seconds:
    wall, cpu = time.perf_counter(), time.process_time()
    contender()
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def ratio(taken: dict[str, list[Seconds]], name: str, clock: str) -> dict[str, float]:
    """Return how many times as fast as another contender ours is, over the blocks."""
    quotients = [other[clock] / own[clock] for other, own in zip(taken[name], taken["ours"], strict=True)]
    low, middle, high = statistics.quantiles(quotients, n=4)
    return {"median": middle, "low_quartile": low, "high_quartile": high}


def ours(setting: Setting) -> float:
    teacher = setting.teacher if setting.recipe.distill else None
    training = Training(copy.deepcopy(setting.model), IMAGENET, setting.recipe, SEED, teacher=teacher)
    return train(training, setting.data, Silent())[0]


class Loop:
    """The plain loop. `memory_format` is the order in memory of its images and weights."""

    def __init__(self, setting: Setting, memory_format: torch.memory_format) -> None:
        self.setting, self.recipe, self.format = setting, setting.recipe, memory_format
        pixels = torch.from_numpy(preprocess(setting.data.images[:], IMAGENET))
        self.images, self.labels = self.laid_out(pixels), torch.from_numpy(setting.data.labels)
        self.black = pixels.new_tensor(preprocess(np.zeros((1, 1, 1, 3), np.uint8), IMAGENET))
        self.teacher = copy.deepcopy(setting.teacher).to(memory_format=memory_format)

    def laid_out(self, images: Tensor) -> Tensor:
        return images.contiguous(memory_format=self.format)

    def epoch(self) -> float:
        """Train an epoch and return its mean loss."""
        recipe, count = self.recipe, len(self.images)
        model = copy.deepcopy(self.setting.model).to(memory_format=self.format).train()
        optimizer = torch.optim.SGD(model.parameters(), lr=recipe.learning_rate, momentum=recipe.momentum)
        total = 0.0
        for batch in torch.randperm(count, generator=torch.Generator().manual_seed(SEED)).split(recipe.batch_size):
            optimizer.zero_grad()
            loss = self.loss(model, self.augmented(self.images[batch]), self.labels[batch])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        return total / count

    def loss(self, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        logits, weight, heat = model(images), self.recipe.distill, self.recipe.temperature
        loss = F.cross_entropy(logits, labels)
        if not weight:
            return loss
        with torch.no_grad():
            answers = F.log_softmax(self.teacher(images) / heat, dim=1)
        softened = F.log_softmax(logits / heat, dim=1)
        distance = F.kl_div(softened, answers, reduction="batchmean", log_target=True)
        return (1 - weight) * loss + weight * heat**2 * distance

    def augmented(self, images: Tensor) -> Tensor:
        if self.recipe.flip:
            images = torch.where((torch.rand(len(images)) < 1 / 2)[:, None, None, None], images.flip(3), images)
        return self.laid_out(self.shifted(images, self.recipe.crop)) if self.recipe.crop else images

    def shifted(self, images: Tensor, border: int) -> Tensor:
        count, channels, height, width = images.shape
        padded = self.black.repeat(count, 1, height + 2 * border, width + 2 * border)
        padded[:, :, border:-border, border:-border] = images
        rows, columns = (torch.randint(2 * border + 1, (count, 1)) + torch.arange(side) for side in (height, width))
        places = torch.arange(count)[:, None, None, None], torch.arange(channels)[None, :, None, None]
        return padded[places[0], places[1], rows[:, None, :, None], columns[:, None, None, :]]


def line(found: dict[str, Any]) -> str:
    rates = ", ".join(f"{name} {rate:.0f}" for name, rate in found["images_per_s"].items())
    ratios = "; ".join(
        f"{of['median']:.2f} of the {name} by {clock} time ({of['low_quartile']:.2f}..{of['high_quartile']:.2f})"
        for name, clocked in found["ours_over"].items()
        for clock, of in clocked.items()
    )
    losses = " ".join(f"{loss:.4f}" for loss in found["losses"].values())
    return f"{found['recipe']}, batch {found['batch']}: images/s {rates}; {ratios}; losses {losses}"


if __name__ == "__main__":
    main()
