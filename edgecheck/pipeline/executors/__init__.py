"""Executors, selected by `--executor NAME` or `NAME:ARGUMENT`: one file each, and one line each in the table below."""

from __future__ import annotations

from collections.abc import Callable

from edgecheck.pipeline.executors.processes import Processes
from edgecheck.pipeline.executors.ray import Ray
from edgecheck.pipeline.executors.serial import Serial
from edgecheck.pipeline.work import Executor
from edgecheck.progress import Watcher
from edgecheck.registry import lookup, register

Factory = Callable[[str, Watcher], Executor]
"""Receives the text after the colon, or ""; raises UsageError if it is invalid."""

EXECUTORS: dict[str, Factory] = {}
register(EXECUTORS, "serial")(Serial.of)
register(EXECUTORS, "processes")(Processes.of)
register(EXECUTORS, "ray")(Ray.of)


def executor(text: str, progress: Watcher) -> Executor:
    """Return the executor that `serial`, `processes:4` or `ray` names.

    Raises:
        ConfigError: unknown name.
        UsageError: the text after the colon is invalid.
    """
    name, _, argument = text.partition(":")
    return lookup(EXECUTORS, name, "executor")(argument, progress)
