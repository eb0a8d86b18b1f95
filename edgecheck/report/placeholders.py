"""The placeholders of a diagnostic's sentence: Python's format strings, with specifications that name a unit.

`{seconds:s}`, `{size:bytes}` and the other units of `metrics.Unit` format a value as the tables of a report do. Beside
them there are:

- `{share:percent}`: an estimated share, `37 %`; `{change:change}` with its sign, `+12 %`.
- `{images:#image}`: a number with its noun, `1 image`, `2 images`.
- `{files:list}`: items separated by commas.
- `{setting:measure.batch}`: a setting, as the command in use spells it.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from typing import Any, get_args

from attrs import frozen

from edgecheck.metrics import Unit
from edgecheck.report.format import format_count, format_percent, format_value

SETTING = "setting"
_COUNTED = "#"

_FORMS: dict[str, Callable[[Any], str]] = {
    "percent": format_percent,
    "change": lambda share: format_percent(share, signed=True),
    "list": lambda items: ", ".join(map(str, items)),
}


@frozen
class Setting:
    """Spells a setting: `measure.batch`, or `--batch` where `options` says that the command has such an option."""

    options: Mapping[str, str]

    def __format__(self, key: str) -> str:
        return self.options.get(key, key)


class _Formatter(string.Formatter):
    def format_field(self, value: Any, format_spec: str) -> str:
        if format_spec in get_args(Unit):
            return format_value(value, format_spec)  # type: ignore[arg-type]  # a unit, as just checked
        if format_spec in _FORMS:
            return _FORMS[format_spec](value)
        if format_spec.startswith(_COUNTED):
            return format_count(value, format_spec.removeprefix(_COUNTED))
        return str(super().format_field(value, format_spec))


def fill(sentence: str, fields: Mapping[str, Any]) -> str:
    """Return a sentence with its placeholders replaced; the values themselves are not searched for placeholders.

    Raises:
        KeyError: a field is missing.
        TypeError, ValueError: a field does not have the type or form that its specification needs.
    """
    return _Formatter().vformat(sentence, (), fields)
