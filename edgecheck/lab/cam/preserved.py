"""Restore a user's network after it was used: modes, attributes, buffers."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

# The dicts in which a module keeps what it registers by name.
_REGISTERS = ("_parameters", "_buffers", "_modules")


@contextmanager
def as_found(model: nn.Module) -> Iterator[None]:
    """Put a model into eval mode; afterwards restore its modes, its attributes and the values of its buffers.

    Even in eval mode a forward may count, collect or average what it sees.
    """
    values = {buffer: buffer.detach().clone() for buffer in model.buffers()}
    with unchanged_attributes(model):
        model.eval()
        try:
            yield
        finally:
            with torch.no_grad():
                for buffer, value in values.items():
                    buffer.copy_(value)


@contextmanager
def unchanged_attributes(model: nn.Module) -> Iterator[None]:
    """Restore every module's attributes afterwards: tracing leaves proxies in those that `forward` assigns."""
    kept = [(module, _attributes(module)) for module in model.modules()]
    try:
        yield
    finally:
        for module, attributes in kept:
            module.__dict__.clear()
            module.__dict__.update(attributes)


def _attributes(module: nn.Module) -> dict[str, Any]:
    """Return the attributes of a module, its registers and plain collections as copies."""
    return {
        name: copy.copy(value) if name in _REGISTERS or type(value) in (list, dict, set) else value
        for name, value in module.__dict__.items()
    }
