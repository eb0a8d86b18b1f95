"""Installed versions: what a report names, and what a stage of a run depends on."""

from __future__ import annotations

import functools
import platform
from collections.abc import Sequence
from importlib import metadata

from edgecheck import __version__

# Whatever moves a number if its version changes; torch and its kind only where they are installed.
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
# What stages depend on, by what they work with.
ARRAYS = ("numpy",)
IMAGES = (*ARRAYS, "opencv-python-headless", "opencv-python", "pillow", "scikit-learn", "torchvision")
TWINS = (*ARRAYS, "array-api-compat", "torch", "torchvision", "timm", "safetensors", "grad-cam")
TRAINING = (*IMAGES, *TWINS, "torch-pruning", "accelerate")
EXPORT = (*TWINS, "onnx", "onnxscript", "onnx-ir")
FILES = (*ARRAYS, "onnx", "onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml")


def reported() -> dict[str, str]:
    """Return the versions that a report names, without packages that are not installed. Imports none of them."""
    return {name: found for name in PACKAGES if (found := version(name))}


def depended_on(packages: Sequence[str]) -> dict[str, str]:
    """Return edgecheck's version, Python's, and those of `packages`; "" for what is not installed."""
    names = sorted(set(packages) - {"edgecheck"})
    return {"edgecheck": __version__, "python": platform.python_version(), **{name: version(name) for name in names}}


@functools.cache  # reading it takes milliseconds, and what is imported does not change
def version(package: str) -> str:
    """Return the installed version of a package, "" where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
