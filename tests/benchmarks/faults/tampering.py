"""Named ways of editing what a finished run left: `gate` and `report` must not judge by it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.benchmarks.faults.cases import Case, Place, named
from tests.benchmarks.faults.copies import edit_json, replaced_unseen
from tests.benchmarks.faults.material import config
from tests.benchmarks.faults.outcomes import FALSE_PASS, HELD, OTHERWISE, expect_exit, expect_refusal, shown

FORMATS = ("terminal", "json", "markdown", "junit")
# What a report held before it was sealed.
UNSEALED_KEYS = {
    *("schema_version", "tool", "environment", "subject", "variants", "readings", "similarities", "policy", "verdicts"),
    *("statuses", "recommendation", "passed", "warnings"),
}
PRUNED, QUANTIZED = "l1-filters-0.50", "baseline-int8"


def _gated(spoil: Callable[[Place], Any]) -> Case:
    """A case whose spoiled folder `edgecheck gate` must refuse."""

    def case(place: Place) -> tuple[str, str]:
        spoil(place)
        return expect_refusal(place.fork("gate", place.run))

    return case


def _reported(change: Callable[[dict[str, Any]], Any]) -> Case:
    """A case whose edited report.json `edgecheck gate` must refuse."""
    return _gated(lambda place: edit_json(place.run, change))


def _rendered(spoil: Callable[[Place], Any]) -> Case:
    """A case whose spoiled folder `edgecheck report` must refuse to render."""

    def case(place: Place) -> tuple[str, str]:
        spoil(place)
        return expect_refusal(place.fork("report", place.run, "--out", place.folder / "again"))

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
    """Leave what a report of an earlier edgecheck has: nothing to verify it by."""
    for key in set(report) - UNSEALED_KEYS:
        del report[key]
    _reading(report, PRUNED, "accuracy_drop_pp")["value"] = 0.0


def _replaced_file(source: str, target: str) -> Callable[[Place], None]:
    return lambda place: shutil.copyfile(place.run / source, place.run / target) and None


def _deleted(file: str) -> Callable[[Place], None]:
    return lambda place: (place.run / file).unlink()


def _flipped(file: str) -> Callable[[Place], None]:
    """Change one byte in the middle of a file, and neither its size nor its time."""

    def change(place: Place) -> None:
        content = bytearray((place.run / file).read_bytes())
        content[len(content) // 2] ^= 1
        replaced_unseen(place.run / file, bytes(content))

    return change


def _edited_stage(file: str, change: Callable[[Any], Any]) -> Callable[[Place], None]:
    return lambda place: edit_json(place.run, lambda document: change(document["result"]), file)


def _more_zeros(result: dict[str, Any]) -> None:
    result["size_bytes"] = 1


def _most_similar(result: dict[str, Any]) -> None:
    result["similarities"][0]["score"] = 1.0


def _logits(place: Place) -> None:
    """Give the pruned variant the predictions of the baseline, as an npz of the same form."""
    with np.load(place.run / "baseline" / "logits.npz") as archive:
        np.savez(place.run / PRUNED / "logits.npz", logits=archive["logits"])


def _of_another_run(place: Place) -> None:
    """Copy in the report of a run of another seed, which this folder's files do not belong to."""
    other = place.folder / "other"
    text = config(place.material.weights).replace("name: faults", "name: faults\nseed: 1")
    (place.folder / "other.yaml").write_text(text)
    ended = place.fork("run", place.folder / "other.yaml", "--out", other)
    if ended.code != 0:
        raise RuntimeError(shown(ended))
    shutil.copyfile(other / "report.json", place.run / "report.json")


def _unverified(form: str) -> Case:
    """`--unverified` may judge an edited report, but has to say so in this format."""

    def case(place: Place) -> tuple[str, str]:
        edit_json(place.run, _set_reading(PRUNED, "accuracy_drop_pp", value=0.0))
        ended = place.fork("gate", place.run, "--unverified", "--format", form)
        if ended.code not in (0, 1):
            return OTHERWISE, shown(ended)
        words = ended.out.lower()
        said = "unverified" in words or "not verified" in words or '"verified": false' in words
        return (HELD, "") if said else (FALSE_PASS, f"{form} does not say that nothing was verified")

    return case


def _untouched(place: Place) -> tuple[str, str]:
    """Without tampering the gate holds: else every case here would be held by a mistake."""
    return expect_exit(place.fork("gate", place.run), 0)


def _moved(place: Place) -> tuple[str, str]:
    """A run folder may be moved: no path of this machine belongs to what is verified."""
    moved = place.run.rename(place.folder / "elsewhere")
    return expect_exit(place.fork("gate", moved), 0)


CASES: dict[str, Case] = {
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
    "a warning removed": _reported(lambda report: report["warnings"].pop()),
    "the digests taken out": _reported(_undigested),
    "the report of another run": _gated(_of_another_run),
    "model.onnx deleted": _gated(_deleted(f"{PRUNED}/model.onnx")),
    "model.onnx replaced": _gated(_replaced_file("baseline/model.onnx", f"{PRUNED}/model.onnx")),
    "model.onnx with a byte flipped": _gated(_flipped(f"{QUANTIZED}/model.onnx")),
    "the baseline's model.onnx replaced": _gated(_replaced_file(f"{PRUNED}/model.onnx", "baseline/model.onnx")),
    "the control's model.onnx deleted": _gated(_deleted("control/model.onnx")),
    "the folder of a candidate deleted": _gated(lambda place: shutil.rmtree(place.run / PRUNED)),
    "a stage's result edited": _gated(_edited_stage(f"{PRUNED}/count.json", _more_zeros)),
    "a stage's similarity edited": _gated(_edited_stage("control/similarity.json", _most_similar)),
    "a stage's inputs edited": _gated(
        lambda place: edit_json(place.run, lambda d: d.update(inputs={}), f"{PRUNED}/predict.json")
    ),
    "a stage deleted": _gated(_deleted(f"{PRUNED}/predict.json")),
    "the latency samples deleted": _gated(_deleted("latency.json")),
    "the predictions replaced": _gated(_logits),
    "the heatmaps replaced": _gated(_replaced_file("baseline/cams.npz", f"{PRUNED}/cams.npz")),
    "the weights replaced": _gated(_replaced_file("control/weights.safetensors", "baseline/weights.safetensors")),
    "the test images with a byte flipped": _gated(_flipped("data.npz")),
    "the test images deleted": _gated(_deleted("data.npz")),
    "rendered with a reading edited": _rendered(
        lambda place: edit_json(place.run, _set_reading(PRUNED, "accuracy_drop_pp", value=0.0))
    ),
    "rendered with model.onnx replaced": _rendered(_replaced_file("baseline/model.onnx", f"{PRUNED}/model.onnx")),
    **{f"--unverified says so in {form}": _unverified(form) for form in FORMATS},
}

SHORT = (
    "nothing was changed",
    "a reading edited",
    "a reading twice, the last one better",
    "roles swapped",
    "model.onnx replaced",
    "a stage's result edited",
    "--unverified says so in json",
)
KIND = named("tampering", CASES, SHORT, in_copy=True)
