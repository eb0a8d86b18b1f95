"""Where networks run: on the GPU if there is one, and on no more cores than this process may use."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from edgecheck.config.plan import Compute
from edgecheck.cores import usable_cores
from edgecheck.errors import DependencyError

MULTI = ("accelerate", "cloudpickle")  # the packages of the extra by this name


def choose(options: Compute) -> torch.device:
    """Return the device that `compute.device` means on this machine.

    Raises:
        DependencyError: CUDA is requested but not available, there are fewer GPUs than processes, or a package that
            several processes need is missing.
    """
    available = torch.cuda.is_available()
    if options.device == "cuda" and not available:
        built = "finds no GPU it can use" if torch.version.cuda else "is a build without CUDA"
        raise DependencyError(f"compute.device: cuda, but PyTorch {torch.__version__} {built}; say auto or cpu")
    device = torch.device("cuda" if available and options.device != "cpu" else "cpu")
    if options.processes > 1:
        _check_processes(options.processes, device)
    return device


def share(model: nn.Module, processes: int) -> Compute:
    """Return where each of several processes trains: on the kind of device of the model, with its share of threads."""
    threads = max(1, torch.get_num_threads() // processes)
    return Compute("cuda" if device_of(model).type == "cuda" else "cpu", threads)


@contextmanager
def placed(model: nn.Module, options: Compute) -> Iterator[nn.Module]:
    """Move a model to the chosen device, and back to the CPU on exit.

    Meanwhile TF32 is off: by default PyTorch lets a GPU round the factors of a convolution to 10 bits, which changes
    heatmaps by 1e-3. Threads are limited to the cores that a container grants.

    Raises:
        DependencyError: see `choose`.
    """
    device, threads = choose(options), torch.get_num_threads()
    torch.set_num_threads(options.threads or min(threads, usable_cores()))
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            yield model.to(device)
    finally:
        model.to("cpu")
        torch.set_num_threads(threads)


def describe(device: torch.device) -> str:
    """Return the name of a device: "cpu", or that of the GPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def device_of(model: nn.Module) -> torch.device:
    """Return the device of a model's parameters."""
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


def _check_processes(processes: int, device: torch.device) -> None:
    for package in MULTI:
        if importlib.util.find_spec(package) is None:
            raise DependencyError(
                f"compute.processes: {processes} needs {package}, which is not installed; "
                "run: pip install 'edgecheck[multi]'"
            )
    if device.type == "cuda" and torch.cuda.device_count() < processes:
        raise DependencyError(
            f"compute.processes: {processes} need a GPU each, but PyTorch finds {torch.cuda.device_count()}"
        )
