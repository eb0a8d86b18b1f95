"""Diagnostics as text, rendered late: the advice names the options of the command in use."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from edgecheck.records import Diagnostic, Report, Severity
from edgecheck.report.placeholders import SETTING, Setting, fill
from edgecheck.report.sentences import SENTENCES
from edgecheck.text import plain

# The options of commands for settings; other commands read the settings from edgecheck.yaml.
CONFIGURATION: Mapping[str, str] = {}
BENCH: Mapping[str, str] = {
    "measure.batch": "--batch",
    "measure.intra_op_threads": "--threads",
    "measure.pace_hz": "--pace",
}


def render(diagnostic: Diagnostic, options: Mapping[str, str] = CONFIGURATION) -> str:
    """Return the sentence of a diagnostic, on one line.

    Without a known sentence, or with fields that do not fit it, the text is the id and the fields.

    Args:
        diagnostic: of this run, or from a document written by a newer version or with a plugin.
        options: maps keys of edgecheck.yaml to options of the command in use.
    """
    sentence = SENTENCES.get(diagnostic.id)
    if sentence is None:
        return plain(_named(diagnostic))
    fields = {**diagnostic.fields, SETTING: Setting(options)}
    try:
        return plain(sentence(fields) if callable(sentence) else fill(sentence, fields))
    except Exception:  # fields come from a file and sentences from plugins: neither may prevent a report
        return plain(_named(diagnostic))


def of_run(report: Report, severity: Severity) -> list[str]:
    """Return the diagnostics of the whole run that have this severity, as text."""
    return [
        render(diagnostic) if diagnostic.device is None else f"@{plain(diagnostic.device)}: {render(diagnostic)}"
        for diagnostic in report.warnings
        if diagnostic.severity == severity
    ]


def of_variants(report: Report, severity: Severity) -> list[str]:
    """Return the diagnostics of variants that have this severity, as text; equal ones once, with all variant names."""
    return _joined(groups(report, severity))


def groups(report: Report, severity: Severity) -> list[tuple[list[str], str]]:
    """Return the diagnostics of variants that have this severity: the names of those that share one, and its text."""
    return grouped(
        (variant.name if diagnostic.device is None else f"{variant.name}@{diagnostic.device}", render(diagnostic))
        for variant in report.variants
        for diagnostic in variant.warnings
        if diagnostic.severity == severity
    )


def by_name(named: Iterable[tuple[str, str]]) -> list[str]:
    """Return `a, b: text` for each text of the pairs (name, text)."""
    return _joined(grouped(named))


def grouped(named: Iterable[tuple[str, str]]) -> list[tuple[list[str], str]]:
    """Return each text of the pairs (name, text) once, with all of its names."""
    names: dict[str, list[str]] = {}
    for name, text in named:
        names.setdefault(plain(text), []).append(name)
    return [(owners, text) for text, owners in names.items()]


def _joined(groups: Iterable[tuple[list[str], str]]) -> list[str]:
    return [f"{', '.join(map(plain, owners))}: {text}" for owners, text in groups]


def _named(diagnostic: Diagnostic) -> str:
    """Return `id (field: value, ...)`."""
    facts = ", ".join(f"{name}: {_shown(value)}" for name, value in diagnostic.fields.items())
    return f"{diagnostic.id} ({facts})" if facts else diagnostic.id


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
