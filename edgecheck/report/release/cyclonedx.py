"""A report as a machine-learning bill of materials: CycloneDX 1.6, JSON (ECMA-424).

https://cyclonedx.org/docs/1.6/json/ defines the fields, `modelCard` among them.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from edgecheck.hashing import digest
from edgecheck.records import HOST, Reading, Report, Variant, to_dict
from edgecheck.release.attestation import judged
from edgecheck.report import diagnostics, reasons
from edgecheck.report.compression import compression
from edgecheck.report.format import format_criterion
from edgecheck.report.release.published import as_json, encodable, model_name
from edgecheck.text import plain

SPEC_VERSION = "1.6"
SCHEMA = f"http://cyclonedx.org/schema/bom-{SPEC_VERSION}.schema.json"
SUBJECT = "subject"
TASK = "image-classification"
SHA256 = re.compile(r"[0-9a-fA-F]{64}")
PREFIX = "edgecheck"  # of the names of properties


def render(report: Report) -> str:
    """Return the bill of materials: the files judged, the baseline, and a model card for each."""
    return as_json(document(report))


def document(report: Report) -> dict[str, Any]:
    """Return the bill of materials as JSON-able data; equal reports give equal documents."""
    baselines = [one for one in report.variants if one.role == "baseline" and one.sha256]
    files = [*baselines, *judged(report)]
    components = [_component(report, one, place) for place, one in enumerate(files)]
    return {
        "$schema": SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, digest(to_dict(report)))}",
        "version": 1,
        "metadata": _metadata(report),
        "components": components,
        "dependencies": [{"ref": SUBJECT, "dependsOn": [one["bom-ref"] for one in components]}],
    }


def _metadata(report: Report) -> dict[str, Any]:
    facts = {
        "gate": reasons.outcome(report),
        "rule": reasons.rule(report),
        "recommendation": reasons.recommendation(report),
        "preprocessing_sha256": report.subject.preprocessing_sha256,
        **({"revision": report.subject.revision} if report.subject.revision else {}),
        **({"config_sha256": report.subject.config_sha256} if report.subject.config_sha256 else {}),
    }
    return {
        **({"timestamp": report.created} if _is_moment(report.created) else {}),
        "tools": {
            "components": [{"type": "application", "name": "edgecheck", "version": encodable(report.tool.version)}]
        },
        "component": {
            "type": "machine-learning-model",
            "bom-ref": SUBJECT,
            "name": encodable(report.subject.name),
            "description": encodable(model_name(report)),
        },
        "properties": list(_properties(facts.items())),
    }


def _is_moment(text: str | None) -> bool:
    """Return whether a text is a time with a time zone, the only form that the schema admits."""
    try:
        return text is not None and datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _component(report: Report, one: Variant, place: int) -> dict[str, Any]:
    is_hash = one.sha256 is not None and SHA256.fullmatch(one.sha256)
    return {
        "type": "machine-learning-model",
        "bom-ref": f"model-{place}",
        "name": encodable(one.name),
        "description": encodable(f"{one.role}: {plain(compression(one)) or 'not compressed'}"),
        **({"hashes": [{"alg": "SHA-256", "content": one.sha256}]} if is_hash else {}),
        "modelCard": _card(report, one),
        "properties": list(_properties(_verdicts(report, one))),
    }


def _verdicts(report: Report, one: Variant) -> Iterator[tuple[str, str]]:
    yield "role", one.role
    if one.name in report.statuses:
        yield "verdict", report.statuses[one.name]
    for verdict in reasons.verdicts_of(report, one.name):
        yield f"criterion:{format_criterion(verdict)}", verdict.status
        if verdict.waiver is not None:
            waiver = verdict.waiver
            yield f"waiver:{waiver.metric}", f"{waiver.reason} ({waiver.approved_by}, until {waiver.expires})"


def _card(report: Report, one: Variant) -> dict[str, Any]:
    taken = [reading for reading in report.readings_of(one.name) if reading.value is not None]
    units = {f"unit:{reading.metric}": str(reading.unit) for reading in taken}
    return {
        "modelParameters": {
            "approach": {"type": "supervised"},
            "task": TASK,
            "modelArchitecture": encodable(model_name(report)),
            "datasets": [_dataset(report)],
            "inputs": [{"format": "image"}],
            "outputs": [{"format": f"scores of {len(report.subject.classes)} classes"}],
        },
        "quantitativeAnalysis": {"performanceMetrics": list(map(_metric, taken))},
        "considerations": {"technicalLimitations": list(_limitations(report, one))},
        "properties": list(_properties(units.items())),
    }


def _dataset(report: Report) -> dict[str, Any]:
    subject = report.subject
    facts = {
        "data_sha256": subject.data_sha256,
        "images": str(subject.images),
        "preprocessing": subject.preprocessing,
    }
    return {
        "type": "dataset",
        "name": "test images",
        "contents": {"properties": list(_properties(facts.items()))},
        "description": "pixels, shape, labels and classes have this digest; the files were measured on these images",
    }


def _metric(reading: Reading) -> dict[str, Any]:
    interval = {}
    if reading.low is not None and reading.high is not None:
        interval = {"confidenceInterval": {"lowerBound": repr(reading.low), "upperBound": repr(reading.high)}}
    where = {"slice": f"device {reading.device}"} if reading.device != HOST else {}
    return {"type": reading.metric, "value": repr(reading.value), **where, **interval}


def _limitations(report: Report, one: Variant) -> Iterator[str]:
    """Yield the criteria that a file does not meet, and the warnings about it."""
    for verdict in reasons.unmet(report, one.name):
        yield encodable(f"{verdict.status} {reasons.sentence(report, verdict)}")
    for warning in one.warnings:
        if warning.severity == "warning":
            yield encodable(diagnostics.render(warning))


def _properties(facts: Iterable[tuple[str, str]]) -> Iterator[dict[str, str]]:
    for name, value in facts:
        yield {"name": encodable(f"{PREFIX}:{name}"), "value": encodable(value)}
