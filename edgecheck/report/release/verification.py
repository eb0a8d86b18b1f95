"""What `verify` found, as a listing."""

from __future__ import annotations

from edgecheck.records import to_dict
from edgecheck.release.verification import FileCheck, Judged, Verification
from edgecheck.report.listing import Listing

COLUMNS = ["what", "name", "state", "verdict", "detail"]
ONLY_ACCIDENTS = (
    "Digests find accidents, not forgery: who can write to the run folder can write matching ones. To prove who "
    "judged, sign an attestation (edgecheck attest)."
)


def listing(verification: Verification) -> Listing:
    """Return one row per thing that was checked, those that the user named first."""
    named = [["shipped", one.path, one.state, _verdict(one), _detail(one)] for one in verification.files]
    rows = [[one.item, one.name, one.state, "", one.detail] for one in verification.checks]
    title = f"{_outcome(verification)}: {verification.run}"
    data = {**to_dict(verification), "unchanged": verification.unchanged, "passes": verification.passes}
    notes = [*_warnings(verification), ONLY_ACCIDENTS]
    return Listing(title, COLUMNS, [*named, *rows], data, notes, text_columns=5, wrapped=("name", "detail"))


def _outcome(verification: Verification) -> str:
    if verification.unchanged:
        return "unchanged"
    return "UNKNOWN" if verification.states <= {"unchanged", "unknown"} else "CHANGED"


def _verdict(one: FileCheck) -> str:
    return ", ".join(map(_status, one.judged))


def _status(judged: Judged) -> str:
    return judged.status or f"not judged ({judged.role})"


def _detail(one: FileCheck) -> str:
    return f"is {', '.join(judged.variant for judged in one.judged)}" if one.judged else one.detail


def _warnings(verification: Verification) -> list[str]:
    """Return what must not be overlooked where all digests match."""
    failing = [one.path for one in verification.files if one.judged and not one.passes]
    if failing:
        return [f"DOES NOT PASS THE GATE: {', '.join(failing)}"]
    if not verification.files and not verification.passed:
        return ["THE GATE OF THIS RUN DOES NOT HOLD"]
    return []
