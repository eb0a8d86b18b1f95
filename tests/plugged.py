"""Plugins for a while: what they register in the tables of this process is taken away again."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import edgecheck.device.explain.source
import edgecheck.lab.cam.twin  # noqa: F401  (these two are in SOURCES only once they are imported)
from edgecheck import plugins
from edgecheck.attribution.source import SOURCES
from edgecheck.attribution.table import METHODS
from edgecheck.corruption.table import KINDS
from edgecheck.metrics import METRICS
from edgecheck.pipeline.executors import EXECUTORS
from edgecheck.pruning.criteria import CRITERIA
from edgecheck.pruning.structures import STRUCTURES
from edgecheck.report import RENDERERS
from edgecheck.score.predictions import MEASURES
from edgecheck.steps import STEPS

TABLES = (CRITERIA, STRUCTURES, METHODS, METRICS, MEASURES, STEPS, SOURCES, EXECUTORS, RENDERERS, KINDS)


@contextmanager
def no_plugins_yet() -> Iterator[None]:
    """Within this block, no plugin has been imported but those that it imports."""
    before = [dict(table) for table in TABLES]
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(plugins, "_LOADED", {})
            patch.setattr(plugins, "_HELPERS", set())
            yield
    finally:
        for table, kept in zip(TABLES, before, strict=True):
            table.clear()
            table.update(kept)
