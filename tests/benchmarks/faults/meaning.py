"""Named ways in which a reading is not of what it is said to be of, or a gate asks for nothing: none may pass."""

from __future__ import annotations

import json
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import safetensors.torch
import torch
from attrs import frozen
from onnx import numpy_helper

from edgecheck.images import ImageSet, load_npz, take
from tests.benchmarks.faults.material import Material, config, with_labels
from tests.benchmarks.faults.outcomes import FALSE_PASS, HELD, OTHERWISE, Outcome, generator, shown
from tests.benchmarks.faults.processes import Ended, Surroundings, Watch, fork
from tests.benchmarks.faults.tampering import QUANTIZED, expect_no_pass, expect_refusal

KIND = "meaning"

TWIN = "edgecheck:digits_cnn"
SP2PS = "sp2ps.grad-cam >= 0.5"
DROP = "accuracy_drop_pp <= 2"
DIGITS = ("--mean", "0.3053", "--std", "0.3233")


@frozen
class Bench:
    """A case's folder and the material, with the commands that these cases use."""

    folder: Path
    material: Material
    number: int

    def start(self, *arguments: object) -> Ended:
        """Run a command of edgecheck."""
        return fork(arguments, Surroundings(self.folder, Watch(300.0)))

    def gate(self, *sentences: str) -> Ended:
        """Judge the finished run by some criteria alone."""
        gates = [word for sentence in sentences for word in ("--gate", sentence)]
        return self.start("gate", self.material.run, "--only", *gates, "--require", "all", "--format", "json")

    def check(self, *more: object, candidate: str = "baseline", data: Path | None = None, gate: str = DROP) -> Ended:
        """Check a file of the finished run against its baseline."""
        files = [self.material.run / name / "model.onnx" for name in ("baseline", candidate)]
        words = ["check", "--baseline", files[0], "--candidate", files[1], "--config", self.material.check_config]
        words += ["--data", data or self.material.run / "data.npz", "--time-budget", "0", "--gate", gate]
        return self.start(*words, *more)

    def data(self) -> ImageSet:
        """Return the test images of the finished run."""
        return load_npz(self.material.run / "data.npz")


Case = Callable[[Bench], tuple[str, str]]


def attempt(number: int, material: Material, folder: Path) -> Outcome:
    """Ask for something that means nothing, or of something that is not what it is said to be."""
    name = list(CASES_BY_NAME)[number]
    return Outcome(KIND, number, name, *CASES_BY_NAME[name](Bench(folder, material, number)))


# Borrowed evidence: the maps of a quantized file's float twin are not its own.


def _borrowed(metric: str, sentence: str) -> Case:
    def case(bench: Bench) -> tuple[str, str]:
        ended = bench.gate(sentence)
        if ended.code not in (0, 1):
            return OTHERWISE, shown(ended)
        verdicts = {(v["variant"], v["metric"]): v for v in json.loads(ended.out)["verdicts"]}
        found = verdicts[QUANTIZED, metric]
        return (HELD, "") if found["status"] == "MISSING" else (FALSE_PASS, f"{found['status']}: {found['actual']}")

    return case


def _not_borrowed_by_a_check(bench: Bench) -> tuple[str, str]:
    """Give a quantized file its float twin: their logits differ, so the twin's maps are not the file's."""
    twins = _twins(bench.material.weights, bench.material.weights)
    return expect_no_pass(bench.check(*twins, candidate=QUANTIZED, gate=SP2PS))


# Twins that are not the file's.


def _twins(baseline: Path, candidate: Path) -> list[object]:
    return [
        word
        for side, weights in (("baseline", baseline), ("candidate", candidate))
        for word in (f"--{side}-twin", TWIN, f"--{side}-weights", weights)
    ]


def _changed_weights(bench: Bench, name: str, scale: float) -> Path:
    """Write the twin's weights with its last layer scaled: its maps stay nearly the same, its logits do not."""
    state = safetensors.torch.load_file(bench.material.weights)
    scaled = {key: value * scale if key.startswith("classifier") else value for key, value in state.items()}
    path = bench.folder / f"{name}.safetensors"
    safetensors.torch.save_file(scaled, path)
    return path


def _random_weights(bench: Bench) -> Path:
    from edgecheck.models.digits_cnn import DigitsCNN

    torch.manual_seed(bench.number)
    path = bench.folder / "random.safetensors"
    safetensors.torch.save_file(DigitsCNN().state_dict(), path)
    return path


def _wrong_twins(wrong: Callable[[Bench], Path], which: str, gate: str = SP2PS) -> Case:
    """A case in which the named sides get the weights of another network."""

    def case(bench: Bench) -> tuple[str, str]:
        right, other = bench.material.weights, wrong(bench)
        sides = [other if side in which else right for side in ("baseline", "candidate")]
        return expect_no_pass(bench.check(*_twins(*sides), gate=gate))

    return case


def _right_twins(bench: Bench) -> tuple[str, str]:
    """With the right twins the same gate holds: else the cases beside it would be held by a mistake."""
    ended = bench.check(*_twins(bench.material.weights, bench.material.weights), gate=SP2PS)
    return (HELD, "") if ended.code == 0 else (OTHERWISE, shown(ended))


# Labels and pixels with which accuracy means nothing.


def _shuffled(bench: Bench) -> tuple[str, str]:
    data = bench.data()
    labels = generator(KIND, bench.number).permutation(data.labels)
    return expect_no_pass(bench.check(data=with_labels(data, labels, bench.folder / "shuffled.npz")))


def _turned(bench: Bench) -> tuple[str, str]:
    """Classes in another order, as a data set sorted by other names has them."""
    data = bench.data()
    return expect_no_pass(bench.check(data=with_labels(data, (data.labels + 1) % 10, bench.folder / "turned.npz")))


def _one_class(bench: Bench) -> tuple[str, str]:
    """Images of one class only, which a network that always says that class gets right."""
    data = bench.data()
    chosen = take(data, [int(i) for i in np.flatnonzero(data.labels == data.labels[0])])
    file = _constant_classifier(bench, int(data.labels[0]))
    path = with_labels(chosen, chosen.labels, bench.folder / "one.npz")
    words = ["check", "--baseline", file, "--candidate", file, "--config", bench.material.check_config]
    return expect_no_pass(bench.start(*words, "--data", path, "--time-budget", "0", "--gate", DROP))


def _constant_classifier(bench: Bench, label: int) -> Path:
    """Write a copy of the baseline that says the same class of every image."""
    model = onnx.load(bench.material.run / "baseline" / "model.onnx")
    last = next(node for node in reversed(model.graph.node) if node.op_type in ("Gemm", "MatMul"))
    for tensor in model.graph.initializer:
        if tensor.name in last.input:
            values = np.zeros_like(numpy_helper.to_array(tensor))
            if values.ndim == 1:
                values[label] = 1.0
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    path = bench.folder / "constant.onnx"
    onnx.save(model, path)
    return path


def _constant(bench: Bench) -> tuple[str, str]:
    file = _constant_classifier(bench, 3)
    words = ["check", "--baseline", file, "--candidate", file, "--config", bench.material.check_config]
    data = ["--data", bench.material.run / "data.npz", "--time-budget", "0", "--gate", DROP]
    return expect_no_pass(bench.start(*words, *data))


def _few_images(count: int) -> Case:
    def case(bench: Bench) -> tuple[str, str]:
        return expect_no_pass(bench.check("--limit", count))

    return case


def _preprocessed(*flags: str) -> Case:
    """A baseline that guesses, since its images are not prepared as it was trained on them."""

    def case(bench: Bench) -> tuple[str, str]:
        return expect_no_pass(bench.check(*flags))

    return case


def _right_pixels(bench: Bench) -> tuple[str, str]:
    """Prepared rightly, the same gate holds."""
    ended = bench.check(*DIGITS)
    return (HELD, "") if ended.code == 0 else (OTHERWISE, shown(ended))


# Gates that mean nothing.


def _refused_gate(*sentences: str) -> Case:
    """A gate that must be refused, wherever it stands."""

    def case(bench: Bench) -> tuple[str, str]:
        return expect_refusal(bench.gate(*sentences))

    return case


def _refused_in_yaml(sentence: str) -> Case:
    def case(bench: Bench) -> tuple[str, str]:
        path = bench.folder / "edgecheck.yaml"
        path.write_text(config(bench.material.weights).replace("size.bytes <= 1 MB", sentence))
        return expect_refusal(bench.start("run", path, "--out", bench.folder / "run"))

    return case


def _held_gate(*sentences: str) -> Case:
    """A gate that is none of those, and must not be refused with them."""

    def case(bench: Bench) -> tuple[str, str]:
        ended = bench.gate(*sentences)
        return (HELD, "") if ended.code in (0, 1) else (OTHERWISE, shown(ended))

    return case


# Pixels that are not those which were written.


def _flipped_pixels(share: float) -> Case:
    """Flip a bit of `images.npy`, so far into the pixels; the archive's checksum no longer fits."""

    def case(bench: Bench) -> tuple[str, str]:
        path = _archive(bench)
        start, size = _member(path, "images.npy")
        content = bytearray(path.read_bytes())
        content[start + 128 + int((size - 129) * share)] ^= 0x80
        path.write_bytes(content)
        return expect_refusal(bench.check(data=path))

    return case


def _other_checksum(bench: Bench) -> tuple[str, str]:
    """Change the checksum that the archive keeps of its pixels."""
    path = _archive(bench)
    with zipfile.ZipFile(path) as archive:
        checksum = struct.pack("<L", archive.getinfo("images.npy").CRC)
    path.write_bytes(path.read_bytes().replace(checksum, bytes([checksum[0] ^ 1]) + checksum[1:]))
    return expect_refusal(bench.check(data=path))


def _short_member(bench: Bench) -> tuple[str, str]:
    """Keep half of the pixels: the header promises more, and the next member follows."""
    path = _archive(bench)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["images.npy"] = members["images.npy"][: len(members["images.npy"]) // 2]
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(members, key=lambda name: name != "images.npy"):
            archive.writestr(name, members[name])
        archive.writestr("padding.npy", bytes(len(members["images.npy"]) * 2))
    return expect_refusal(bench.check(data=path))


def _archive(bench: Bench) -> Path:
    return Path(shutil.copyfile(bench.material.run / "data.npz", bench.folder / "data.npz"))


def _member(path: Path, name: str) -> tuple[int, int]:
    """Return where the bytes of an uncompressed member begin, and how many they are."""
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(name)
    header = path.read_bytes()[info.header_offset : info.header_offset + 30]
    lengths = struct.unpack("<HH", header[26:30])
    return info.header_offset + 30 + sum(lengths), info.file_size


CASES_BY_NAME: dict[str, Case] = {
    "Sp2PS of a quantized file": _borrowed("sp2ps.grad-cam", "sp2ps.grad-cam >= 0"),
    "the PE-like score of a quantized file": _borrowed("pe_like.grad-cam", "pe_like.grad-cam >= 0"),
    "the parity of a quantized file": _borrowed("parity.max_abs", "parity.max_abs <= 1000"),
    "the agreement of a quantized file with a twin": _borrowed("parity.agreement", "parity.agreement >= 0"),
    "the degenerate maps of a quantized file": _borrowed("cam.degenerate_share", "cam.degenerate_share <= 1"),
    "a float twin given to a quantized file": _not_borrowed_by_a_check,
    "the right twins": _right_twins,
    "a baseline's twin of other weights": _wrong_twins(
        lambda b: b.material.run / "control" / "weights.safetensors", "baseline"
    ),
    "a candidate's twin of other weights": _wrong_twins(
        lambda b: b.material.run / "control" / "weights.safetensors", "candidate"
    ),
    "both twins of the same other weights": _wrong_twins(
        lambda b: b.material.run / "control" / "weights.safetensors", "baseline candidate"
    ),
    "both twins of random weights": _wrong_twins(_random_weights, "baseline candidate"),
    "a baseline's twin whose logits are scaled": _wrong_twins(
        lambda b: _changed_weights(b, "scaled", 1.01), "baseline"
    ),
    "a candidate's twin whose logits are scaled": _wrong_twins(
        lambda b: _changed_weights(b, "scaled", 1.01), "candidate"
    ),
    "a wrong twin, and a gate of degenerate maps": _wrong_twins(
        _random_weights, "baseline", "cam.degenerate_share <= 1"
    ),
    "a wrong twin, and a gate of the PE-like score": _wrong_twins(
        _random_weights, "baseline", "pe_like.grad-cam >= 0.1"
    ),
    "the right pixels": _right_pixels,
    "labels shuffled": _shuffled,
    "classes in another order": _turned,
    "a network that always says the one class there is": _one_class,
    "a network that always says one class": _constant,
    "one image": _few_images(1),
    "two images": _few_images(2),
    "pixels up to 255": _preprocessed("--range", "0,255"),
    "pixels all nearly black": _preprocessed("--range", "0,0.001", *DIGITS),
    "another mean": _preprocessed("--mean", "50", "--std", "1"),
    "a reversed limit of the drop": _refused_gate("accuracy_drop_pp >= 2"),
    "a reversed limit of the accuracy": _refused_gate("accuracy <= 0.9"),
    "a reversed limit of the size": _refused_gate("size.bytes >= 1 kB"),
    "a reversed limit of Sp2PS": _refused_gate("sp2ps.grad-cam <= 0.9"),
    "a reversed limit of the latency": _refused_gate("latency.ratio >= 1"),
    "a reversed limit that is strict": _refused_gate("accuracy_drop_pp > 2"),
    "a reversed limit beside the control": _refused_gate("accuracy <= control"),
    "a reversed limit, only a warning": _refused_gate("accuracy_drop_pp >= 2 warn", "size.bytes <= 1 MB"),
    "a reversed limit in the configuration": _refused_in_yaml("accuracy >= 0.9\n    - size.bytes >= 1 kB"),
    "a limit on both sides": _held_gate("accuracy_drop_pp >= -5", "accuracy_drop_pp <= 5"),
    "a latency without a unit": _refused_gate("latency.p90_s <= 5"),
    "a median latency without a unit": _refused_gate("latency.p50_s <= 3"),
    "a latency without a unit in the configuration": _refused_in_yaml("latency.p90_s <= 5"),
    "a latency with its unit": _held_gate("latency.p50_s <= 5 ms"),
    **{f"a pixel flipped at {share:.0%}": _flipped_pixels(share) for share in (0, 0.2, 0.5, 0.8, 1)},
    "another checksum of the pixels": _other_checksum,
    "half of the pixels": _short_member,
}

CASES = len(CASES_BY_NAME)
SHORT = (0, 9, 16, 20, 25, 35, 41, 45)
