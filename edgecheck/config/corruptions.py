"""The corruptions of a run: those of the list `corruption:`, and those that the gate asks for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ruamel.yaml.comments import CommentedMap

from edgecheck.config import document
from edgecheck.corruption.table import Corruption, of_metric, parse
from edgecheck.errors import ConfigError
from edgecheck.records import HOST, Policy


def asked_for(names: Sequence[str], policy: Policy, written: CommentedMap, source: str) -> list[Corruption]:
    """Return the corruptions that a run measures, each once.

    Those that a criterion asks of a device are not among them: devices measure none.

    Args:
        names: the list as written.
        policy: the gate.
        written: the document that the list was read from.
        source: its path, for errors.

    Raises:
        ConfigError: a name is unknown, or its severity; the message gives its line.
    """
    of_gate = (of_metric(one.metric) for one in policy.criteria if one.device == HOST)
    return list(dict.fromkeys([*_named(names, written, source), *filter(None, of_gate)]))


def _named(names: Sequence[str], written: CommentedMap, source: str) -> Iterator[Corruption]:
    for index, name in enumerate(names):
        try:
            yield parse(name)
        except ConfigError as error:
            line = document.line_of(written, ("corruption", index))
            raise ConfigError(f"{source}:{line}: {error}") from None
