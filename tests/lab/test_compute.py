"""Where twins run. No GPU is needed: what would go wrong on one is looked for on PyTorch's `meta` device."""

import numpy as np
import pytest
import torch
from torch import nn

from edgecheck.attribution.engine import maps_of
from edgecheck.attribution.table import METHODS
from edgecheck.config.plan import Compute
from edgecheck.errors import DependencyError
from edgecheck.lab import compute
from edgecheck.lab.cam import ways
from edgecheck.lab.cam.split import split
from edgecheck.lab.cam.twin import TwinSource
from edgecheck.models.cifar10_cnn7 import cifar10_cnn7
from edgecheck.models.digits_cnn import digits_cnn
from edgecheck.models.resnet_cifar import resnet20

HAS_CUDA = torch.cuda.is_available()


@pytest.mark.skipif(HAS_CUDA, reason="this machine has a GPU")
def test_auto_is_the_cpu_and_cuda_is_refused_where_there_is_no_gpu():
    assert compute.choose(Compute()).type == "cpu"
    with pytest.raises(DependencyError, match=r"compute\.device: cuda.*say auto or cpu"):
        compute.choose(Compute(device="cuda"))


def test_auto_is_the_gpu_where_there_is_one_and_cpu_stays_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert compute.choose(Compute()).type == "cuda"
    assert compute.choose(Compute(device="cuda")).type == "cuda"
    assert compute.choose(Compute(device="cpu")).type == "cpu"


def test_several_processes_need_their_packages_and_a_gpu_each(monkeypatch):
    assert compute.choose(Compute(device="cpu", processes=2)).type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert compute.choose(Compute(processes=2)).type == "cuda"
    with pytest.raises(DependencyError, match=r"compute\.processes: 3 need a GPU each, but PyTorch finds 2"):
        compute.choose(Compute(processes=3))
    monkeypatch.setattr(compute, "MULTI", ("no_such_package",))
    with pytest.raises(DependencyError, match=r"needs no_such_package.*pip install 'edgecheck\[multi\]'"):
        compute.choose(Compute(processes=2))
    assert compute.choose(Compute()).type == "cuda"


def test_processes_share_the_threads(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 5)
    assert compute.share(nn.Linear(1, 1), 2) == Compute("cpu", threads=2)
    assert compute.share(nn.Linear(1, 1), 8) == Compute("cpu", threads=1)


def test_threads_hold_for_as_long_as_the_model_is_placed(monkeypatch):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        monkeypatch.setattr(compute, "usable_cores", lambda: 2)
        with compute.placed(nn.Linear(1, 1), Compute()):
            assert torch.get_num_threads() == 2  # the container grants no more
        with compute.placed(nn.Linear(1, 1), Compute(threads=3)):
            assert torch.get_num_threads() == 3  # the user knows better
        with pytest.raises(KeyError), compute.placed(nn.Linear(1, 1), Compute()):
            raise KeyError
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)


def test_no_tf32_meanwhile():
    before = torch.backends.cudnn.allow_tf32
    with compute.placed(nn.Linear(1, 1), Compute(device="cpu")):
        assert not torch.backends.cudnn.allow_tf32
    assert torch.backends.cudnn.allow_tf32 == before


@pytest.mark.parametrize(("make", "side"), [(resnet20, 32), (cifar10_cnn7, 32), (digits_cnn, 32)])
def test_the_engine_leaves_nothing_on_the_cpu(make, side):
    """Mixing devices is an error on `meta` as it is on a GPU, so a tensor made on the CPU by mistake shows here."""
    torch.manual_seed(0)
    model = make().eval()
    channels = next(m for m in model.modules() if isinstance(m, nn.Conv2d)).in_channels
    target = split(model, torch.randn(2, channels, side, side))
    source = TwinSource(model, target.split, target.name)
    for module in (model, target.split.body.body, target.split.graph):
        module.to("meta")
    # Which way holds is found out from values, and meta has none.
    source.ablation.checks_left = source.ablation.position_checks_left = 0
    for way in (*source.ablation.candidates, ways.by_copies(source.ablation.run)):
        source.ablation.candidates = [way]
        answer = source.answer(np.zeros((2, channels, side, side), np.float32))
        maps = maps_of(answer, np.zeros(2, np.int64), list(METHODS))
        assert all(stack.device.type == "meta" and stack.ndim == 3 for stack in maps.values())
        assert answer.logits.device.type == "meta"
        assert answer.evidence(np.zeros(2, np.int64)).input_gradients().device.type == "meta"


@pytest.mark.skipif(not HAS_CUDA, reason="no GPU here")
def test_the_gpu_gives_the_same_maps():
    from edgecheck.config.plan import Preprocessing
    from edgecheck.images import ImageSet
    from edgecheck.lab.cam import explain
    from edgecheck.score import cam

    torch.manual_seed(0)
    model = resnet20().eval()
    pixels = np.random.default_rng(0).integers(0, 256, (64, 32, 32, 3), dtype=np.uint8)
    data, found = ImageSet(pixels, np.zeros(64, np.int64), ("none",)), []
    for device in ("cpu", "cuda"):
        with compute.placed(model, Compute(device=device)):
            found.append(explain(model, data, Preprocessing(), ["grad-cam", "grad-cam++", "ablation-cam"]))
    for method, maps in found[0].maps.items():
        shown = [cam.heatmaps(side, (32, 32)) for side in (maps, found[1].maps[method])]
        assert np.abs(shown[0] - shown[1]).max() <= 1e-4
