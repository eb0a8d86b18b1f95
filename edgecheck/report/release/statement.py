"""A report as an in-toto Statement v1 with the predicate Test Result v0.1.

https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md and .../spec/predicates/test-result.md
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from attrs import asdict

from edgecheck.gate.leniency import status_of
from edgecheck.records import Report, Variant, Verdict
from edgecheck.release.attestation import Configuration, Evidence, outcome
from edgecheck.report.format import format_criterion
from edgecheck.report.release.published import as_json, encodable

STATEMENT = "https://in-toto.io/Statement/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"  # of a DSSE envelope around a statement
TESTS = ("passedTests", "warnedTests", "failedTests")
COVERS = "the .onnx file, followed by the files of its external data if it has any"


def render(report: Report, evidence: Evidence) -> str:
    """Return the statement as JSON; equal reports give equal text.

    Its subjects are the passing files. If none passes, they are all files that were judged, and the result is FAILED.
    """
    return as_json(statement(report, evidence))


def statement(report: Report, evidence: Evidence) -> dict[str, Any]:
    """Return the statement as JSON-able data."""
    found = outcome(report)
    tests = dict(zip(TESTS, (found.passed, found.warned, found.failed), strict=True))
    return {
        "_type": STATEMENT,
        "subject": [_subject(report, one) for one in found.subjects],
        "predicateType": TEST_RESULT,
        "predicate": {
            "result": found.result,
            "configuration": list(_configuration(report, evidence)),
            **({"url": evidence.url} if evidence.url else {}),
            **{key: list(_names(verdicts)) for key, verdicts in tests.items()},
        },
    }


def _subject(report: Report, one: Variant) -> dict[str, Any]:
    waivers = [asdict(verdict.waiver) for verdict in report.verdicts_of(one.name) if verdict.waiver]
    annotations: dict[str, Any] = {"verdict": report.statuses[one.name], "digestCovers": COVERS}
    if waivers:
        annotations["waivers"] = [{key: encodable(text) for key, text in waiver.items()} for waiver in waivers]
    return _descriptor(one.name, one.sha256 or "", annotations)


def _descriptor(name: str, sha256: str, annotations: Mapping[str, Any] | None = None) -> dict[str, Any]:
    more = {"annotations": dict(annotations)} if annotations else {}
    return {"name": encodable(name), "digest": {"sha256": sha256}, **more}


def _configuration(report: Report, evidence: Evidence) -> Iterator[dict[str, Any]]:
    subject, policy = report.subject, report.policy
    if evidence.configuration is not None:
        yield _of_file(evidence.configuration)
    elif subject.config_sha256 is not None:
        yield _descriptor("configuration", subject.config_sha256)
    criteria = [f"{format_criterion(one)}{' warn' if one.level == 'warn' else ''}" for one in policy.criteria]
    rule = {"require": policy.require, "gateHolds": report.passed, "criteria": criteria}
    yield _descriptor("policy", evidence.policy_sha256, rule)
    about = "pixels, shape, labels and classes, not a file"
    yield _descriptor("data", subject.data_sha256, {"images": subject.images, "digestCovers": about})
    yield _descriptor("preprocessing", subject.preprocessing_sha256)
    baseline = next((one for one in report.variants if one.role == "baseline" and one.sha256), None)
    if baseline is not None:
        yield _descriptor("baseline", baseline.sha256 or "", {"digestCovers": COVERS})
    yield _descriptor("report.json", evidence.report_sha256, {"edgecheck": report.tool.version})


def _of_file(configuration: Configuration) -> dict[str, Any]:
    """Return the configuration, with the commit that fixed its criteria before measuring if that is known."""
    made = _descriptor(configuration.name, configuration.sha256)
    if (fixed := configuration.fixed) is None:
        return made
    made["digest"]["gitCommit"] = fixed.commit
    said = {"criteriaFixedBeforeMeasuring": True, "committed": fixed.committed, "firstMeasured": fixed.first_measured}
    return {**made, "annotations": said}


def _names(verdicts: Iterable[Verdict]) -> Iterator[str]:
    for one in verdicts:
        yield encodable(f"{one.variant}: {format_criterion(one)}")


def status_line(report: Report) -> str:
    """Return what an attestation says in one line: `PASSED: 2 files`."""
    found = outcome(report)
    worst = {status_of(report.policy, verdict) for verdict in found.failed}
    reasons = f" ({', '.join(sorted(worst))})" if worst else ""
    return f"{found.result}{reasons}: {', '.join(one.name for one in found.subjects) or 'no file'}"
