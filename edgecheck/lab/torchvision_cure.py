"""Let `import torchvision` succeed where its compiled library does not fit the installed torch.

torchvision's wheels on the package index are linked against CUDA builds of torch. Beside a CPU-only torch the library
cannot load, and the import ends in "operator torchvision::nms does not exist", because torchvision describes two
operators to torch that only the library would have declared. The import needs nothing but their
declarations; classifiers never call them.
"""

from __future__ import annotations

import importlib.util
from importlib.machinery import PathFinder
from pathlib import Path

import torch

_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_OPERATORS = ("nms", "qnms")

# torch forgets a declaration as soon as the Library object that made it is collected.
_declarations: torch.library.Library | None = None


def cure() -> bool:
    """Declare the operators if torchvision is installed but its compiled library cannot load. Calls may be repeated.

    Returns:
        Whether edgecheck declared them.
    """
    global _declarations
    if _declarations is None and not _declared("nms") and not _library_loads():
        _declarations = torch.library.Library("torchvision", "FRAGMENT")
        for operator in _OPERATORS:
            if not _declared(operator):
                _declarations.define(operator + _SIGNATURE)
    return _declarations is not None


def _declared(operator: str) -> bool:
    return hasattr(torch.ops.torchvision, operator)


def _library_loads() -> bool:
    """Return whether torchvision's library loads, or torchvision is not installed."""
    package = importlib.util.find_spec("torchvision")
    if package is None or package.origin is None:
        return True
    library = PathFinder.find_spec("_C", [str(Path(package.origin).parent)])
    if library is None or library.origin is None:
        return False
    try:
        torch.ops.load_library(library.origin)
    except (ImportError, OSError):
        return False
    return True


cure()
