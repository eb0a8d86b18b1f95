"""Options that several commands share."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

FORMATS = ("terminal", "json", "markdown", "junit")
# JUnit is for verdicts.
LISTING_FORMATS = FORMATS[:-1]

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

config_argument: Decorator = click.argument("config", type=click.Path(path_type=Path))


def _format_option(formats: Sequence[str]) -> Decorator:
    return click.option(
        "--format",
        "form",
        type=click.Choice(formats),
        default="terminal",
        show_default=True,
        help="Format of the result on stdout.",
    )


format_option = _format_option(FORMATS)
listing_format_option = _format_option(LISTING_FORMATS)

timings_option: Decorator = click.option(
    "--timings", is_flag=True, help="Print at the end, on stderr, how long each stage took."
)


def _in_utf8(_context: click.Context, _option: click.Parameter, path: Path | None) -> Path | None:
    """Refuse before any work a name under which ONNX Runtime could not open its files."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise click.BadParameter(f"{path}: is not UTF-8, the only encoding that ONNX Runtime opens") from None
    return path


def out_option(default: str | None, text: str) -> Decorator:
    """Return the `--out` option; `text` says what is left there."""
    return click.option(
        "--out",
        type=click.Path(path_type=Path),
        callback=_in_utf8,
        default=default,
        show_default=default is not None,
        help=text,
    )


def numbers(_context: click.Context, _option: click.Parameter, text: str | None) -> list[float] | None:
    """Read `0.485,0.456,0.406` as numbers."""
    try:
        return None if text is None else _read(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a list of numbers such as 0.485,0.456,0.406") from None


def words(_context: click.Context, _option: click.Parameter, text: str | None) -> list[str] | None:
    """Read `l1,random` as a list of words."""
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


def whole_numbers(_context: click.Context, _option: click.Parameter, text: str | None) -> list[int] | None:
    """Read `3,32,32` or `32x32` as whole numbers."""
    try:
        return None if text is None else [_whole(number) for number in _read(text)]
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a list of whole numbers such as 3,32,32") from None


def _read(text: str) -> list[float]:
    found = [float(part) for part in text.replace("x", ",").split(",")]
    if not all(map(math.isfinite, found)):
        raise ValueError(text)
    return found


def _whole(number: float) -> int:
    if number < 0 or not number.is_integer():
        raise ValueError(number)
    return int(number)


def json_object(_context: click.Context, _option: click.Parameter, text: str | None) -> dict[str, Any] | None:
    """Read `{"num_classes": 10}` as a dictionary."""
    if text is None:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise click.BadParameter(f'{text!r} is not a JSON object such as {{"num_classes": 10}}')
    return found
