"""Named ways in which what a stage depends on changes between two commands: the stage has to be done again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
from attrs import frozen

from tests.benchmarks.faults import changed
from tests.benchmarks.faults.cases import Case, Place, named
from tests.benchmarks.faults.copies import report_of, stage_times, value
from tests.benchmarks.faults.material import config, write_network
from tests.benchmarks.faults.outcomes import FALSE_PASS, HELD, OTHERWISE, shown

GATE = ("--gate", "accuracy_drop_pp <= 1", "--time-budget", "0", "--config")


@frozen
class Change:
    """What is checked, how it changes, and which stages must then be done again.

    Args:
        command: writes the inputs and returns the command line.
        change: changes an input; None where only `patch` changes something.
        stages: the files of the stages that must be written again, as patterns in the run folder.
        patch: changes the machine or its versions, before the second command.
        falls: the variant and metric whose value must fall, since the change makes it worse; "" where none does.
    """

    command: Callable[[Place], list[object]]
    stages: tuple[str, ...]
    change: Callable[[Place], object] | None = None
    patch: Callable[[], None] | None = None
    falls: tuple[str, str] | None = None


def _staleness(change: Change, place: Place) -> tuple[str, str]:
    command = change.command(place)
    first = place.fork(*command)
    before = stage_times(place.run), report_of(place.run)
    if first.code not in (0, 1) or not before[1]:
        return OTHERWISE, f"the first command failed: {shown(first)}"
    if change.change:
        change.change(place)
    second = place.fork(*command, patch=change.patch)
    after = stage_times(place.run), report_of(place.run)
    if second.code == 2:
        return HELD, ""  # refusing the changed input is no false pass either
    kept = [stage for stage in change.stages if before[0].get(stage) == after[0].get(stage)]
    if change.falls:
        values = [value(report, *change.falls) for report in (before[1], after[1])]
        if None not in values and values[1] >= values[0]:  # type: ignore[operator]
            return FALSE_PASS, f"{' '.join(change.falls)} is still {values[1]}, as before the change ({shown(second)})"
    return (FALSE_PASS, f"not done again: {', '.join(kept)}") if kept else (HELD, "")


def _board(place: Place, data: Path | None = None, *more: object) -> list[object]:
    """Check copies of the board's files."""
    for name in ("a.onnx", "b.onnx", "data.npz"):
        if not (place.folder / name).exists():
            shutil.copyfile(place.material.board / name, place.folder / name)
    return _check(place, place.folder / "a.onnx", place.folder / "b.onnx", data or place.folder / "data.npz", *more)


def _check(place: Place, baseline: Path, candidate: Path, data: Path, *more: object) -> list[object]:
    files = ["--baseline", baseline, "--candidate", candidate, "--data", data, "--out", place.run]
    return ["check", *files, *GATE, place.material.check_config, *more]


def _folder(place: Place) -> list[object]:
    """Check the board's files on a folder of bitmaps."""
    shutil.copytree(place.material.images, place.folder / "images")
    return _board(place, place.folder / "images", "--size", "16x16", "--range", "0,1")


def _external(place: Place) -> list[object]:
    """Check a candidate whose weights lie in a second file."""
    model = onnx.load(place.material.board / "b.onnx")
    file = place.folder / "b.onnx"
    onnx.save(model, file, save_as_external_data=True, location="b.data", size_threshold=0)
    return _board(place)


def _quantized(place: Place) -> list[object]:
    """Check a quantized candidate whose weights lie in a second file."""
    model = onnx.load(place.material.run / "baseline-int8" / "model.onnx")
    file = place.folder / "int8.onnx"
    onnx.save(model, file, save_as_external_data=True, location="int8.data", size_threshold=500)
    baseline = place.material.run / "baseline" / "model.onnx"
    return _check(place, baseline, file, place.material.run / "data.npz")


def _twins(place: Place) -> list[object]:
    """Check the baseline's file against itself, with twins made by a factory that has neighbours."""
    write_network(place.folder / "network")
    weights = place.folder / "weights.safetensors"
    shutil.copyfile(place.material.weights, weights)
    file = place.material.run / "baseline" / "model.onnx"
    data = place.folder / "data.npz"
    if not data.exists():
        shutil.copyfile(place.material.run / "data.npz", data)
    twin = [
        word
        for side in ("baseline", "candidate")
        for word in (f"--{side}-twin", f"{place.folder}/network/net.py:build", f"--{side}-weights", weights)
    ]
    return _check(place, file, file, data, *twin)


def _whole(place: Place) -> list[object]:
    """A whole run in a copy of the finished one."""
    if not place.run.exists():
        place.copy_run()
    return ["run", place.material.config, "--out", place.run]


def _whole_own(place: Place) -> list[object]:
    """A whole run of a factory that has neighbours."""
    write_network(place.folder / "network")
    path = place.folder / "own.yaml"
    path.write_text(config(place.material.weights, f"{place.folder}/network/net.py:build"))
    return ["run", path, "--out", place.run]


PREDICTED = ("baseline/predict.json", "candidate/predict.json")
COUNTED = ("baseline/count.json", "candidate/count.json")
EXPLAINED = ("baseline/explain.json", "candidate/explain.json")
PRUNED = "l1-filters-0.50"
RAN = tuple(
    f"{name}/{stage}.json" for name in ("baseline", PRUNED, "baseline-int8") for stage in ("predict", "profile")
)

CHANGES: dict[str, Change] = {
    "another version of onnxruntime": Change(_board, (*PREDICTED, *COUNTED), patch=changed.version("onnxruntime")),
    "another version of numpy": Change(_board, PREDICTED, patch=changed.version("numpy")),
    "another version of torch": Change(_twins, EXPLAINED, patch=changed.version("torch")),
    "another version of torchvision": Change(_twins, EXPLAINED, patch=changed.version("torchvision")),
    "another version of onnxruntime, whole run": Change(
        _whole, (*RAN, "latency.json"), patch=changed.version("onnxruntime")
    ),
    "another version of torch-pruning, whole run": Change(
        _whole, (f"{PRUNED}/prune-0.json",), patch=changed.version("torch-pruning")
    ),
    "another version of torch, whole run": Change(_whole, ("control/finetune-0.json",), patch=changed.version("torch")),
    "other CPU flags": Change(_board, PREDICTED, patch=changed.cpuinfo("flags", "avx512_vnni amx_int8")),
    "another CPU": Change(_board, PREDICTED, patch=changed.cpuinfo("model name", "Pro Max")),
    "another architecture": Change(_board, PREDICTED, patch=changed.architecture),
    "other CPU flags, whole run": Change(
        _whole, (*RAN, "latency.json"), patch=changed.cpuinfo("flags", "avx512_vnni amx_int8")
    ),
    "the factory's file edited": Change(
        _twins,
        EXPLAINED,
        lambda place: (place.folder / "network/net.py").write_text(
            "X = 1\n" + (place.folder / "network/net.py").read_text()
        ),
    ),
    "the factory's neighbour edited": Change(_twins, EXPLAINED, changed.write("network/neighbour.py", "SIGN = 2.0\n")),
    "a package beside the factory edited": Change(
        _twins, EXPLAINED, changed.write("network/inner/scale.py", "def scale():\n    return 2.0\n")
    ),
    "a file that the network reads as it runs edited": Change(
        _twins, EXPLAINED, changed.write("network/later.txt", "2.0\n")
    ),
    "a file that the factory reads edited": Change(_twins, EXPLAINED, changed.write("network/factor.txt", "2.0\n")),
    "a file that the factory reads edited, whole run": Change(
        _whole_own, ("control/finetune-0.json", "baseline/export.json"), changed.write("network/factor.txt", "2.0\n")
    ),
    "the twin's weights negated": Change(_twins, EXPLAINED, changed.other_weights),
    "images swapped under the same names, sizes and times": Change(
        _folder, PREDICTED, changed.swapped_images, falls=("candidate", "accuracy")
    ),
    "labels changed in an npz of the same size and time": Change(
        _board, (), changed.other_labels, falls=("candidate", "accuracy")
    ),
    "class names turned around": Change(_twins, ("candidate/similarity.json",), changed.other_classes),
    "external data negated": Change(
        _external, ("candidate/predict.json",), changed.negated("b.data"), falls=("candidate", "accuracy")
    ),
    "external data of a quantized file changed": Change(
        _quantized, ("candidate/predict.json",), changed.scrambled("int8.data")
    ),
    "a candidate's file replaced": Change(
        _board,
        ("candidate/predict.json", "candidate/count.json"),
        lambda place: shutil.copyfile(place.folder / "a.onnx", place.folder / "b.onnx"),
    ),
    "the result of a stage edited": Change(
        _whole, (f"{PRUNED}/count.json",), changed.edited_result(f"{PRUNED}/count.json", '"macs": ', '"macs": 1')
    ),
    "the inputs of a stage edited": Change(
        _whole, (f"{PRUNED}/predict.json",), changed.edited_result(f"{PRUNED}/predict.json", '"key": "', '"key": "0')
    ),
    "a file of a stage replaced": Change(
        _whole, (f"{PRUNED}/export.json",), changed.replaced("baseline/model.onnx", f"{PRUNED}/model.onnx")
    ),
    "the predictions of a stage replaced": Change(
        _whole, (f"{PRUNED}/predict.json",), changed.replaced("baseline/logits.npz", f"{PRUNED}/logits.npz")
    ),
    "the weights of a stage replaced": Change(
        _whole,
        (f"{PRUNED}/finetune-1.json",),
        changed.replaced("control/weights.safetensors", f"{PRUNED}/weights.safetensors"),
    ),
}


def _case(change: Change) -> Case:
    return lambda place: _staleness(change, place)


SHORT = (
    "another version of onnxruntime",
    "other CPU flags",
    "images swapped under the same names, sizes and times",
    "external data negated",
)
KIND = named("staleness", {name: _case(change) for name, change in CHANGES.items()}, SHORT)
