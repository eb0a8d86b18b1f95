"""Installed versions, for reports and for the cache keys of stages."""

from __future__ import annotations

import functools
import platform
from collections.abc import Sequence
from importlib import metadata

from edgecheck import __version__

# Packages whose version can change results; PyTorch and related packages only if installed.
PACKAGES = (
    "edgecheck",
    "numpy",
    "onnx",
    "onnxruntime",
    "torch",
    "torchvision",
    "torch-pruning",
    "onnxscript",
    "grad-cam",
)
# The packages that stages depend on, by their kind of work.
ARRAYS = ("numpy",)
CORRUPTIONS = (*ARRAYS, "opencv-python-headless", "opencv-python")
IMAGES = (*CORRUPTIONS, "pillow", "scikit-learn", "torchvision")
TWINS = (*ARRAYS, "array-api-compat", "torch", "torchvision", "timm", "safetensors", "grad-cam")
TRAINING = (*IMAGES, *TWINS, "torch-pruning", "accelerate")
EXPORT = (*TWINS, "onnx", "onnxscript", "onnx-ir")
FILES = (*ARRAYS, "onnx", "onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml")


def reported() -> dict[str, str]:
    """Return the versions that a report names, without packages that are not installed. Imports none of them."""
    return {name: installed for name in PACKAGES if (installed := version(name))}


def depended_on(packages: Sequence[str]) -> dict[str, str]:
    """Return the versions of edgecheck, Python and `packages`; "" if not installed."""
    names = sorted(set(packages) - {"edgecheck"})
    return {"edgecheck": __version__, "python": platform.python_version(), **{name: version(name) for name in names}}


@functools.cache  # reading it takes milliseconds, and what is imported does not change
def version(package: str) -> str:
    """Return the installed version of a package; "" if it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
