"""Spawned Python processes with a connection to each: PyTorch and CUDA do not survive a fork."""

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
        daemon: whether Python ends it at exit. Such a process cannot start others.
        variables: environment variables of the process, beside those of this one.
    """
    here, there = SPAWN.Pipe()
    process = SPAWN.Process(target=target, args=(there, *arguments), daemon=daemon)
    # Ctrl-C goes to all processes of a terminal. Only the process that ends the others may receive it.
    with safe_environment(variables):
        resource_tracker.ensure_running()  # it would be started with the first process, and unblock the signal
        heard = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, heard)
    there.close()  # so that the process's death ends the connection
    return process, here


def ending(process: SpawnProcess) -> str:
    """Return in words how a process ended that no longer answers, such as `was ended by SIGKILL`."""
    process.join()  # its exit code comes a moment later
    code = process.exitcode or 0
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
