"""Spawns Python processes with a connection to each; not forked, which PyTorch and CUDA do not support."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from edgecheck.children import safe_environment

SPAWN = multiprocessing.get_context("spawn")


def spawned(
    target: Callable[..., None], arguments: Sequence[Any], daemon: bool = False, variables: Mapping[str, str] = {}
) -> tuple[SpawnProcess, Connection]:
    """Start a process that calls `target(connection, *arguments)`; return it with the other end of the connection.

    Args:
        target: a function of a module.
        arguments: picklable.
        daemon: whether Python ends it at exit. Such a process cannot start child processes.
        variables: environment variables of the process, in addition to those of this one.
    """
    here, there = SPAWN.Pipe()
    process = SPAWN.Process(target=target, args=(there, *arguments), daemon=daemon)
    # Ctrl-C is sent to all processes of a terminal. Only the process that ends the others may receive it.
    with safe_environment(variables):
        resource_tracker.ensure_running()  # otherwise it starts with the first process, and unblocks the signal
        heard = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, heard)
    there.close()  # so that the connection ends when the process dies
    return process, here


def ending(process: SpawnProcess) -> str:
    """Describe how a process that no longer answers has ended, such as `was ended by SIGKILL`."""
    process.join()  # wait for its exit code
    code = process.exitcode or 0
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
