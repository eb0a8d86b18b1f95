"""Methods added for the length of a test, and warnings as a report words them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from edgecheck.attribution.methods import MapFunction, register_method
from edgecheck.attribution.table import METHODS, Method, Need
from edgecheck.metrics import METRICS, metrics_of
from edgecheck.records import Diagnostic
from edgecheck.report.sentences.attribution import SENTENCES


@contextmanager
def registered(name: str, function: MapFunction, needs: Iterable[Need] = ("activations",)) -> Iterator[None]:
    """A method that is there as long as this lasts."""
    register_method(Method(name, name.title(), needs, "this test"), function)
    try:
        yield
    finally:
        for metric in metrics_of(name):
            del METRICS[metric.name]
        del METHODS[name]


def worded(warnings: Iterable[Diagnostic]) -> list[str]:
    return [SENTENCES[warning.id].format(**warning.fields) for warning in warnings]
