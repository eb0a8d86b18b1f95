"""Options that several commands share."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

FORMATS = ("terminal", "json", "markdown", "junit")

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

config_argument: Decorator = click.argument("config", type=click.Path(path_type=Path))

format_option: Decorator = click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="terminal",
    show_default=True,
    help="Of the result on stdout.",
)

timings_option: Decorator = click.option(
    "--timings", is_flag=True, help="Print at the end, on stderr, how long each stage took."
)


def out_option(default: str | None, text: str) -> Decorator:
    """Return the `--out` option; `text` says what is left there."""
    return click.option(
        "--out", type=click.Path(path_type=Path), default=default, show_default=default is not None, help=text
    )


def numbers(_context: click.Context, _option: click.Parameter, text: str | None) -> list[float] | None:
    """Read `0.485,0.456,0.406` as numbers."""
    if text is None:
        return None
    try:
        found = [float(part) for part in text.replace("x", ",").split(",")]
        if not all(map(math.isfinite, found)):
            raise ValueError
        return found
    except ValueError:
        raise click.BadParameter(f"{text!r} is no list of numbers such as 0.485,0.456,0.406") from None


def words(_context: click.Context, _option: click.Parameter, text: str | None) -> list[str] | None:
    """Read `l1,random` as a list of words."""
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


def whole_numbers(context: click.Context, option: click.Parameter, text: str | None) -> list[int] | None:
    """Read `3,32,32` or `32x32` as whole numbers."""
    found = numbers(context, option, text)
    if found is None:
        return None
    if any(number != int(number) or number < 0 for number in found):
        raise click.BadParameter(f"{text!r} is no list of whole numbers such as 3,32,32")
    return [int(number) for number in found]
