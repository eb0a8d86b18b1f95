"""Named ways for a run to fail in a folder that holds an old PASS: `gate` and `report` must not repeat it."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.faults.cases import Case, Place, named
from tests.benchmarks.faults.material import config
from tests.benchmarks.faults.outcomes import HELD, OTHERWISE, expect_refusal, shown
from tests.benchmarks.faults.processes import RUN_LIMIT_S, Watch

KILLED_AFTER_S = 2.0  # long before a run that starts afresh is done


def _failing(command: str, fail: Callable[[Place], Path], judge: str = "gate") -> Case:
    """A run that fails in a folder with an old PASS: judging that folder must say so."""

    def case(place: Place) -> tuple[str, str]:
        path = fail(place)
        ended = place.fork(command, path, "--out", place.run)
        if ended.code == 0:
            return OTHERWISE, f"the run was to fail: {shown(ended)}"
        again = ["--out", place.folder / "again"] if judge == "report" else []
        return expect_refusal(place.fork(judge, place.run, *again))

    return case


def _config(place: Place, *changes: tuple[str, str]) -> Path:
    """Write the configuration of the run, with words replaced, beside a copy of its weights."""
    weights = place.folder / "weights.safetensors"
    shutil.copyfile(place.material.weights, weights)
    text = config(weights)
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    path = place.folder / "own.yaml"
    path.write_text(text)
    return path


def _weights_gone(place: Place) -> Path:
    path = _config(place)
    (place.folder / "weights.safetensors").unlink()
    return path


def _other_weights(place: Place) -> Path:
    path = _config(place)
    (place.folder / "weights.safetensors").write_bytes(b"damaged")
    return path


def _no_config(place: Place) -> Path:
    return place.folder / "nowhere.yaml"


def _stopped(how: int, judge: str = "gate") -> Case:
    """A run of a changed configuration that is stopped half-way, in a folder with an old PASS."""

    def case(place: Place) -> tuple[str, str]:
        path = _config(place, ("epochs: 1", "epochs: 2000"))
        ended = place.fork("run", path, "--out", place.run, watch=Watch(RUN_LIMIT_S, KILLED_AFTER_S, how))
        if ended.code == 0:
            return OTHERWISE, f"the run was to be stopped: {shown(ended)}"
        again = ["--out", place.folder / "again"] if judge == "report" else []
        return expect_refusal(place.fork(judge, place.run, *again))

    return case


def _resumed_after_failure(place: Place) -> tuple[str, str]:
    """After a failure the right command makes the folder good again."""
    failed = place.fork("run", _weights_gone(place), "--out", place.run)
    ended = place.fork("run", place.material.config, "--out", place.run)
    judged = place.fork("gate", place.run)
    good = failed.code == 2 and ended.code == 0 and judged.code == 0
    return (HELD, "") if good else (OTHERWISE, f"{shown(failed)}; {shown(ended)}; {shown(judged)}")


CASES: dict[str, Case] = {
    "an old PASS, then the weights are gone": _failing("run", _weights_gone),
    "an old PASS, then the weights are damaged": _failing("run", _other_weights),
    "an old PASS, then the YAML is broken": _failing("run", lambda place: _config(place, ("model:", "model: [:"))),
    "an old PASS, then a metric is misspelt": _failing(
        "run", lambda place: _config(place, ("size.bytes", "size.byte"))
    ),
    "an old PASS, then a criterion is unknown": _failing(
        "run", lambda place: _config(place, ("criterion: l1", "criterion: l9"))
    ),
    "an old PASS, then a key is unknown": _failing(
        "run", lambda place: _config(place, ("name: faults", "nom: faults"))
    ),
    "an old PASS, then there is no such configuration": _failing("run", _no_config),
    "an old PASS, then a sweep fails": _failing("sweep", _weights_gone),
    "an old PASS, then a run fails, rendered": _failing("run", _weights_gone, "report"),
    "an old PASS, then a run is killed": _stopped(signal.SIGKILL),
    "an old PASS, then a run is interrupted": _stopped(signal.SIGINT),
    "an old PASS, then a run is terminated": _stopped(signal.SIGTERM),
    "an old PASS, then a run is killed, rendered": _stopped(signal.SIGKILL, "report"),
    "a run that failed and was done again": _resumed_after_failure,
}

SHORT = ("an old PASS, then a metric is misspelt", "an old PASS, then the weights are gone")
KIND = named("failed_runs", CASES, SHORT, in_copy=True)
