"""The sentence of each diagnostic, by its id: one module per room, each with a dictionary `SENTENCES`.

A sentence says what is wrong and what to do about it. It is a format string (see `report.placeholders`), or a function
of the fields where the wording depends on them. A plugin adds its own with `register(SENTENCES, "my-id")("...")`.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from edgecheck.registry import register

Sentence = str | Callable[[Mapping[str, Any]], str]

SENTENCES: dict[str, Sentence] = {}

for _room in pkgutil.iter_modules(__path__, f"{__name__}."):
    for _id, _sentence in import_module(_room.name).SENTENCES.items():
        register(SENTENCES, _id)(_sentence)
