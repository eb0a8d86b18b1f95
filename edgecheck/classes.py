"""Maps the classes of the data to outputs of a network, by `data.classes` or a class map file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from edgecheck.errors import ConfigError, DataError, InputError
from edgecheck.registry import nearest
from edgecheck.text import first_line, listed

FORMS = 'write one name per line in the order of the outputs, or JSON such as {"0": ["n01440764", "tench"], ...}'
MOST_BYTES = 16 << 20  # of a class map; ImageNet's has 35 kB
SHOWN = 5  # number of outputs listed in a description

Entry = int | list[str]
"""The number of an output, or all names of the output at this index."""


@frozen
class Selection:
    """The output of the network for each class of the data; `total` is the number of outputs, if known."""

    outputs: tuple[int, ...]
    total: int | None = None

    def numbers(self, classes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the outputs of classes `(N,)`."""
        return np.array(self.outputs, dtype=np.int64)[classes]

    def places(self, outputs: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the classes of selected outputs `(N,)`: the inverse of `numbers`."""
        table = np.zeros(max(self.outputs) + 1, dtype=np.int64)
        table[list(self.outputs)] = np.arange(len(self.outputs))
        return table[outputs]

    def check(self, where: str, outputs: int) -> None:
        """Check that a network with this number of outputs has the selected ones.

        Raises:
            DataError: it has fewer outputs, or another number than the map names.
        """
        if self.total is not None and self.total != outputs:
            raise DataError(f"{where}: it has {outputs} outputs, but data.classes names {self.total}")
        if max(self.outputs) >= outputs:
            raise DataError(f"{where}: it has {outputs} outputs, but data.classes asks for output {max(self.outputs)}")

    def describe(self) -> str:
        """Return the selection in words."""
        return f"classes are outputs {listed(self.outputs, SHOWN)}{f' of {self.total:,}' if self.total else ''}"


def read_map(path: Path) -> list[Entry]:
    """Return the names of each output from a class map file.

    Raises:
        InputError: the file is not a class map.
    """
    if not path.is_file() or path.stat().st_size > MOST_BYTES:
        raise InputError(f"{path}: data.classes: no class map file (a regular file of at most 16 MiB); {FORMS}")
    try:
        text = path.read_text(encoding="utf-8-sig")
        entries = _of_json(json.loads(text)) if path.suffix.lower() == ".json" else text.rstrip().splitlines()
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a class map ({first_line(error)}); {FORMS}") from None
    names: list[Any] = [[entry] if isinstance(entry, str) else entry for entry in entries]
    if not names or not all(map(_is_named, names)):
        raise InputError(f"{path}: not a class map (an output without a name, or none at all); {FORMS}")
    return [[name.strip() for name in entry] for entry in names]


def select(entries: Sequence[Entry], classes: Sequence[str]) -> Selection | None:
    """Return the output for each class: by its place in a list of numbers, by its name in a list of names.

    Raises:
        ConfigError: numbers and names are mixed, there is not one output per class, or the name of a class belongs to
            no output or to several.
    """
    numbers = [entry for entry in entries if isinstance(entry, int)]
    names = [entry for entry in entries if not isinstance(entry, int)]
    if numbers and names:
        raise ConfigError("data.classes mixes numbers and names: give the number of an output per class, or all names")
    if numbers:
        return _by_number(numbers, classes)
    return _by_name(names, classes) if names else None


def _by_number(numbers: Sequence[int], classes: Sequence[str]) -> Selection:
    if len(numbers) != len(classes):
        raise ConfigError(
            f"data.classes names {len(numbers)} outputs, but the data has {len(classes)} classes "
            f"({listed(classes, SHOWN)}): give one output per class, in this order"
        )
    if min(numbers) < 0 or len(set(numbers)) < len(numbers):
        raise ConfigError("data.classes: outputs count from 0, and each can stand for one class only")
    return Selection(tuple(numbers))


def _by_name(names: Sequence[Sequence[str]], classes: Sequence[str]) -> Selection:
    places: dict[str, list[int]] = {}
    for place, aliases in enumerate(names):
        for alias in dict.fromkeys(aliases):
            places.setdefault(alias, []).append(place)
    for name in classes:
        if name not in places:
            raise ConfigError(
                f"data.classes: the data has a class {name!r}, but none of {len(names):,} outputs is called so"
                f"{nearest(name, places)}"
            )
        if len(places[name]) > 1:
            several = " and ".join(map(str, places[name]))
            raise ConfigError(f"data.classes: {name!r} is the name of outputs {several}; give numbers instead of names")
    return Selection(tuple(places[name][0] for name in classes), len(names))


def _is_named(entry: object) -> bool:
    return isinstance(entry, list) and bool(entry) and all(isinstance(name, str) and name.strip() for name in entry)


def _of_json(document: object) -> list[Any]:
    """Return the entries of a list, or of a mapping from the numbers 0, 1, ... of the outputs."""
    if isinstance(document, dict):
        numbered = {int(number): entry for number, entry in document.items()}
        if sorted(numbered) != list(range(len(document))):
            raise ValueError("its keys are not 0, 1, 2, ...")
        return [numbered[number] for number in range(len(numbered))]
    if isinstance(document, list):
        return document
    raise ValueError("neither a list nor a mapping")
