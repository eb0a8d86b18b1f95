"""Says in one line how a connection ended: OpenSSH's messages are many, and their reasons few."""

from __future__ import annotations

import re
from collections.abc import Sequence

from edgecheck.errors import MeasurementError
from edgecheck.remote.names import Host
from edgecheck.text import plain

OF_SSH = 255  # the exit code of ssh itself; others are those of the command
NOT_EXECUTABLE, NOT_FOUND = 126, 127  # as shells report it
UNREACHABLE = (
    "Could not resolve hostname",
    "Connection refused",
    "timed out",
    "No route to host",
    "Network is unreachable",
    "Connection closed by",
    "Connection reset",
)


def not_begun(host: Host, python: str, code: int, said: Sequence[str], noise: Sequence[str]) -> MeasurementError:
    """Return the error of a connection on which Python never answered.

    Args:
        host: the other end.
        python: the interpreter there, as the user named it.
        code: the exit code of `ssh`.
        said: the lines of its stderr.
        noise: lines on stdout that are no messages.
    """
    if code == OF_SSH and (why := _of_ssh(host, said)):
        return MeasurementError(f"{host}: {why}")
    if code in (NOT_FOUND, NOT_EXECUTABLE):
        return MeasurementError(f"{host}: no {python} there; name the interpreter with --python")
    told = _last([*noise, *said])
    if code == OF_SSH:
        return MeasurementError(f"{host}: ssh ended the connection{told}; try `ssh {host}`")
    return MeasurementError(
        f"{host}: {python} did not start there (exit code {code}){told}; do start-up files of the shell there end it?"
    )


def late(host: Host, limit_s: float) -> MeasurementError:
    """Return the error of a host that accepts a connection and then does nothing."""
    return MeasurementError(
        f"{host}: no answer within {limit_s:.0f} s; do start-up files there wait for input? Try `ssh {host}`"
    )


def crashed(host: Host, doing: str, code: int, said: Sequence[str]) -> MeasurementError:
    """Return the error of a Python that ended on a connection that did not drop."""
    return MeasurementError(
        f"{host}: Python ended there while {doing} (exit code {code}){_last(said)}; the same command tries again"
    )


def lost(host: Host, doing: str, resume: str) -> MeasurementError:
    """Return the error of a connection that dropped."""
    return MeasurementError(f"{host}: connection lost while {doing}; {resume}")


def _last(lines: Sequence[str]) -> str:
    last = plain(next((line for line in reversed(lines) if line.strip()), ""))
    return f": {last}" if last else ""


def _of_ssh(host: Host, said: Sequence[str]) -> str | None:
    text = "\n".join(said)
    if "HOST IDENTIFICATION HAS CHANGED" in text:
        return (
            "its host key has changed: it was installed anew, or another machine answers; check which, and remove the "
            f"old key with `ssh-keygen -R {host.destination.rpartition('@')[2]}`"
        )
    if "Host key verification failed" in text:
        return f"its host key is unknown; connect once with `ssh {host}`, and compare the key"
    if denied := re.search(r"Permission denied \([^)]*\)", text):
        return f"asks for a password, or does not know your key ({denied[0]}); copy a key with `ssh-copy-id {host}`"
    reached = next((line for line in reversed(said) if any(sign in line for sign in UNREACHABLE)), None)
    if reached is not None:
        return f"cannot be reached ({plain(reached)})"
    return None
