"""Migrates older report documents to the current schema, one function per version, on plain dictionaries.

Parts that do not have the form of their version are passed on unchanged if possible; the converter then reports them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from attrs import asdict

from edgecheck.errors import InputError
from edgecheck.records.diagnostic import Diagnostic
from edgecheck.records.variant import FINETUNED, QUANTIZED
from edgecheck.structuring import described

SCHEMA_VERSION = 5
MOST_ITERATIONS = 1000  # as the configuration allows

Document = dict[str, Any]


def migrate(document: Mapping[str, Any]) -> Document:
    """Return a document of any known version in the form of `SCHEMA_VERSION`.

    Raises:
        InputError: a version that this edgecheck does not know, such as a newer one.
    """
    migrated = dict(document)
    version = migrated.get("schema_version")
    if version not in READABLE_VERSIONS or isinstance(version, bool):
        told, known = described(version), ", ".join(map(str, READABLE_VERSIONS))
        raise InputError(f"schema version {told}, but this edgecheck reads {known}: use the edgecheck that wrote it")
    for step in range(int(version), SCHEMA_VERSION):
        migrated = {**MIGRATIONS[step](migrated), "schema_version": step + 1}
    return migrated


def _from_1_to_2(document: Document) -> Document:
    """Version 2 added the digests of the evidence, stage times, mismatches and withheld evidence."""
    return {"evidence": {}, "seconds": {}, "unverified": [], "withheld": [], **document}


def _from_2_to_3(document: Document) -> Document:
    """Version 3 records compression as typed steps and warnings as data, and knows None where version 2 wrote "".

    Its stage `finetune` was `make` before, which is now the stage that saves the baseline.
    """
    renamed = dict(document)
    if isinstance(spent := document.get("seconds"), dict):
        renamed["seconds"] = {"finetune" if stage == "make" else stage: seconds for stage, seconds in spent.items()}
    return {
        **renamed,
        "variants": _each(document.get("variants"), _typed_steps),
        "warnings": _each_text(document.get("warnings", [])),
    }


def _from_3_to_4(document: Document) -> Document:
    """Version 4 names the source of heatmaps, which was the twin."""

    def withheld(one: Document) -> Document:
        return {**one, "readings": _each(one.get("readings"), _of_twin)}

    return {
        **document,
        "readings": _each(document.get("readings"), _of_twin),
        "withheld": _each(document.get("withheld"), withheld),
    }


def _from_4_to_5(document: Document) -> Document:
    """Version 5 names the device of criteria and verdicts, which was the host, and what limits are relative to."""

    def verdict(one: Document) -> Document:
        return {**one, "relative_to": "" if one.get("offset") is None else "control"}

    return {**document, "verdicts": _each(document.get("verdicts"), verdict)}


def _of_twin(reading: Document) -> Document:
    metric = reading.get("metric")
    about_heatmaps = isinstance(metric, str) and metric.startswith(("sp2ps.", "pe_like.", "cam."))
    return {**reading, "source": "twin"} if about_heatmaps and reading.get("value") is not None else reading


MIGRATIONS: dict[int, Callable[[Document], Document]] = {
    1: _from_1_to_2,
    2: _from_2_to_3,
    3: _from_3_to_4,
    4: _from_4_to_5,
}
READABLE_VERSIONS = (*MIGRATIONS, SCHEMA_VERSION)

_REMADE = (
    " lies above the noise floor: ",
    ", little more than a guess among ",
    "fewer MACs, yet slower: ",
    "int8, yet slower than the baseline: ",
    " could not be made: the noise floor is that of the other controls",
)
_OLD_FIELDS = ("criterion", "structure", "scope", "rate", "epochs", "quantization", "steps", "round_to")


def _typed_steps(variant: Document) -> Document:
    kept = {key: value for key, value in variant.items() if key not in _OLD_FIELDS}
    emptied: Document = {key: kept[key] or None for key in ("file", "sha256", "twin") if key in kept}
    return {**kept, **emptied, "warnings": _each_text(kept.get("warnings", [])), "steps": list(_steps(variant))}


def _steps(variant: Document) -> Iterator[Document]:
    """Yield the steps that the fields of version 2 describe.

    Version 2 kept the number of epochs but not the recipe, and the scheme of a quantization but not its options.
    """
    iterations = variant.get("steps", 1)
    if type(iterations) is not int or not 1 <= iterations <= MOST_ITERATIONS:
        raise InputError(f"a variant has {described(iterations)} steps; expected 1 to {MOST_ITERATIONS}")
    for step in range(1, iterations + 1) if variant.get("criterion") else ():
        if step > 1:
            yield {"step": FINETUNED, "epochs": None}
        yield {
            "step": "prune",
            **{name: variant.get(name) for name in ("criterion", "structure", "scope", "rate")},
            "round_to": variant.get("round_to", 1),
            "share": step / iterations,
        }
    if variant.get("epochs") is not None:
        yield {"step": FINETUNED, "epochs": variant["epochs"]}
    if variant.get("quantization"):
        yield {"step": QUANTIZED, "scheme": variant["quantization"]}


def _each(items: Any, change: Callable[[Document], Document]) -> Any:
    return [change(item) if isinstance(item, dict) else item for item in items] if isinstance(items, list) else items


def _each_text(warnings: Any) -> Any:
    """Return texts as diagnostics; those that depend on the policy are left out, since every judgement makes them."""
    if not isinstance(warnings, list):
        return warnings
    kept = [text for text in warnings if not (isinstance(text, str) and any(part in text for part in _REMADE))]
    return [asdict(Diagnostic("text", {"text": text})) if isinstance(text, str) else text for text in kept]
