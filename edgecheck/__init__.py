"""edgecheck: may this compressed image classifier go onto that device?"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os

    from torch import nn

__all__ = ["load_twin"]
__version__ = "0.1.0"


def load_twin(folder: str | os.PathLike[str]) -> nn.Module:
    """Return the PyTorch twin of a variant of a run, such as `run/l1-filters-0.40`, in eval mode.

    The folder is that of a float variant, of the control or of the baseline: a quantized file has no twin of its own.
    A warning says where the file of the factory has changed since.

    Raises:
        ConfigError: a factory that this edgecheck does not know.
        DependencyError: PyTorch is not installed.
        ModelError: no twin there, weights that are not the ones it was written for, or a factory that is not there or
            makes another network.
    """
    from pathlib import Path

    from edgecheck.pipeline import twins

    return twins.load(Path(folder))
