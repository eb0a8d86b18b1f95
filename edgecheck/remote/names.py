"""Checks the names of hosts and interpreters before they reach `ssh` or a shell."""

from __future__ import annotations

import re

from attrs import frozen

from edgecheck.errors import UsageError
from edgecheck.text import visible

# No name begins with a hyphen, which `ssh` would read as an option, or holds what a shell or a ProxyCommand of the
# user's configuration could expand.
USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]*")
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
IPV6 = re.compile(r"[0-9A-Fa-f]*:[0-9A-Fa-f:.]+(%[A-Za-z0-9_.-]+)?")
MOST_CHARACTERS = 255  # of a name in the domain name system
PUNCTUATION = "._+-/~@,: "


@frozen
class Host:
    """A machine as the user's OpenSSH knows it: `board`, `user@board`, or an alias of `~/.ssh/config`."""

    destination: str

    def __str__(self) -> str:
        return self.destination


def host(text: str) -> Host:
    """Return a host by its name on the command line.

    Raises:
        UsageError: it is none that `ssh` may be called with.
    """
    user, at, name = text.rpartition("@")
    known = NAME.fullmatch(name) or IPV6.fullmatch(name)
    if len(text) > MOST_CHARACTERS or not known or (at and not USER.fullmatch(user)):
        raise UsageError(
            f"--host {visible(text)!r}: expected [user@]host of letters, digits, dots, hyphens and underscores that "
            "does not begin with a hyphen; ports and the like belong in ~/.ssh/config"
        )
    return Host(text)


def interpreter(text: str, option: str = "--python") -> str:
    """Return the path or name of a program or folder there; one below the home folder is made relative to it.

    Raises:
        UsageError: it holds characters that a shell may expand, or begins with a hyphen.
    """
    path = f"./{text[2:]}" if text.startswith("~/") else text
    plain = all(sign.isalnum() or sign in PUNCTUATION for sign in path)
    if not path.strip() or path.startswith(("-", "~")) or not plain:
        raise UsageError(
            f"{option} {visible(text)!r}: expected a path or name there, of letters, digits and {PUNCTUATION.strip()}"
        )
    return path
