"""The order in memory in which a network gets its training images: channels last, where that works and is faster.

Preparing a batch of 32x32 images takes 0.3 % of a step of ResNet-20, and 1 % with augmentation: less than a copy of all
images as float32 or a thread that works ahead would be worth. Fused and foreach SGD and flushing of denormal numbers
made no difference that could be measured.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgecheck.config.plan import Preprocessing
from edgecheck.images import normalize
from edgecheck.lab.cam.preserved import as_found
from edgecheck.lab.compute import device_of

TRIED = 2  # images; BatchNorm cannot normalize a single value per channel


def inputs(images: NDArray[np.uint8], how: Preprocessing, channels_last: bool) -> Tensor:
    """Return uint8 `(N, H, W, C)` pixels as normalized float32 `(N, C, H, W)` in the given order in memory.

    Raises:
        ConfigError: `mean` or `std` has not one number per channel.
    """
    ordered = torch.from_numpy(normalize(images, how)).permute(0, 3, 1, 2)
    # A clone, since `contiguous` leaves the strides of images of one channel as they are, and kernels go by strides.
    return ordered if channels_last else ordered.clone(memory_format=torch.contiguous_format)


def takes_channels_last(model: nn.Module, shape: tuple[int, int, int]) -> bool:
    """Return whether a training step works on images in channels-last order; the network is left as it was.

    On a CPU with AVX-512, steps of 16 networks were then 0.99 to 1.52 times as fast, those of ResNet-20 1.2 times
    (`python -m tests.benchmarks.training`). They fail in a network that calls `view` on its feature maps. For GPUs,
    where nothing was measured, the answer is no.

    Args:
        model: the network.
        shape: channels, height and width of an image.
    """
    if device_of(model).type != "cpu":
        return False
    channels, height, width = shape
    images = torch.zeros(TRIED, height, width, channels).permute(0, 3, 1, 2)
    with as_found(model), torch.random.fork_rng(devices=[]), torch.enable_grad():
        model.train()
        try:
            answers = model(images).sum()
            if answers.requires_grad:  # else all is frozen, as a teacher may be
                answers.backward()
        except Exception:  # a user's forward can raise anything; what is wrong in either order, the first step reports
            return False
        finally:
            model.zero_grad()
    return True
