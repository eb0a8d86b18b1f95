"""Compares an attestation with the run that it speaks of, and checks its signature."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edgecheck.device.bundle.manifest import policy_digest
from edgecheck.documents import read_json
from edgecheck.errors import DependencyError, InputError
from edgecheck.hashing import sha256
from edgecheck.pipeline.release.signing import INSTALL, MOST_KEY_BYTES
from edgecheck.records import Report
from edgecheck.regular import require_regular
from edgecheck.release.attestation import Evidence
from edgecheck.release.verification import Check, State
from edgecheck.report.release.published import encodable
from edgecheck.report.release.statement import PAYLOAD_TYPE, STATEMENT, TESTS, statement
from edgecheck.run_folder import REPORT

UNSIGNED = "it is not signed: edgecheck attest --key signs"
NO_KEY = "it is signed, and --public-key FILE was not given"


def checks(path: Path, key: Path | None, report: Report, folder: Path) -> Iterator[Check]:
    """Yield whether an attestation is signed by a key, and says of this report and its files what the report says.

    Args:
        path: what `edgecheck attest` wrote: a statement, or a signed DSSE envelope.
        key: the public key, PEM; None for no check of the signature.
        report: that of the run, judged by the waivers that count today.
        folder: its run folder.

    Raises:
        InputError: a file cannot be read, or is no attestation, or no public key.
        DependencyError: securesystemslib is not installed, and there is a signature to check.
    """
    document = read_json(path, "attestation", "`edgecheck attest` writes it")
    is_signed = isinstance(document, dict) and "payload" in document
    if is_signed and key is not None:
        payload, valid = _opened(path, document, key)
        yield _check(path, "signature", valid, f"not signed by {key}")
    elif is_signed:
        payload, _ = _opened(path, document, None)
        yield Check("attestation", f"{path}: signature", "unknown", NO_KEY)
    else:
        payload = document
        if key is not None:
            yield Check("attestation", f"{path}: signature", "missing", UNSIGNED)
    yield from _of_statement(path, _statement(path, payload), report, folder)


def _check(path: Path, what: str, holds: bool, otherwise: str) -> Check:
    state: State = "unchanged" if holds else "changed"
    return Check("attestation", f"{path}: {what}", state, "" if holds else otherwise)


def _opened(path: Path, document: Mapping[str, Any], key: Path | None) -> tuple[Any, bool]:
    """Return what an envelope holds, and whether it is signed by a key."""
    try:
        from securesystemslib.dsse import Envelope
        from securesystemslib.exceptions import VerificationError
    except ImportError:
        raise DependencyError(INSTALL) from None
    try:
        envelope = Envelope.from_dict(dict(document))
        payload = json.loads(envelope.payload)
    except Exception:  # the library raises KeyError, ValueError and its own for what is no envelope
        raise InputError(f"{path}: not a DSSE envelope; `edgecheck attest --key` writes one") from None
    if key is None:
        return payload, False
    try:
        envelope.verify([_public_key(key)], 1)
    except VerificationError:
        return payload, False
    return payload, envelope.payload_type == PAYLOAD_TYPE


def _public_key(path: Path) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.signer import SSlibKey

    require_regular(path, MOST_KEY_BYTES)
    try:
        return SSlibKey.from_crypto(load_pem_public_key(path.read_bytes()))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name a public key") from None
    except Exception:  # cryptography raises its own types, and ValueError, for what is no key
        raise InputError(f"{path}: not a public key in PEM; `openssl pkey -pubout` makes one") from None


def _statement(path: Path, payload: Any) -> Mapping[str, Any]:
    if not isinstance(payload, dict) or payload.get("_type") != STATEMENT:
        raise InputError(f"{path}: not an in-toto statement; `edgecheck attest` writes one")
    return payload


def _of_statement(path: Path, found: Mapping[str, Any], report: Report, folder: Path) -> Iterator[Check]:
    """Yield whether a statement is about the report and its files, and says of them what the report says."""
    checksum = sha256(folder / REPORT)
    expected = statement(report, Evidence(checksum, policy_digest(report.policy)))
    predicate = next(iter(_objects([found.get("predicate")])), {})
    named = {digest for name, digest in _digests(predicate.get("configuration")) if name == REPORT}
    wrong = f"not about this {REPORT}: it was written again since, or is another run's"
    yield _check(path, REPORT, named == {checksum}, wrong)
    known = {(encodable(one.name), one.sha256) for one in report.variants if one.sha256}
    subjects = _digests(found.get("subject"))
    other = [name for name, digest in subjects if (name, digest) not in known]
    wrong = f"not files of this run: {', '.join(other) or 'none'}"
    yield _check(path, "subjects", bool(subjects) and not other, wrong)
    wrong = f"not what this run says today, which is {expected['predicate']['result']}: edited, or a waiver expired"
    yield _check(path, "verdicts", _said({**found, "predicate": predicate}) == _said(expected), wrong)


def _said(found: Mapping[str, Any]) -> list[Any]:
    """Return what a statement says: its kind, its result, the criteria by result, and the verdict on each subject."""
    notes = [one.get("annotations") for one in _objects(found.get("subject"))]
    verdicts = [[note.get(key) for key in ("verdict", "waivers")] if isinstance(note, dict) else None for note in notes]
    subjects = [[*pair, said] for pair, said in zip(_digests(found.get("subject")), verdicts, strict=True)]
    return [found.get("predicateType"), *(found["predicate"].get(key) for key in ("result", *TESTS)), subjects]


def _digests(descriptors: Any) -> list[tuple[str, str | None]]:
    """Return name and SHA-256 of resource descriptors; what has another form is left out, or has no digest."""
    return [
        (str(one.get("name")), one["digest"].get("sha256") if isinstance(one.get("digest"), dict) else None)
        for one in _objects(descriptors)
    ]


def _objects(values: Any) -> list[dict[str, Any]]:
    return [one for one in values if isinstance(one, dict)] if isinstance(values, list) else []
