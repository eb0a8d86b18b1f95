"""The functions that make the maps, one file per method; `edgecheck.attribution.table` declares the methods."""

from __future__ import annotations

from collections.abc import Callable

from attrs import evolve

from edgecheck.attribution.evidence import Array, Evidence
from edgecheck.attribution.table import METHODS, Method
from edgecheck.metrics import METRICS, metrics_of
from edgecheck.registry import lookup, register, resolve

MapFunction = Callable[[Evidence], Array]
"""Returns one map per image: `(N, h, w)` at the resolution of the target layer or `(N, H, W)` at that of the inputs."""


def register_method(method: Method, function: MapFunction) -> None:
    """Register a method for `explain.methods`, with its metrics, such as `sp2ps.NAME`.

    Args:
        method: the declaration.
        function: computes maps from evidence, in the array namespace of any source that it is used with.

    Raises:
        ValueError: a method of this name is already registered.
    """
    register(METHODS, method.name)(evolve(method, implementation=function))
    for metric in metrics_of(method.name):
        register(METRICS, metric.name)(metric)


def function_of(name: str) -> MapFunction:
    """Return the function of a method.

    Raises:
        ConfigError: no method of this name; the message lists the known ones.
    """
    return resolve(lookup(METHODS, name, "CAM method").implementation)
