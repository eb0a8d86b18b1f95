"""Options that name labelled images and their preprocessing, for commands that take files made elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgecheck.cli.options import numbers, whole_numbers

if TYPE_CHECKING:
    from edgecheck.config.plan import Plan

_OPTIONS = (
    click.option(
        "--data", "source", help="digits, cifar10, stl10, an .npz with images and labels, or an image folder."
    ),
    click.option("--root", help="Folder of the data set, for cifar10 and stl10."),
    click.option("--size", callback=whole_numbers, help="Resize images to HEIGHTxWIDTH."),
    click.option("--range", "pixel_range", callback=numbers, help="What pixels 0..255 become, such as 0,1 or 0,255."),
    click.option("--mean", callback=numbers, help="Per channel, after --range."),
    click.option("--std", callback=numbers, help="Per channel, after --range."),
    click.option(
        "--classes",
        help="A class map file, or one output per class of the data, such as 0,217,482. [default: output i]",
    ),
    click.option("--limit", type=click.IntRange(1), help="Use the first images only."),
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
        raise UsageError("--data is missing: name test images with labels, or a --config that does")


def plan_of(flags: dict[str, Any], file: Path, further: dict[str, Any]) -> Plan:
    """Return the plan that the options ask for.

    Args:
        flags: their values, and `config`, a file below them.
        file: an ONNX file; a folder of images is resized to what it is fixed to.
        further: sections of other options, in the form of an edgecheck.yaml.

    Raises:
        EdgecheckError: as `reader.load`.
        click.UsageError: options that contradict each other.
    """
    from edgecheck.config import reader

    if not flags["config"] and not flags["size"] and _data(flags["source"])["dataset"] == "folder":
        flags["size"] = _size_of(file)
    overrides = _given({**_sections(flags), **further})
    if flags["config"]:
        return reader.load(flags["config"], overrides)
    return reader.parse("", Path("command line"), overrides)


def _size_of(file: Path) -> list[int] | None:
    """Return the image size that a file is fixed to, so that nobody has to say it twice."""
    from edgecheck.device.runtime.session import input_size

    _, height, width = input_size(file)
    return [height, width] if height and width else None


def _sections(flags: dict[str, Any]) -> dict[str, Any]:
    """Return the options in the form of an edgecheck.yaml."""
    data = {**_data(flags["source"]), "limit": flags["limit"], "classes": _classes(flags["classes"])}
    if flags["root"]:
        if "root" in data:
            raise click.UsageError("--root goes with a named data set; --data names a path already")
        data["root"] = flags["root"]
    names = {"size": "size", "pixel_range": "range", "mean": "mean", "std": "std"}
    return {"data": data, "preprocessing": {key: flags[flag] for flag, key in names.items()}}


def _given(sections: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the sections without what was not given."""
    given = {name: {k: v for k, v in section.items() if v is not None} for name, section in sections.items()}
    return {name: section for name, section in given.items() if section}


def _classes(text: str | None) -> str | list[int] | None:
    """Tell numbers of outputs from the name of a class map file."""
    parts = (text or "").split(",")
    return [int(part) for part in parts] if all(part.strip().isdecimal() for part in parts) else text


def _data(source: str | None) -> dict[str, Any]:
    """Tell a file and a folder from the name of a data set."""
    if source is None:
        return {}
    path = Path(source)
    if path.suffix.lower() == ".npz":
        return {"dataset": "npz", "root": source}
    if path.is_dir() or "/" in source:
        return {"dataset": "folder", "root": source}
    return {"dataset": source}
