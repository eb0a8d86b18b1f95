"""Named ways in which what a stage depends on changes between two commands: the stage has to be done again."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import safetensors.torch
from attrs import frozen

from edgecheck.images import load_npz
from tests.benchmarks.faults.copies import copied_run, replaced_unseen, report_of, stage_times, value
from tests.benchmarks.faults.material import Material, config, with_labels, write_network
from tests.benchmarks.faults.outcomes import FALSE_PASS, HELD, OTHERWISE, Outcome, shown
from tests.benchmarks.faults.processes import Ended, Surroundings, Watch, fork

KIND = "staleness"

GATE = ("--gate", "accuracy_drop_pp <= 1", "--time-budget", "0", "--config")


@frozen
class Scene:
    """A case's folder, the material, and the run folder that two commands share."""

    folder: Path
    material: Material
    run: Path

    def start(self, *arguments: object, patch: Callable[[], None] | None = None) -> Ended:
        """Run a command of edgecheck."""
        return fork(arguments, Surroundings(self.folder, Watch(300.0), patch))


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

    command: Callable[[Scene], list[object]]
    stages: tuple[str, ...]
    change: Callable[[Scene], object] | None = None
    patch: Callable[[], None] | None = None
    falls: tuple[str, str] | None = None


def attempt(number: int, material: Material, folder: Path) -> Outcome:
    """Run a command, change something, run it again: what depends on it must be new, and what does not may stay."""
    name = list(CHANGES)[number]
    found = _staleness(CHANGES[name], Scene(folder, material, folder / "run"))
    return Outcome(KIND, number, name, *found)


def _staleness(change: Change, scene: Scene) -> tuple[str, str]:
    command = change.command(scene)
    first = scene.start(*command)
    before = stage_times(scene.run), report_of(scene.run)
    if first.code not in (0, 1) or not before[1]:
        return OTHERWISE, f"the first command failed: {shown(first)}"
    if change.change:
        change.change(scene)
    second = scene.start(*command, patch=change.patch)
    after = stage_times(scene.run), report_of(scene.run)
    if second.code == 2:
        return HELD, ""  # refusing the changed input is no false pass either
    kept = [stage for stage in change.stages if before[0].get(stage) == after[0].get(stage)]
    if change.falls:
        values = [value(report, *change.falls) for report in (before[1], after[1])]
        if None not in values and values[1] >= values[0]:  # type: ignore[operator]
            return FALSE_PASS, f"{' '.join(change.falls)} is still {values[1]}, as before the change ({shown(second)})"
    return (FALSE_PASS, f"not done again: {', '.join(kept)}") if kept else (HELD, "")


# What is checked.


def _board(scene: Scene, data: Path | None = None, *more: object) -> list[object]:
    """Check copies of the board's files."""
    for name in ("a.onnx", "b.onnx", "data.npz"):
        if not (scene.folder / name).exists():
            shutil.copyfile(scene.material.board / name, scene.folder / name)
    return _check(scene, scene.folder / "a.onnx", scene.folder / "b.onnx", data or scene.folder / "data.npz", *more)


def _check(scene: Scene, baseline: Path, candidate: Path, data: Path, *more: object) -> list[object]:
    files = ["--baseline", baseline, "--candidate", candidate, "--data", data, "--out", scene.run]
    return ["check", *files, *GATE, scene.material.check_config, *more]


def _folder(scene: Scene) -> list[object]:
    """Check the board's files on a folder of bitmaps."""
    shutil.copytree(scene.material.images, scene.folder / "images")
    return _board(scene, scene.folder / "images", "--size", "16x16")


def _external(scene: Scene) -> list[object]:
    """Check a candidate whose weights lie in a second file."""
    model = onnx.load(scene.material.board / "b.onnx")
    file = scene.folder / "b.onnx"
    onnx.save(model, file, save_as_external_data=True, location="b.data", size_threshold=0)
    return _board(scene)


def _quantized(scene: Scene) -> list[object]:
    """Check a quantized candidate whose weights lie in a second file."""
    model = onnx.load(scene.material.run / "baseline-int8" / "model.onnx")
    file = scene.folder / "int8.onnx"
    onnx.save(model, file, save_as_external_data=True, location="int8.data", size_threshold=0)
    baseline = scene.material.run / "baseline" / "model.onnx"
    return _check(scene, baseline, file, scene.material.run / "data.npz")


def _twins(scene: Scene) -> list[object]:
    """Check the baseline's file against itself, with twins made by a factory that has neighbours."""
    write_network(scene.folder / "network")
    weights = scene.folder / "weights.safetensors"
    shutil.copyfile(scene.material.weights, weights)
    file = scene.material.run / "baseline" / "model.onnx"
    data = scene.folder / "data.npz"
    if not data.exists():
        shutil.copyfile(scene.material.run / "data.npz", data)
    twin = [
        word
        for side in ("baseline", "candidate")
        for word in (f"--{side}-twin", f"{scene.folder}/network/net.py:build", f"--{side}-weights", weights)
    ]
    return _check(scene, file, file, data, *twin)


def _whole(scene: Scene) -> list[object]:
    """A whole run in a copy of the finished one."""
    if not scene.run.exists():
        copied_run(scene.material.run, scene.run)
    return ["run", scene.material.config, "--out", scene.run]


def _whole_own(scene: Scene) -> list[object]:
    """A whole run of a factory that has neighbours."""
    write_network(scene.folder / "network")
    path = scene.folder / "own.yaml"
    path.write_text(config(scene.material.weights, f"{scene.folder}/network/net.py:build"))
    return ["run", path, "--out", scene.run]


# What changes.


def _write(file: str, text: str) -> Callable[[Scene], None]:
    """Write other text of the same length into a file of the case's folder, unseen by its size and time."""
    return lambda scene: replaced_unseen(scene.folder / file, text.encode())


def _swapped_images(scene: Scene) -> None:
    """Swap the images of two classes, file by file: names, sizes and times stay."""
    red, green = (sorted((scene.folder / "images" / "test" / name).iterdir()) for name in ("red", "green"))
    for one, other in zip(red, green, strict=False):
        first, second = one.read_bytes(), other.read_bytes()
        replaced_unseen(one, second)
        replaced_unseen(other, first)


def _other_labels(scene: Scene) -> None:
    """Give an npz other labels; its size and times stay."""
    path = scene.folder / "data.npz"
    data = load_npz(path)
    other = with_labels(data, (data.labels + 1) % 3, scene.folder / "other.npz")
    content = other.read_bytes()
    other.unlink()
    # The preprocessing that the writer adds makes it longer; an archive of the same arrays has the same size.
    if len(content) != path.stat().st_size:
        np.savez(other, images=data.images[:], labels=(data.labels + 1) % 3, classes=np.array(data.classes, str))
        content = other.read_bytes()
        other.unlink()
    replaced_unseen(path, content)


def _other_classes(scene: Scene) -> None:
    """Turn the class names of an npz around."""
    path = scene.folder / "data.npz"
    data = load_npz(path)
    content = with_labels(data, data.labels, scene.folder / "other.npz", data.classes[::-1]).read_bytes()
    path.write_bytes(content)


def _negated(file: str) -> Callable[[Scene], None]:
    """Negate the numbers of a file of weights: external data of float32."""

    def change(scene: Scene) -> None:
        path = scene.folder / file
        content = bytearray(path.read_bytes())
        whole = len(content) // 4 * 4
        numbers = np.frombuffer(bytes(content[:whole]), np.float32)
        content[:whole] = (-numbers).tobytes()
        replaced_unseen(path, bytes(content))

    return change


def _scrambled(file: str) -> Callable[[Scene], None]:
    """Turn the bytes of a file around: the same bytes, other weights."""
    return lambda scene: replaced_unseen(scene.folder / file, (scene.folder / file).read_bytes()[::-1])


def _other_weights(scene: Scene) -> None:
    """Negate the last layer of the twin's weights, unseen by size and time."""
    path = scene.folder / "weights.safetensors"
    state = safetensors.torch.load_file(path)
    last = [name for name in state if name.startswith("classifier")]
    content = safetensors.torch.save({name: -state[name] if name in last else state[name] for name in state})
    replaced_unseen(path, content)


def _edited_result(file: str, old: str, new: str) -> Callable[[Scene], None]:
    def change(scene: Scene) -> None:
        path = scene.run / file
        text = path.read_text()
        assert old in text, f"{file} has no {old}"
        path.write_text(text.replace(old, new))

    return change


def _replaced(source: str, target: str) -> Callable[[Scene], object]:
    return lambda scene: shutil.copyfile(scene.run / source, scene.run / target)


def _version(package: str) -> Callable[[], None]:
    """Return a patch that makes another version of a package known to Python."""

    def patch() -> None:
        distribution = importlib.metadata.Distribution
        told = distribution.version
        assert isinstance(told, property)

        def version(self: importlib.metadata.Distribution) -> str:
            name = (self.metadata["Name"] or "").lower().replace("_", "-")
            return "0.0.1" if name == package else told.fget(self)  # type: ignore[misc]

        distribution.version = property(version)  # type: ignore[assignment, method-assign]
        module = {"torch-pruning": "torch_pruning"}.get(package, package)
        importlib.import_module(module).__version__ = "0.0.1"  # type: ignore[attr-defined]

    return patch


def _cpuinfo(old: str, new: str) -> Callable[[], None]:
    """Return a patch that has the kernel tell of another CPU."""

    def patch() -> None:
        from edgecheck.device import environment

        text = Path("/proc/cpuinfo").read_text()
        lines = [line if not line.startswith(old) else f"{line} {new}" for line in text.splitlines()]
        path = Path(os.getcwd()) / "cpuinfo"
        path.write_text("\n".join(lines) + "\n")
        environment.CPUINFO = path

    return patch


def _architecture() -> None:
    platform.machine = lambda: "riscv64"


PREDICTED = ("baseline/predict.json", "candidate/predict.json")
COUNTED = ("baseline/count.json", "candidate/count.json")
EXPLAINED = ("baseline/explain.json", "candidate/explain.json")
PRUNED = "l1-filters-0.50"
RAN = tuple(f"{name}/{stage}.json" for name in ("baseline", PRUNED, "baseline-int8") for stage in ("predict", "count"))

CHANGES: dict[str, Change] = {
    "another version of onnxruntime": Change(_board, (*PREDICTED, *COUNTED), patch=_version("onnxruntime")),
    "another version of numpy": Change(_board, PREDICTED, patch=_version("numpy")),
    "another version of torch": Change(_twins, EXPLAINED, patch=_version("torch")),
    "another version of torchvision": Change(_twins, EXPLAINED, patch=_version("torchvision")),
    "another version of onnxruntime, whole run": Change(_whole, (*RAN, "latency.json"), patch=_version("onnxruntime")),
    "another version of torch-pruning, whole run": Change(
        _whole, (f"{PRUNED}/prune.json",), patch=_version("torch-pruning")
    ),
    "another version of torch, whole run": Change(_whole, ("control/make.json",), patch=_version("torch")),
    "other CPU flags": Change(_board, PREDICTED, patch=_cpuinfo("flags", "avx512_vnni amx_int8")),
    "another CPU": Change(_board, PREDICTED, patch=_cpuinfo("model name", "Pro Max")),
    "another architecture": Change(_board, PREDICTED, patch=_architecture),
    "other CPU flags, whole run": Change(
        _whole, (*RAN, "latency.json"), patch=_cpuinfo("flags", "avx512_vnni amx_int8")
    ),
    "the factory's file edited": Change(
        _twins,
        EXPLAINED,
        lambda s: (s.folder / "network/net.py").write_text("X = 1\n" + (s.folder / "network/net.py").read_text()),
    ),
    "the factory's neighbour edited": Change(_twins, EXPLAINED, _write("network/neighbour.py", "SIGN = 2.0\n")),
    "a package beside the factory edited": Change(
        _twins, EXPLAINED, _write("network/inner/scale.py", "def scale():\n    return 2.0\n")
    ),
    "a file that the factory reads edited": Change(_twins, EXPLAINED, _write("network/factor.txt", "2.0\n")),
    "a file that the factory reads edited, whole run": Change(
        _whole_own, ("control/make.json", "baseline/export.json"), _write("network/factor.txt", "2.0\n")
    ),
    "the twin's weights negated": Change(_twins, EXPLAINED, _other_weights),
    "images swapped under the same names, sizes and times": Change(
        _folder, PREDICTED, _swapped_images, falls=("candidate", "accuracy")
    ),
    "labels changed in an npz of the same size and time": Change(
        _board, (), _other_labels, falls=("candidate", "accuracy")
    ),
    "class names turned around": Change(_twins, ("candidate/similarity.json",), _other_classes),
    "external data negated": Change(
        _external, ("candidate/predict.json",), _negated("b.data"), falls=("candidate", "accuracy")
    ),
    "external data of a quantized file changed": Change(
        _quantized, ("candidate/predict.json",), _scrambled("int8.data")
    ),
    "a candidate's file replaced": Change(
        _board,
        ("candidate/predict.json", "candidate/count.json"),
        lambda s: shutil.copyfile(s.folder / "a.onnx", s.folder / "b.onnx"),
    ),
    "the result of a stage edited": Change(
        _whole, (f"{PRUNED}/count.json",), _edited_result(f"{PRUNED}/count.json", '"value": ', '"value": 1')
    ),
    "the inputs of a stage edited": Change(
        _whole, (f"{PRUNED}/predict.json",), _edited_result(f"{PRUNED}/predict.json", '"key": "', '"key": "0')
    ),
    "a file of a stage replaced": Change(
        _whole, (f"{PRUNED}/export.json",), _replaced("baseline/model.onnx", f"{PRUNED}/model.onnx")
    ),
    "the predictions of a stage replaced": Change(
        _whole, (f"{PRUNED}/predict.json",), _replaced("baseline/logits.npz", f"{PRUNED}/logits.npz")
    ),
    "the weights of a stage replaced": Change(
        _whole, (f"{PRUNED}/make.json",), _replaced("control/weights.safetensors", f"{PRUNED}/weights.safetensors")
    ),
}

CASES = len(CHANGES)
SHORT = (0, 7, 14, 17, 20)
