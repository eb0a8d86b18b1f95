"""The line of the user's code that an error comes from."""

from __future__ import annotations

import os
import re
import traceback
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from edgecheck.errors import ModelError
from edgecheck.text import error_line, first_line

# Found but not imported: an export needs no torch-pruning, whose import takes a second or two.
_PACKAGES = tuple(find_spec(name) for name in ("torch", "torch_pruning", "onnxscript", __package__))
_TOOLS = tuple(str(Path(spec.origin).parent) + os.sep for spec in _PACKAGES if spec and spec.origin)
_STANDARD_LIBRARY = Path(os.__file__).parent


def output_of(model: nn.Module, example: Tensor) -> Any:
    """Return the output of a user's network for an example `(N, C, H, W)`.

    Raises:
        ModelError: the network raised; the message names the line.
    """
    try:
        return model(example)
    except Exception as error:  # whatever the user's code raises
        raise ModelError(
            f"{type(model).__name__} cannot run on an input {tuple(example.shape)}: {place_of(error)}"
        ) from error


def place_of(error: BaseException) -> str:
    """Return the first line of the error's message and, where there is one, the innermost line of the user's code."""
    message = first_line(error)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if is_the_users(frame.filename)]
    if not frames:
        return error_line(error)
    return f"{message} at {Path(frames[-1].filename).name}:{frames[-1].lineno} in {frames[-1].name}"


def place_in_stack(stack: str) -> str:
    """Return the innermost line of the user's code in a stack kept as text, `net.py:31 in forward`, or ""."""
    frames = re.findall(r'File "([^"]+)", line (\d+), in (\S+)', stack)
    return next((f"{Path(f).name}:{line} in {name}" for f, line, name in reversed(frames) if is_the_users(f)), "")


def root_cause(error: BaseException) -> BaseException:
    """Return the first error of the chain that `error` was raised from."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def is_the_users(file: str) -> bool:
    """Return whether a file belongs neither to edgecheck, nor to a tool, nor to the standard library."""
    return not file.startswith((*_TOOLS, "<")) and Path(file).parent != _STANDARD_LIBRARY
