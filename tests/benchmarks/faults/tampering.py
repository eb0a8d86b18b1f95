"""Named ways of editing what a finished run left, and of leaving an old report behind: none may end in a PASS."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen

from tests.benchmarks.faults.copies import copied_run, replaced_unseen
from tests.benchmarks.faults.material import Material, config
from tests.benchmarks.faults.outcomes import FALSE_PASS, HELD, OTHERWISE, Outcome, refused, shown
from tests.benchmarks.faults.processes import Ended, Surroundings, Watch, fork

KIND = "tampering"

STRICT = ("--only", "--gate", "size.bytes <= 1 B")  # what no file of the run holds
FORMATS = ("terminal", "json", "markdown", "junit")
KILLED_AFTER_S = 2.0  # long before a run that starts afresh is done


@frozen
class Edited:
    """A run folder to be spoiled, and the material it came from."""

    run: Path
    material: Material
    folder: Path

    def edit(self, change: Callable[[dict[str, Any]], Any], file: str = "report.json") -> None:
        """Change a JSON file of the run folder."""
        document = json.loads((self.run / file).read_text())
        change(document)
        (self.run / file).write_text(json.dumps(document, indent=2) + "\n")

    def start(self, *arguments: object, watch: Watch | None = None) -> Ended:
        """Run a command of edgecheck."""
        return fork(arguments, Surroundings(self.folder, watch or Watch(300.0)))


Case = Callable[[Edited], tuple[str, str]]


def attempt(number: int, material: Material, folder: Path) -> Outcome:
    """Spoil a copy of the finished run in a named way, and have it judged."""
    name = list(CASES_BY_NAME)[number]
    edited = Edited(copied_run(material.run, folder / "run"), material, folder)
    return Outcome(KIND, number, name, *CASES_BY_NAME[name](edited))


def expect_refusal(ended: Ended) -> tuple[str, str]:
    """Judge a command that must refuse with exit code 2 and a line."""
    if refused(ended):
        return HELD, ""
    return FALSE_PASS if ended.code == 0 else OTHERWISE, shown(ended)


def expect_no_pass(ended: Ended) -> tuple[str, str]:
    """Judge a command that must not pass: it says why not by a verdict, or refuses."""
    if ended.code == 0:
        return FALSE_PASS, shown(ended)
    told = ended.code == 1 or refused(ended) or (ended.code == 3 and ended.err.startswith("edgecheck: "))
    return (HELD, "") if told else (OTHERWISE, shown(ended))


def _gated(spoil: Callable[[Edited], Any]) -> Case:
    """A case whose spoiled folder `edgecheck gate` must refuse."""

    def case(edited: Edited) -> tuple[str, str]:
        spoil(edited)
        return expect_refusal(edited.start("gate", edited.run))

    return case


def _reported(change: Callable[[dict[str, Any]], Any]) -> Case:
    """A case whose edited report.json `edgecheck gate` must refuse."""
    return _gated(lambda edited: edited.edit(change))


def _rendered(spoil: Callable[[Edited], Any]) -> Case:
    """A case whose spoiled folder `edgecheck report` must refuse to render."""

    def case(edited: Edited) -> tuple[str, str]:
        spoil(edited)
        return expect_refusal(edited.start("report", edited.run, "--out", edited.folder / "again"))

    return case


def _reading(report: dict[str, Any], variant: str, metric: str) -> dict[str, Any]:
    return next(r for r in report["readings"] if (r["variant"], r["metric"]) == (variant, metric))


def _set_reading(variant: str, metric: str, /, **changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda report: _reading(report, variant, metric).update(changes)


def _doubled(report: dict[str, Any]) -> None:
    report["readings"].append({**_reading(report, PRUNED, "accuracy_drop_pp"), "value": 0.0})


def _swapped_roles(report: dict[str, Any]) -> None:
    for variant in report["variants"]:
        variant["role"] = {"control": "candidate", "candidate": "control"}.get(variant["role"], variant["role"])


def _set_variant(index: int, /, **changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda report: report["variants"][index].update(changes)


def _without_candidate(report: dict[str, Any]) -> None:
    report["variants"] = [v for v in report["variants"] if v["name"] != PRUNED]
    report["readings"] = [r for r in report["readings"] if r["variant"] != PRUNED]
    report["policy"]["require"] = "all"


def _undigested(report: dict[str, Any]) -> None:
    for key in [key for key in report if key in ("digests", "files", "seal", "stages", "evidence")]:
        del report[key]
    _reading(report, PRUNED, "accuracy_drop_pp")["value"] = 0.0


PRUNED, QUANTIZED = "l1-filters-0.50", "baseline-int8"


def _replaced_file(source: str, target: str) -> Callable[[Edited], None]:
    return lambda edited: shutil.copyfile(edited.run / source, edited.run / target) and None


def _deleted(file: str) -> Callable[[Edited], None]:
    return lambda edited: (edited.run / file).unlink()


def _flipped(file: str) -> Callable[[Edited], None]:
    """Change one byte in the middle of a file, and neither its size nor its time."""

    def change(edited: Edited) -> None:
        content = bytearray((edited.run / file).read_bytes())
        content[len(content) // 2] ^= 1
        replaced_unseen(edited.run / file, bytes(content))

    return change


def _edited_stage(file: str, change: Callable[[Any], Any]) -> Callable[[Edited], None]:
    return lambda edited: edited.edit(lambda document: change(document["result"]), file)


def _more_zeros(result: dict[str, Any]) -> None:
    for item in result["readings"]:
        if item["metric"] == "size.bytes":
            item["value"] = 1.0


def _logits(edited: Edited) -> None:
    """Give the pruned variant the predictions of the baseline, as an npz of the same form."""
    with np.load(edited.run / "baseline" / "logits.npz") as archive:
        np.savez(edited.run / PRUNED / "logits.npz", logits=archive["logits"])


def _of_another_run(edited: Edited) -> None:
    """Copy in the report of a run of another seed, which this folder's files do not belong to."""
    other = edited.folder / "other"
    text = config(edited.material.weights).replace("name: faults", "name: faults\nseed: 1")
    (edited.folder / "other.yaml").write_text(text)
    ended = edited.start("run", edited.folder / "other.yaml", "--out", other)
    if ended.code != 0:
        raise RuntimeError(shown(ended))
    shutil.copyfile(other / "report.json", edited.run / "report.json")


def _unverified(form: str) -> Case:
    """`--unverified` may judge an edited report, but has to say so in this format."""

    def case(edited: Edited) -> tuple[str, str]:
        edited.edit(_set_reading(PRUNED, "accuracy_drop_pp", value=0.0))
        ended = edited.start("gate", edited.run, "--unverified", "--format", form)
        if ended.code not in (0, 1):
            return OTHERWISE, shown(ended)
        words = ended.out.lower()
        said = "unverified" in words or "not verified" in words or '"verified": false' in words
        return (HELD, "") if said else (FALSE_PASS, f"{form} does not say that nothing was verified")

    return case


def _untouched(edited: Edited) -> tuple[str, str]:
    """Without tampering the gate holds: else every case here would be held by a mistake."""
    ended = edited.start("gate", edited.run)
    return (HELD, "") if ended.code == 0 else (OTHERWISE, shown(ended))


def _moved(edited: Edited) -> tuple[str, str]:
    """A run folder may be moved: no path of this machine belongs to what is verified."""
    moved = edited.run.rename(edited.folder / "elsewhere")
    ended = edited.start("gate", moved)
    return (HELD, "") if ended.code == 0 else (OTHERWISE, shown(ended))


def _failing(command: str, fail: Callable[[Edited], Path], judge: str = "gate") -> Case:
    """A run that fails in a folder with an old PASS: judging that folder must say so."""

    def case(edited: Edited) -> tuple[str, str]:
        path = fail(edited)
        ended = edited.start(command, path, "--out", edited.run)
        if ended.code == 0:
            return OTHERWISE, f"the run was to fail: {shown(ended)}"
        again = ["--out", edited.folder / "again"] if judge == "report" else []
        return expect_refusal(edited.start(judge, edited.run, *again))

    return case


def _config(edited: Edited, *changes: tuple[str, str]) -> Path:
    """Write the configuration of the run, with words replaced, beside a copy of its weights."""
    weights = edited.folder / "weights.safetensors"
    shutil.copyfile(edited.material.weights, weights)
    text = config(weights)
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    path = edited.folder / "own.yaml"
    path.write_text(text)
    return path


def _weights_gone(edited: Edited) -> Path:
    path = _config(edited)
    (edited.folder / "weights.safetensors").unlink()
    return path


def _other_weights(edited: Edited) -> Path:
    path = _config(edited)
    (edited.folder / "weights.safetensors").write_bytes(b"damaged")
    return path


def _no_config(edited: Edited) -> Path:
    return edited.folder / "nowhere.yaml"


def _stopped(how: int, judge: str = "gate") -> Case:
    """A run of a changed configuration that is stopped half-way, in a folder with an old PASS."""

    def case(edited: Edited) -> tuple[str, str]:
        path = _config(edited, ("epochs: 1", "epochs: 2000"))
        ended = edited.start("run", path, "--out", edited.run, watch=Watch(300.0, KILLED_AFTER_S, how))
        if ended.code == 0:
            return OTHERWISE, f"the run was to be stopped: {shown(ended)}"
        again = ["--out", edited.folder / "again"] if judge == "report" else []
        return expect_refusal(edited.start(judge, edited.run, *again))

    return case


def _resumed_after_failure(edited: Edited) -> tuple[str, str]:
    """After a failure the right command makes the folder good again."""
    failed = edited.start("run", _weights_gone(edited), "--out", edited.run)
    ended = edited.start("run", edited.material.config, "--out", edited.run)
    judged = edited.start("gate", edited.run)
    good = failed.code == 2 and ended.code == 0 and judged.code == 0
    return (HELD, "") if good else (OTHERWISE, f"{shown(failed)}; {shown(ended)}; {shown(judged)}")


CASES_BY_NAME: dict[str, Case] = {
    "nothing was changed": _untouched,
    "the folder was moved": _moved,
    "a reading edited": _reported(_set_reading(PRUNED, "accuracy_drop_pp", value=0.0)),
    "a reading's interval edited": _reported(_set_reading(PRUNED, "accuracy", low=0.99, high=1.0)),
    "a reading's note edited": _reported(_set_reading(PRUNED, "accuracy", note="measured twice")),
    "a reading of another metric": _reported(_set_reading(PRUNED, "accuracy_drop_pp", metric="accuracy.top5")),
    "a reading twice, the last one better": _reported(_doubled),
    "a reading removed": _reported(lambda report: report["readings"].remove(_reading(report, PRUNED, "accuracy"))),
    "roles swapped": _reported(_swapped_roles),
    "the failing candidate made a control": _reported(_set_variant(2, role="control")),
    "the failing candidate removed": _reported(_without_candidate),
    "a variant renamed": _reported(_set_variant(2, name="another")),
    "a file's digest edited": _reported(_set_variant(2, sha256="0" * 64)),
    "a verdict edited": _reported(lambda report: report["verdicts"][0].update(status="PASS", reason="holds")),
    "the outcome edited": _reported(lambda report: report.update(passed=not report["passed"])),
    "the policy made lenient": _reported(lambda report: report["policy"].update(missing="warn", inconclusive="warn")),
    "a limit moved": _reported(lambda report: report["policy"]["criteria"][0].update(limit=100.0)),
    "the recommendation edited": _reported(lambda report: report["recommendation"].update(variant=PRUNED)),
    "the version of ONNX Runtime edited": _reported(
        lambda report: report["environment"]["versions"].update(onnxruntime="1.99.0")
    ),
    "the data's fingerprint edited": _reported(lambda report: report["subject"].update(data_sha256="0" * 64)),
    "a warning removed": _reported(lambda report: report.update(warnings=["all is well"])),
    "the digests taken out": _reported(_undigested),
    "the report of another run": _gated(_of_another_run),
    "model.onnx deleted": _gated(_deleted(f"{PRUNED}/model.onnx")),
    "model.onnx replaced": _gated(_replaced_file("baseline/model.onnx", f"{PRUNED}/model.onnx")),
    "model.onnx with a byte flipped": _gated(_flipped(f"{QUANTIZED}/model.onnx")),
    "the baseline's model.onnx replaced": _gated(_replaced_file(f"{PRUNED}/model.onnx", "baseline/model.onnx")),
    "the control's model.onnx deleted": _gated(_deleted("control/model.onnx")),
    "the folder of a candidate deleted": _gated(lambda edited: shutil.rmtree(edited.run / PRUNED)),
    "a stage's result edited": _gated(_edited_stage(f"{PRUNED}/count.json", _more_zeros)),
    "a stage's similarity edited": _gated(_edited_stage("control/similarity.json", lambda r: r[0].update(score=1.0))),
    "a stage's inputs edited": _gated(lambda e: e.edit(lambda d: d.update(inputs={}), f"{PRUNED}/predict.json")),
    "a stage deleted": _gated(_deleted(f"{PRUNED}/predict.json")),
    "the latency samples deleted": _gated(_deleted("latency.json")),
    "the predictions replaced": _gated(_logits),
    "the heatmaps replaced": _gated(_replaced_file("baseline/cams.npz", f"{PRUNED}/cams.npz")),
    "the weights replaced": _gated(_replaced_file("control/weights.safetensors", "baseline/weights.safetensors")),
    "the test images with a byte flipped": _gated(_flipped("data.npz")),
    "the test images deleted": _gated(_deleted("data.npz")),
    "rendered with a reading edited": _rendered(
        lambda edited: edited.edit(_set_reading(PRUNED, "accuracy_drop_pp", value=0.0))
    ),
    "rendered with model.onnx replaced": _rendered(_replaced_file("baseline/model.onnx", f"{PRUNED}/model.onnx")),
    **{f"--unverified says so in {form}": _unverified(form) for form in FORMATS},
    "an old PASS, then the weights are gone": _failing("run", _weights_gone),
    "an old PASS, then the weights are damaged": _failing("run", _other_weights),
    "an old PASS, then the YAML is broken": _failing("run", lambda e: _config(e, ("model:", "model: [:"))),
    "an old PASS, then a metric is misspelt": _failing("run", lambda e: _config(e, ("size.bytes", "size.byte"))),
    "an old PASS, then a criterion is unknown": _failing(
        "run", lambda e: _config(e, ("criterion: l1", "criterion: l9"))
    ),
    "an old PASS, then a key is unknown": _failing("run", lambda e: _config(e, ("name: faults", "nom: faults"))),
    "an old PASS, then there is no such configuration": _failing("run", _no_config),
    "an old PASS, then a sweep fails": _failing("sweep", _weights_gone),
    "an old PASS, then a run fails, rendered": _failing("run", _weights_gone, "report"),
    "an old PASS, then a run is killed": _stopped(signal.SIGKILL),
    "an old PASS, then a run is interrupted": _stopped(signal.SIGINT),
    "an old PASS, then a run is terminated": _stopped(signal.SIGTERM),
    "an old PASS, then a run is killed, rendered": _stopped(signal.SIGKILL, "report"),
    "a run that failed and was done again": _resumed_after_failure,
}

CASES = len(CASES_BY_NAME)
SHORT = (0, 1, 2, 6, 8, 24, 29, 42, 48)
