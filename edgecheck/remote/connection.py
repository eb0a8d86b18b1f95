"""One connection to a host: the system's `ssh`, which runs Python there."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import signal
import subprocess
from collections import deque
from contextlib import suppress
from importlib import resources
from pathlib import Path
from threading import Thread, Timer
from typing import Any, BinaryIO

from attrs import frozen

from edgecheck.errors import DependencyError, MeasurementError
from edgecheck.remote import endings
from edgecheck.remote.names import Host
from edgecheck.text import plain

# The user's configuration decides everything else: keys, known hosts, ports, jumps, multiplexing.
OPTIONS = {
    "BatchMode": "yes",  # an error instead of a question
    "ConnectTimeout": "15",
    "ServerAliveInterval": "15",  # with the default of 3 lost answers, a dead connection is noticed after a minute
    "ClearAllForwardings": "yes",  # one that is already in use would end the connection
    "RemoteCommand": "none",
    "PermitLocalCommand": "no",
    "LogLevel": "ERROR",  # errors are explained; banners are not shown
}
ANSWER_S = 120.0  # a shell there that waits for input never starts Python
MOST_BYTES_OF_A_LINE = 1 << 20
CLOSE_S = 2.0
LINES_KEPT = 50
NOT_UNDERSTOOD = "the other end sends what edgecheck does not understand"
OLDEST_PYTHON = (3, 11)
DEFAULT_PYTHON = "python3"
THERE = "edgecheck.remote.there"

# Both are seen by the login shell there, which may be any: no single quotes, backslashes, `!` or line ends.
# Without a given interpreter, that of `edgecheck device install` is preferred.
_CHOOSE = (
    'd="${XDG_CACHE_HOME:-$HOME/.cache}/edgecheck/venv/bin/python"; p="$1"; shift; '
    f'if [ -z "$p" ]; then if [ -x "$d" ]; then p="$d"; else p={DEFAULT_PYTHON}; fi; fi; exec "$p" -c "$@"'
)
# Any Python understands it; only one that is new enough goes on.
_BOOT = (
    "import sys; v=sys.version_info; "
    'sys.stdout.write(chr(10)+sys.argv[1]+" %d.%d"%(v[0],v[1])+chr(10)); sys.stdout.flush(); '
    f"v[:2]<{OLDEST_PYTHON} and sys.exit(0); "
    "sys.path[:]=[p for p in sys.path if p]; "
    'exec(compile(sys.stdin.buffer.read(int(sys.argv[2])),"edgecheck","exec"))'
)
_LOAD = """\
import types
for name, source in MODULES.items():
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(source, name, "exec"), module.__dict__)
module.main(sys.argv[1])
"""


@frozen
class Access:
    """How hosts are reached.

    Attributes:
        python: the interpreter there; None for that of `edgecheck device install`, or else `python3`.
        ssh_config: a configuration file of `ssh` in the place of the user's.
    """

    python: str | None = None
    ssh_config: Path | None = None


class Message(dict[str, Any]):
    """A message of the other end; it may be any machine, and one that lacks a field is refused."""

    def __missing__(self, field: str) -> Any:
        raise MeasurementError(f"{NOT_UNDERSTOOD} (without {field})")


class Connection:
    """The host's end of a connection; a context manager that closes it.

    Args:
        host: the other end.
        access: how to reach it.
        modules: names of modules of `edgecheck.remote.there` to send; `main` of the last one answers.

    Raises:
        DependencyError: there is no `ssh` on this machine.
    """

    def __init__(self, host: Host, access: Access, *modules: str) -> None:
        self.host = host
        self.doing, self.resume = "connecting", "try again"  # for the message if the connection drops
        self._python = access.python or DEFAULT_PYTHON
        self._token = f"edgecheck-{secrets.token_hex(8)}"
        self._noise: deque[str] = deque(maxlen=LINES_KEPT)
        self._said: deque[str] = deque(maxlen=LINES_KEPT)
        self._begun = self._late = False
        source = _source(modules)
        try:
            self._process = subprocess.Popen(
                _command(host, access, self._token, len(source)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                process_group=0,  # Ctrl-C must not end it before this process has said what goes on there
            )
        except FileNotFoundError:
            raise DependencyError("ssh: not found; install the OpenSSH client") from None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._listener = Thread(target=_collect, args=(self._process.stderr, self._said), daemon=True)
        self._listener.start()
        self.write(source)

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_error: object) -> None:
        with suppress(BrokenPipeError):
            self._stdin.close()
        try:
            self._process.wait(CLOSE_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._listener.join(CLOSE_S)
        self._stdout.close()

    def kill(self) -> None:
        """End the connection, with what `ssh` started to reach the host; may be called from another thread."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)

    def begin(self) -> None:
        """Wait for Python to answer.

        Raises:
            MeasurementError: it does not, or is too old.
        """
        alarm = Timer(ANSWER_S, self._give_up)
        alarm.daemon = True
        alarm.start()
        try:
            major, minor = (int(part) for part in self._line().split("."))
        finally:
            alarm.cancel()
        self._begun = True
        if (major, minor) < OLDEST_PYTHON:
            least = ".".join(map(str, OLDEST_PYTHON))
            raise MeasurementError(
                f"{self.host}: {self._python} there is Python {major}.{minor}, and edgecheck needs {least} or newer; "
                "name another with --python"
            )

    def tell(self, **fields: Any) -> None:
        """Send a message."""
        self.write(json.dumps(fields).encode() + b"\n")

    def write(self, content: bytes) -> None:
        """Send bytes; if the other end has gone, the next answer says so."""
        with suppress(BrokenPipeError):
            self._stdin.write(content)
            self._stdin.flush()

    def hear(self) -> Message:
        """Return the next message.

        Raises:
            MeasurementError: the other end refuses, or the connection dropped.
        """
        try:
            message = Message(json.loads(self._line()))
        except ValueError:
            raise MeasurementError(f"{self.host}: {NOT_UNDERSTOOD}") from None
        if message["event"] == "refused":
            raise MeasurementError(f"{self.host}: {plain(message['text'])}")
        return message

    def read(self, n: int) -> bytes:
        """Return `n` bytes that a message announced.

        Raises:
            MeasurementError: the connection dropped before the last one.
        """
        content = self._stdout.read(n)
        if len(content) < n:
            raise self._ended()
        return content

    def _give_up(self) -> None:
        self._late = True
        self.kill()

    def _line(self) -> str:
        """Return the next line with the token, without it."""
        while line := self._stdout.readline(MOST_BYTES_OF_A_LINE):
            text = line.decode(errors="replace").rstrip("\r\n")
            if text.startswith(self._token) and line.endswith(b"\n"):
                return text[len(self._token) + 1 :]
            self._noise.append(text)
        raise self._ended()

    def _ended(self) -> MeasurementError:
        code = self._process.wait()
        self._listener.join(CLOSE_S)
        if self._late:
            return endings.late(self.host, ANSWER_S)
        if not self._begun:
            return endings.not_begun(self.host, self._python, code, self._said, self._noise)
        if 0 < code != endings.OF_SSH:
            return endings.crashed(self.host, self.doing, code, self._said)
        return endings.lost(self.host, self.doing, self.resume)


def _command(host: Host, access: Access, token: str, n: int) -> list[str]:
    """Return the command line of `ssh`."""
    there = ["exec", "sh", "-c", _CHOOSE, "edgecheck", access.python or "", _BOOT, token, str(n)]
    config = ["-F", str(access.ssh_config)] if access.ssh_config else []
    options = [word for name, value in OPTIONS.items() for word in ("-o", f"{name}={value}")]
    return ["ssh", "-T", *config, *options, "--", host.destination, shlex.join(there)]


def _source(modules: tuple[str, ...]) -> bytes:
    """Return Python source that defines modules, and calls `main` of the last one."""
    folder = resources.files(THERE)
    sources = {f"{THERE}.{name}": (folder / f"{name}.py").read_text(encoding="utf-8") for name in modules}
    return f"import sys\nMODULES = {sources!r}\n{_LOAD}".encode()


def _collect(stream: BinaryIO, lines: deque[str]) -> None:
    with stream:
        lines.extend(line.decode(errors="replace").rstrip() for line in stream)
