"""edgecheck: decide whether a compressed image classifier may be deployed to a device."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

__all__ = ["load_twin"]
__version__ = "0.1.0"

# ONNX Runtime 1.31 sends usage data, and keeps an id of the machine in the user's cache folder, as soon as it is
# imported. Models and devices under test are nobody else's business, and the network would disturb latency.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def load_twin(folder: str | os.PathLike[str]) -> nn.Module:
    """Load the PyTorch twin of a variant from its folder in a run, such as `run/l1-filters-0.40`, in eval mode.

    Float variants, the control and the baseline have twins; quantized variants do not. If the file of the model factory
    has changed since the run, this function warns.

    Raises:
        ConfigError: the factory is unknown.
        DependencyError: PyTorch is not installed.
        ModelError: the folder has no twin, the weights have changed, the factory's file is missing, or its network
            does not fit the weights.
    """
    from pathlib import Path

    from edgecheck.pipeline import twins

    return twins.load(Path(folder))
