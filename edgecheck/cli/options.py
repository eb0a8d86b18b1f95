"""Options that several commands share."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from edgecheck.cli import screen
from edgecheck.cli.verbosity import verbosity_options
from edgecheck.report import RENDERERS

FORMATS = tuple(RENDERERS)
# The other formats can only express verdicts.
LISTING_FORMATS = ("terminal", "json", "markdown")

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class NamedPath(click.Path):
    """A path that is not empty. An empty one would be the current folder: in scripts, of a variable that is not set."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path; an empty one is a usage error."""
        if value == "":
            self.fail("it is empty; name a path, or . for the current folder", param, ctx)
        return super().convert(value, param, ctx)


CONFIG = Path("edgecheck.yaml")  # what `edgecheck init` writes, and commands without CONFIG read


def found_config(context: click.Context, _argument: click.Parameter, path: Path | None) -> Path | None:
    """Return the configuration in this folder where none is named, and say so."""
    if path is not None or context.resilient_parsing:
        return path
    if not os.path.lexists(CONFIG):  # what is there, though no file, is refused by its reader, which says what it is
        raise click.UsageError(f"no CONFIG given, and no {CONFIG} in this folder: name one, or run `edgecheck init`")
    screen.inform(f"configuration: {CONFIG}")
    return CONFIG


_config: Decorator = click.argument("config", type=click.Path(path_type=Path), required=False, callback=found_config)


def config_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add CONFIG, by default edgecheck.yaml in this folder, and how much a command says while it works on it."""
    return _config(verbosity_options(command))


dry_run_option: Decorator = click.option(
    "--dry-run", is_flag=True, help="Print what would be made, measured and judged, then exit; nothing is written."
)


class _Format(click.Choice):
    """A format by name. A plugin, loaded later, may define it: `report.renderer` refuses unknown ones."""

    def convert(self, value: Any, _param: click.Parameter | None, _ctx: click.Context | None) -> str:
        return str(value)


def _format_option(kind: click.Choice, text: str) -> Decorator:
    return click.option("--format", "form", type=kind, default="terminal", show_default=True, help=text)


format_option = _format_option(_Format(FORMATS), "Format of the result on stdout, or one that a plugin registers.")
listing_format_option = _format_option(click.Choice(LISTING_FORMATS), "Format of the result on stdout.")
plugin_option: Decorator = click.option(
    "--plugin",
    "plugin_files",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Python file to load first; it may define metrics and formats. Repeatable.",
)


def load_plugins(files: Sequence[Path]) -> None:
    """Load the files of `plugin_option`; without any, the code that does is not imported."""
    if files:
        from edgecheck.plugins import load

        load(files)


images_option: Decorator = click.option(
    "--no-images",
    "images",
    flag_value=False,
    default=True,
    type=bool,
    help="Write report.html without test images and heatmaps, for data that may not leave the house.",
)

timings_option: Decorator = click.option(
    "--timings", is_flag=True, help="Print the duration of each stage on stderr at the end."
)


def command_line() -> list[str] | None:
    """Return the command line for reports; None if edgecheck was called from another program."""
    words = click.get_current_context().find_root().obj
    return ["edgecheck", *words] if isinstance(words, list) else None


executor_option: Decorator = click.option(
    "--executor",
    default="serial",
    show_default=True,
    metavar="serial|processes:N|ray[:ADDRESS]",
    help="Compute stages one after the other, up to N at once in processes of their own, or as tasks of Ray: on this "
    "machine, or on the cluster at HOST:PORT or `auto`. Latency is always sampled alone.",
)


def reuse_option(such_as: str) -> Decorator:
    """Return the option `--reuse`; the help text names what is usually reused."""
    return click.option(
        "--reuse",
        metavar="FOLDER",
        type=click.Path(path_type=Path),
        multiple=True,
        help=f"Run folder whose finished stages are reused, such as {such_as}. Repeatable.",
    )


def _in_utf8(_context: click.Context, _option: click.Parameter, path: Path | None) -> Path | None:
    """Refuse a path that ONNX Runtime could not open, before any work is done."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise click.BadParameter(f"{path}: is not UTF-8, the only encoding that ONNX Runtime opens") from None
    return path


def out_option(default: str | None, text: str) -> Decorator:
    """Return the `--out` option; `text` describes what is written there."""
    return click.option(
        "--out",
        type=NamedPath(),
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
    values = [float(part) for part in text.replace("x", ",").split(",")]
    if not all(map(math.isfinite, values)):
        raise ValueError(text)
    return values


def _whole(number: float) -> int:
    if number < 0 or not number.is_integer():
        raise ValueError(number)
    return int(number)


def json_object(_context: click.Context, _option: click.Parameter, text: str | None) -> dict[str, Any] | None:
    """Read `{"num_classes": 10}` as a dictionary."""
    if text is None:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise click.BadParameter(f'{text!r} is not a JSON object such as {{"num_classes": 10}}')
    return value


def json_objects(
    context: click.Context, option: click.Parameter, texts: tuple[str, ...]
) -> tuple[dict[str, Any] | None, ...]:
    """Read each of several texts as `json_object` does."""
    return tuple(json_object(context, option, text) for text in texts)
