"""Named ways for maps and parity to be of another network than the file that is judged: none may pass."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import safetensors.torch
import torch

from tests.benchmarks.faults.cases import Case, Place, named
from tests.benchmarks.faults.checks import check, gate
from tests.benchmarks.faults.outcomes import FALSE_PASS, HELD, OTHERWISE, expect_exit, expect_no_pass, shown
from tests.benchmarks.faults.tampering import QUANTIZED

TWIN = "edgecheck:digits_cnn"
SP2PS = "sp2ps.grad-cam >= 0.5"


# Borrowed evidence: the maps of a quantized file's float twin are not its own. Those of the file itself are.


def _borrowed(metric: str, sentence: str) -> Case:
    def case(place: Place) -> tuple[str, str]:
        ended = gate(place, sentence)
        if ended.code not in (0, 1):
            return OTHERWISE, shown(ended)
        report = json.loads(ended.out)
        verdict, reading = (
            next(one for one in report[part] if (one["variant"], one["metric"]) == (QUANTIZED, metric))
            for part in ("verdicts", "readings")
        )
        if verdict["status"] == "MISSING" or reading["source"] == "artefact":
            return HELD, ""
        return FALSE_PASS, f"{verdict['status']}: {verdict['actual']} by the {reading['source']}"

    return case


def _not_borrowed_by_a_check(place: Place) -> tuple[str, str]:
    """Give a quantized file its float twin: their logits differ, so the twin's maps are not the file's."""
    twins = _twins(place.material.weights, place.material.weights)
    return expect_no_pass(check(place, *twins, candidate=QUANTIZED, gate=SP2PS))


# Twins that are not the file's.


def _twins(baseline: Path, candidate: Path) -> list[object]:
    return [
        word
        for side, weights in (("baseline", baseline), ("candidate", candidate))
        for word in (f"--{side}-twin", TWIN, f"--{side}-weights", weights)
    ]


def _changed_weights(place: Place, name: str, scale: float) -> Path:
    """Write the twin's weights with its last layer scaled: its maps stay nearly the same, its logits do not."""
    state = safetensors.torch.load_file(place.material.weights)
    scaled = {key: value * scale if key.startswith("classifier") else value for key, value in state.items()}
    path = place.folder / f"{name}.safetensors"
    safetensors.torch.save_file(scaled, path)
    return path


def _random_weights(place: Place) -> Path:
    from edgecheck.models.digits_cnn import DigitsCNN

    torch.manual_seed(place.number)
    path = place.folder / "random.safetensors"
    safetensors.torch.save_file(DigitsCNN().state_dict(), path)
    return path


def _wrong_twins(wrong: Callable[[Place], Path], which: str, sentence: str = SP2PS) -> Case:
    """A case in which the named sides get the weights of another network."""

    def case(place: Place) -> tuple[str, str]:
        right, other = place.material.weights, wrong(place)
        sides = [other if side in which else right for side in ("baseline", "candidate")]
        return expect_no_pass(check(place, *_twins(*sides), gate=sentence))

    return case


def _right_twins(place: Place) -> tuple[str, str]:
    """With the right twins the same gate holds: else the cases beside it would be held by a mistake."""
    return expect_exit(check(place, *_twins(place.material.weights, place.material.weights), gate=SP2PS), 0)


CASES: dict[str, Case] = {
    "Sp2PS of a quantized file": _borrowed("sp2ps.grad-cam", "sp2ps.grad-cam >= 0"),
    "the PE-like score of a quantized file": _borrowed("pe_like.grad-cam", "pe_like.grad-cam >= 0"),
    "the parity of a quantized file": _borrowed("parity.max_abs", "parity.max_abs <= 1000"),
    "the agreement of a quantized file with a twin": _borrowed("parity.agreement", "parity.agreement >= 0"),
    "the degenerate maps of a quantized file": _borrowed("cam.degenerate_share", "cam.degenerate_share <= 1"),
    "a float twin given to a quantized file": _not_borrowed_by_a_check,
    "the right twins": _right_twins,
    "a baseline's twin of other weights": _wrong_twins(
        lambda place: place.material.run / "control" / "weights.safetensors", "baseline"
    ),
    "a candidate's twin of other weights": _wrong_twins(
        lambda place: place.material.run / "control" / "weights.safetensors", "candidate"
    ),
    "both twins of the same other weights": _wrong_twins(
        lambda place: place.material.run / "control" / "weights.safetensors", "baseline candidate"
    ),
    "both twins of random weights": _wrong_twins(_random_weights, "baseline candidate"),
    "a baseline's twin whose logits are scaled": _wrong_twins(
        lambda place: _changed_weights(place, "scaled", 1.01), "baseline"
    ),
    "a candidate's twin whose logits are scaled": _wrong_twins(
        lambda place: _changed_weights(place, "scaled", 1.01), "candidate"
    ),
    "a wrong twin, and a gate of degenerate maps": _wrong_twins(
        _random_weights, "baseline", "cam.degenerate_share <= 1"
    ),
    "a wrong twin, and a gate of the PE-like score": _wrong_twins(
        _random_weights, "baseline", "pe_like.grad-cam >= 0.1"
    ),
}

SHORT = ("Sp2PS of a quantized file", "the right twins", "both twins of the same other weights")
KIND = named("evidence", CASES, SHORT)
