"""`edgecheck doctor`: versions, execution providers, the CPU, and the commands that install what is missing."""

from __future__ import annotations

import os
from importlib import metadata

import onnxruntime

from edgecheck import __version__
from edgecheck.device.runtime import environment
from edgecheck.device.runtime.ort import Options
from edgecheck.records import to_dict
from edgecheck.report.format import describe_cpu
from edgecheck.report.listing import Listing

# The packages of each extra, under the extra's name in `pip install`.
EXTRAS = {
    "edgecheck": ("click", "numpy", "onnx", "onnxruntime", "rich", "ruamel.yaml", "cattrs", "jinja2"),
    "edgecheck[lab]": (
        *("torch", "torchvision", "grad-cam", "torch-pruning", "onnxscript", "safetensors"),
        *("scikit-learn", "opencv-python-headless", "matplotlib"),
    ),
    "edgecheck[timm]": ("timm",),
    "edgecheck[multi]": ("accelerate", "cloudpickle"),
    "edgecheck[ray]": ("ray",),
}
# The full build of OpenCV works as well as the headless one.
INSTEAD = {"opencv-python-headless": "opencv-python"}


def installation() -> Listing:
    """List the packages of each extra with their versions, and the command that installs each missing one."""
    versions = {extra: {package: _version(package) for package in packages} for extra, packages in EXTRAS.items()}
    rows = [
        [package, version or "missing", extra, "" if version else f"pip install '{extra}'"]
        for extra, packages in versions.items()
        for package, version in packages.items()
    ]
    machine = environment.describe(Options())
    providers = list(onnxruntime.get_available_providers())
    notes = [
        f"edgecheck {__version__}, Python {machine.python}, {machine.system}, {machine.machine}",
        f"CPU: {describe_cpu(machine)}, {machine.logical_cores} of {os.cpu_count()} cores usable",
        f"ONNX Runtime providers: {', '.join(providers) or 'none'} (edgecheck measures with {machine.provider})",
    ]
    data = {"tool": __version__, "environment": to_dict(machine), "providers": providers, "packages": versions}
    columns = ["package", "version", "needed for", "to install"]
    return Listing("edgecheck doctor", columns, rows, data, notes, text_columns=4)


def _version(package: str) -> str | None:
    for name in (package, INSTEAD.get(package, package)):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None
