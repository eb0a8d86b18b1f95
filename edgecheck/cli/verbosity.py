"""How much a command says on stderr: `--quiet` and `--verbose`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import click

Verbosity = Literal["quiet", "normal", "verbose"]
_KEY = "edgecheck.verbosity"


def verbosity_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `-q` and `-v` to a command; `verbosity` tells which was given."""
    # Eager: what other options say on stderr already depends on them.
    common: dict[str, Any] = {"is_flag": True, "expose_value": False, "is_eager": True, "callback": _note}
    text = "Print the name and the duration of each piece of work when it ends, in place of progress bars."
    command = click.option("-v", "--verbose", help=text, **common)(command)
    return click.option("-q", "--quiet", help="Print only the result, and errors.", **common)(command)


def _note(context: click.Context, option: click.Parameter, given: bool) -> None:
    if not given:
        return
    if context.meta.get(_KEY, option.name) != option.name:
        raise click.UsageError("--quiet and --verbose contradict each other: leave out one of them")
    context.meta[_KEY] = option.name


def verbosity() -> Verbosity:
    """Return what the command line asks for; `normal` outside a command."""
    context = click.get_current_context(silent=True)
    given: Verbosity = context.meta.get(_KEY, "normal") if context else "normal"
    return given
