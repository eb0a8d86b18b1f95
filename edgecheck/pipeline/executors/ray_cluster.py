"""Starts a Ray cluster on this machine, or connects to an existing one, and leaves nothing behind.

Everything about the process that Ray changes is put back: environment variables, the handler of SIGTERM, streams.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import logging
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType

from edgecheck.children import environment, safe_environment
from edgecheck.cores import usable_cores
from edgecheck.errors import DependencyError, Stopped, UsageError
from edgecheck.pipeline.executors import ray_entry
from edgecheck.text import error_line, plain

ANSWER_S = 20.0  # a cluster answers within 2 s; connecting to something else takes Ray more than 2 minutes
OBJECT_STORE_BYTES = (
    100 * 2**20
)  # on one machine only messages pass through it; by default Ray takes 30 % of the memory
LONGEST_FOLDER = 40  # characters; Ray appends 64 for its sockets, whose paths may have 107
ADDRESS = re.compile(r"auto|(\[[0-9a-fA-F:.]+\]|[^\s:/]+):[0-9]{1,5}")


def check_address(address: str) -> None:
    """Check the form of an address; "" is this machine.

    Raises:
        UsageError: Ray has no such addresses, or the driver cannot use it.
    """
    if address and not ADDRESS.fullmatch(address):
        hint = "; ray:// is for clients outside a cluster, run edgecheck on one of its nodes" if "//" in address else ""
        raise UsageError(f"--executor ray:{address}: write ray, ray:auto or ray:HOST:PORT{hint}")


def require() -> None:
    """Check that Ray is installed, without the second that importing it takes.

    Raises:
        DependencyError: it is not.
    """
    if importlib.util.find_spec("ray") is None:
        raise DependencyError("--executor ray: Ray is not installed; run: pip install 'edgecheck[ray]'")


@contextlib.contextmanager
def connected(address: str, threads: str) -> Iterator[ModuleType]:
    """Connect to a cluster, and yield the module `ray`; on exit, the tasks of this process are ended.

    Args:
        address: of an existing cluster; "" to start one on this machine, which ends on exit.
        threads: the value of OMP_NUM_THREADS in workers.

    Raises:
        DependencyError: Ray is not installed.
        UsageError: nothing answers at the address, or Ray refuses the connection.
    """
    if address:
        _check_answers(address)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(_temporary_folder()))
        ray = _start(address, threads, folder)
        stack.callback(_end, ray)
        yield ray


def _start(address: str, threads: str, folder: Path) -> ModuleType:
    # Without the second one, a task that asks for no GPU would see all of its node.
    variables = {"OMP_NUM_THREADS": threads, "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1"}
    common = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    # Ray makes the current folder the first place where workers look for modules.
    with _kept_process(), _environment(address, variables), contextlib.chdir(folder):
        ray = importlib.import_module("ray")
        ray.cloudpickle.register_pickle_by_value(ray_entry)
        if hidden := sys.modules.get("ray._private.worker"):
            # Otherwise it prints a paragraph on stdout for each worker that dies.
            hidden._worker_logs_enabled = False  # type: ignore[attr-defined]
        try:
            if address:
                ray.init(address=address, runtime_env={"env_vars": variables}, **common)
            else:
                ray.init(
                    address="local",
                    num_cpus=usable_cores(),
                    include_dashboard=False,
                    object_store_memory=OBJECT_STORE_BYTES,
                    _temp_dir=str(folder),
                    **common,
                )
        except SystemExit:  # Ray's own handler of SIGTERM, while it starts
            _end(ray)
            raise Stopped(signal.SIGTERM) from None
        except Exception as error:
            _end(ray)
            raise UsageError(f"--executor {named(address)}: Ray does not start: {plain(error_line(error))}") from error
    return ray


def named(address: str) -> str:
    """Return what the user wrote, `ray` or `ray:ADDRESS`."""
    return f"ray:{address}" if address else "ray"


def _end(ray: ModuleType) -> None:
    """End the tasks and a cluster that was started here."""
    # A signal repeated by `cli.stopping` would leave Ray's processes behind.
    heard = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    try:
        ray.shutdown()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, heard)


def _check_answers(address: str) -> None:
    """Ask a cluster for its state in another process: Ray's own attempt cannot be ended within this one."""
    words = [sys.executable, "-P", "-m", "ray.scripts.scripts", "status", "--address", address]
    try:
        asked = subprocess.run(words, capture_output=True, text=True, timeout=ANSWER_S, env=environment())
    except subprocess.TimeoutExpired:
        why = f"nothing answered within {ANSWER_S:.0f} s"
    else:
        if asked.returncode == 0:
            return
        lines = [line for line in asked.stderr.splitlines() if line and not line.startswith((" ", "["))]
        why = plain(lines[-1].partition(". ")[0]) if lines else f"ray status ended with exit code {asked.returncode}"
    raise UsageError(
        f"--executor {named(address)}: no Ray cluster there ({why}); start one with: ray start --head, or write "
        "--executor ray for this machine"
    )


@functools.cache  # Ray reads it once per process
def _token() -> str:
    return secrets.token_hex(32)


@contextlib.contextmanager
def _environment(address: str, variables: Mapping[str, str]) -> Iterator[None]:
    """Set the variables of Ray within this block, and put back all those that Ray itself changes."""
    before = dict(os.environ)
    own = {"RAY_USAGE_STATS_ENABLED": "0", **variables}
    if not address and "RAY_AUTH_MODE" not in os.environ:
        # Nobody else on this machine may send it tasks. A token of our own, or Ray writes one into the home folder.
        own |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": _token()}
    try:
        with safe_environment(own):
            yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)


@contextlib.contextmanager
def _kept_process() -> Iterator[None]:
    """Put back the handler of SIGTERM and the excepthook that Ray replaces."""
    hook = sys.excepthook
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        sys.excepthook = hook
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


@contextlib.contextmanager
def _temporary_folder() -> Iterator[str]:
    folder = tempfile.mkdtemp(prefix="edgecheck-ray-")
    if len(folder) > LONGEST_FOLDER:
        os.rmdir(folder)
        folder = tempfile.mkdtemp(prefix="edgecheck-ray-", dir="/tmp")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # Ray's processes may still be writing their logs
