"""ONNX files exported from PyTorch modules, with the module's own count of MACs."""

import warnings
from pathlib import Path

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import edgecheck.lab  # noqa: F401  (makes torchvision importable beside a CPU-only torch)


def macs(module: nn.Module, shape: tuple[int, int, int]) -> int:
    """Return what torch counts for one image, halved: it counts FLOPs."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module.eval()(torch.zeros(1, *shape))
    return counter.get_total_flops() // 2


def export(module: nn.Module, path: Path, shape: tuple[int, int, int], dynamo: bool = False) -> Path:
    """Write a module with a free batch; BatchNorm gets random statistics, or the exporter merges equal biases."""
    torch.manual_seed(0)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean)
            nn.init.uniform_(layer.running_var, 0.5, 2)
    batch = (
        {"dynamic_shapes": ({0: torch.export.Dim("batch")},)} if dynamo else {"dynamic_axes": {"input": {0: "batch"}}}
    )
    single = {"external_data": False, "verbose": False} if dynamo else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the older exporter says at length that it is the older one
        torch.onnx.export(
            module.eval(), (torch.zeros(2, *shape),), str(path), input_names=["input"], dynamo=dynamo, **batch, **single
        )
    return path
