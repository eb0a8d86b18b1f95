"""Options that name labelled images and their preprocessing, for commands that take files made elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgecheck.cli.options import numbers, whole_numbers

if TYPE_CHECKING:
    from edgecheck.config.plan import Plan

_OPTIONS = (
    click.option(
        "--data",
        "source",
        metavar="DATA",
        help="digits, cifar10, stl10, an .npz of images and labels, or an image folder.",
    ),
    click.option("--root", metavar="FOLDER", help="Folder of the data set, for cifar10 and stl10."),
    click.option("--size", metavar="HxW", callback=whole_numbers, help="Resize images to HEIGHTxWIDTH."),
    click.option(
        "--range",
        "pixel_range",
        metavar="LOW,HIGH",
        callback=numbers,
        help="Range that pixels 0..255 are scaled to, such as 0,1.",
    ),
    click.option("--mean", metavar="NUMBERS", callback=numbers, help="Mean to subtract per channel, after --range."),
    click.option(
        "--std", metavar="NUMBERS", callback=numbers, help="Standard deviation to divide by per channel, after --range."
    ),
    click.option(
        "--classes",
        metavar="MAP",
        help="A class map file, or one output per class of the data, such as 0,217,482. [default: output i]",
    ),
    click.option("--limit", metavar="N", type=click.IntRange(1), help="Use only the first N images."),
)


def data_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def require_data(flags: dict[str, Any]) -> None:
    """Refuse a command line that names no images.

    Raises:
        UsageError: as said.
    """
    from edgecheck.errors import UsageError

    if not flags["config"] and not flags["source"]:
        raise UsageError("--data is missing: name labelled test images, or a --config that does")


def plan_of(flags: dict[str, Any], file: Path, further: dict[str, Any], criteria: Sequence[str] = ()) -> Plan:
    """Return the plan that the options ask for.

    Args:
        flags: their values, and `config`, a file below them.
        file: an ONNX file; a folder of images is resized to what it is fixed to.
        further: sections of other options, in the form of an edgecheck.yaml.
        criteria: replace those of the same metric and device.

    Raises:
        EdgecheckError: as `reader.load`.
        click.UsageError: options that contradict each other.
    """
    from edgecheck.config import reader

    if not flags["config"] and not flags["size"] and _data(flags["source"])["dataset"] == "folder":
        flags["size"] = _size_of(file)
    overrides = _given({**_sections(flags), **further})
    if flags["config"]:
        return reader.load(flags["config"], overrides, criteria)
    return reader.parse("", Path("command line"), {"name": file.name, **overrides}, criteria)


def _size_of(file: Path) -> list[int] | None:
    """Return the image size (H, W) if the file fixes it, so that --size is not needed."""
    from edgecheck.device.runtime.session import input_size

    _, height, width = input_size(file)
    return [height, width] if height and width else None


def _sections(flags: dict[str, Any]) -> dict[str, Any]:
    """Return the options in the form of an edgecheck.yaml."""
    data = {**_data(flags["source"]), "limit": flags["limit"], "classes": _classes(flags["classes"])}
    if flags["root"]:
        if "root" in data:
            raise click.UsageError("--root applies to a named data set, but --data is a path")
        data["root"] = flags["root"]
    names = {"size": "size", "pixel_range": "range", "mean": "mean", "std": "std"}
    return {"data": data, "preprocessing": {key: flags[flag] for flag, key in names.items()}}


def _given(sections: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the sections without what was not given."""
    given = {name: {k: v for k, v in section.items() if v is not None} for name, section in sections.items()}
    return {name: section for name, section in given.items() if section}


def _classes(text: str | None) -> str | list[int] | None:
    """Return output numbers, or the path of a class map file."""
    parts = (text or "").split(",")
    return [int(part) for part in parts] if all(part.strip().isdecimal() for part in parts) else text


def _data(source: str | None) -> dict[str, Any]:
    """Return the `data` section for a file, a folder or the name of a data set."""
    if source is None:
        return {}
    path = Path(source)
    if path.suffix.lower() == ".npz":
        return {"dataset": "npz", "root": source}
    if path.is_dir() or "/" in source:
        return {"dataset": "folder", "root": source}
    return {"dataset": source}
