"""The console command: runs the command line in a child process, so that only edgecheck decides the exit code.

The model's code may call `os._exit(0)`, native code may crash, and the system may kill a process that needs too much
memory. The child reports its exit code through a pipe. If it ends without a report, the parent exits with 3 and says
why.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import NoReturn

import click

from edgecheck import cli
from edgecheck.children import end_with_parent
from edgecheck.cli import streams
from edgecheck.cli.stopping import REQUEST
from edgecheck.errors import MeasurementError, Stopped

KEPT = "finished stages are kept"


def main() -> None:
    """Run the command line in a child process, and exit with the code that it reports."""
    # Without a command there are only --help and --version, which run no user code.
    if not hasattr(os, "fork") or all(word.startswith("-") for word in sys.argv[1:]):
        cli.main()
    streams.open_all()  # or the pipe would take the number of a closed one
    parent, heard = os.getpid(), _heard()
    read, write = os.pipe()
    signal.pthread_sigmask(signal.SIG_BLOCK, heard)  # until both have their handlers
    child = os.fork()
    if child == 0:
        end_with_parent(parent)
        _work(write, heard)
    _handle(heard, lambda number, _: _pass_on(child, number))
    _, status = os.waitpid(child, 0)
    # Never until the end of file: this process and what the code of the model started may hold the other end.
    os.set_blocking(read, False)
    with contextlib.suppress(BlockingIOError):
        sys.exit(os.read(read, 1)[0])
    sys.exit(_explain(os.waitstatus_to_exitcode(status)))


def _heard() -> list[signal.Signals]:
    """Return the signals that ask for an end, except those that are ignored here, as SIGHUP under `nohup`."""
    return [n for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) != signal.SIG_IGN]


def _handle(numbers: list[signal.Signals], handler: signal._HANDLER) -> None:
    for number in numbers:
        signal.signal(number, handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)


def _pass_on(child: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, number)


def _work(report: int, heard: list[signal.Signals]) -> NoReturn:
    code = MeasurementError.exit_code
    try:
        _handle(heard, REQUEST)
        cli.main()
    except SystemExit as stop:
        code = int(stop.code or 0)
    except (KeyboardInterrupt, Stopped) as stop:  # before the command line was even parsed
        code = stop.exit_code if isinstance(stop, Stopped) else cli.INTERRUPTED
    REQUEST.done()
    with contextlib.suppress(OSError):  # the model's code may have closed it; then the parent says so
        os.write(report, bytes([code]))
    sys.exit(code)


def _explain(ended: int) -> int:
    """Say how a child ended that decided nothing; return the exit code. `ended` is negative for a signal."""
    code = MeasurementError.exit_code
    if ended >= 0:
        text = f"the code of the model or of a plugin ended the program (os._exit with {ended}); nothing was decided"
    elif -ended in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        text, code = f"stopped by {signal.Signals(-ended).name}; {KEPT}", 128 - ended
    elif -ended == signal.SIGKILL:
        text = f"killed by SIGKILL, perhaps because memory ran out: set data.limit or a smaller batch; {KEPT}"
    else:
        name = signal.Signals(-ended).name
        text = f"crashed with {name} in native code (of PyTorch, ONNX Runtime or the model); {KEPT}"
    with contextlib.suppress(OSError):
        click.echo(f"edgecheck: {text}", err=True)
    return code
