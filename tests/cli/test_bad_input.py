"""What a user can get wrong: one line that says what, where and what to do; exit 2; nothing half-written."""

import errno
from itertools import product

import cv2
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from edgecheck.images import ImageSet, save_npz
from tests.board_files import write_all
from tests.device.small_files import write


@pytest.fixture
def files(tmp_path):
    write_all(tmp_path)
    return tmp_path


@pytest.fixture
def refused_check(refused, files):
    def run(candidate="b.onnx", data="data.npz", *more):
        common = ["--baseline", files / "a.onnx", "--candidate", files / candidate, "--data", files / data]
        line = refused("check", *common, "--time-budget", "0", "--out", files / "out", *more)
        assert not (files / "out" / "report.json").exists()
        return line

    return run


def test_missing_files(refused, refused_check, tmp_path):
    assert "no.onnx" in refused_check("no.onnx")
    assert "no.npz" in refused_check("b.onnx", "no.npz")
    assert "edgecheck init" in refused("run", tmp_path / "no.yaml")
    assert "edgecheck run" in refused("gate", tmp_path)
    assert "edgecheck run" in refused("report", tmp_path)


def test_files_that_are_no_onnx(refused_check, files):
    (files / "text.onnx").write_text("hello")
    (files / "empty.onnx").write_bytes(b"")
    whole = (files / "a.onnx").read_bytes()
    (files / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    (files / "noise.onnx").write_bytes(np.random.default_rng(0).bytes(4000))
    for name in ("text.onnx", "empty.onnx", "cut.onnx", "noise.onnx"):
        assert name in refused_check(name)


def test_external_data_missing(refused_check, files):
    model = onnx.load(files / "a.onnx")
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name))
    onnx.save(model, files / "ext.onnx", save_as_external_data=True, location="ext.data", size_threshold=0)
    (files / "ext.data").unlink()
    assert "ext.data" in refused_check("ext.onnx")


def test_nan_weights_and_nan_logits(refused_check, files):
    model = onnx.load(files / "a.onnx")
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor).copy()
        if values.dtype == np.float32:
            values[...] = np.nan
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    onnx.save(model, files / "nan.onnx")
    assert "NaN" in refused_check("nan.onnx")
    write(files / "log.onnx", shape=("N", 3, 16, 16), bias=float("-inf"))
    assert "inf" in refused_check("log.onnx").lower()


def test_labels_outside_the_outputs_and_other_sizes(refused_check, files):
    images = np.zeros((4, 16, 16, 3), np.uint8)
    save_npz(files / "many.npz", ImageSet(images, np.array([0, 1, 2, 9]), tuple("abcdefghij")))
    assert "label 9" in refused_check("b.onnx", "many.npz")
    save_npz(files / "small.npz", ImageSet(images[:, :12, :12], np.zeros(4, np.int64), ("a",)))
    assert "preprocessing.size" in refused_check("b.onnx", "small.npz")
    np.savez(files / "nolabels.npz", images=images)
    assert "labels" in refused_check("b.onnx", "nolabels.npz")
    np.savez(files / "pickle.npz", images=np.array([{}]), labels=np.array([0]))
    assert "pickle.npz" in refused_check("b.onnx", "pickle.npz")


def test_gate_sentences_and_flags(refused_check, refused, tiny_run):
    assert "did you mean" in refused_check("b.onnx", "data.npz", "--gate", "accurracy >= 0.9")
    assert "finite" in refused_check("b.onnx", "data.npz", "--gate", "accuracy >= nan")
    assert "did you mean" in refused("gate", tiny_run, "--gate", "size.byte <= 3")
    assert "--baseline-twin" in refused_check("b.onnx", "data.npz", "--baseline-weights", "x.pt")


@pytest.fixture
def refused_run(refused, tiny_config, tmp_path):
    """Run the small configuration with replaced words; return the error."""

    def run(*pairs, text=None):
        text = text or tiny_config.read_text()
        for old, new in pairs:
            assert old in text
            text = text.replace(old, str(new))
        config = tmp_path / "edgecheck.yaml"
        config.write_text(text)
        line = refused("run", config, "--out", tmp_path / "out")
        assert not (tmp_path / "out" / "report.json").exists()
        return line

    return run


def weights_line(tiny_config):
    return next(line for line in tiny_config.read_text().splitlines() if "weights:" in line)


def test_weights_that_cannot_be_used(refused_run, tiny_config, tmp_path):
    line = weights_line(tiny_config)
    torch.save({"nothing.weight": torch.zeros(2)}, tmp_path / "other.pt")
    error = refused_run((line, f"  weights: {tmp_path}/other.pt"))
    assert "other.pt" in error
    assert "features.conv1.weight" in error

    class Evil:
        def __reduce__(self):
            return (print, ("code ran",))

    torch.save(Evil(), tmp_path / "evil.pt")
    assert "evil.pt" in refused_run((line, f"  weights: {tmp_path}/evil.pt"))
    assert "random weights" in refused_run((line, ""))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def build():\n    raise RuntimeError('no luck')", "no luck"),
        ("def other():\n    pass", "other"),
        ("def build():\n    return 3", "int"),
        ("import nowhere_to_be_found", "nowhere_to_be_found"),
        ("def build(:", "net.py"),
    ],
)
def test_factories_that_fail(refused_run, tiny_config, factory_file, source, words):
    path = factory_file(source)
    error = refused_run(("edgecheck:digits_cnn", f"{path}:build"), (weights_line(tiny_config), ""))
    assert words in error
    assert "net.py" in error


def test_unknown_names(refused_run):
    assert "did you mean 'l1'" in refused_run(("criterion: l1", "criterion: ll1"))
    assert "did you mean 'filters'" in refused_run(("structure: filters", "structure: filter"))
    assert "edgecheck.yaml:" in refused_run(("name: tiny", "nam: tiny"))
    error = refused_run(("  pictures: 1", "  target_layer: features.conv9"))
    assert "features.conv9" in error
    assert "features.conv4" in error


def test_rates_outside(refused_run):
    assert "1.5" in refused_run(("rate: 0.2", "rate: 1.5"))
    assert "-0.2" in refused_run(("rate: 0.2", "rate: -0.2"))


def test_a_run_without_variants(refused_run, tiny_config):
    text = tiny_config.read_text()
    start, end = text.index("variants:"), text.index("finetune:")
    assert "variants" in refused_run(text=text[:start] + text[end:])


def folder_config(tiny_config, root, extra=""):
    text = tiny_config.read_text()
    data = f"data:\n  dataset: folder\n  root: {root}\n{extra}preprocessing:\n  size: [32, 32]\n"
    return text[: text.index("data:")] + data + text[text.index("explain:") :]


def test_image_folders(refused_run, tiny_config, tmp_path):
    root = tmp_path / "images"
    root.mkdir()
    assert "images" in refused_run(text=folder_config(tiny_config, root))
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            (root / split / name).mkdir(parents=True)
            cv2.imwrite(str(root / split / name / "1.png"), np.full((32, 32, 3), 99, np.uint8))
    (root / "test" / "dog" / "1.png").unlink()
    assert "dog" in refused_run(text=folder_config(tiny_config, root))
    (root / "test" / "dog" / "1.png").write_text("no picture")
    assert "1.png" in refused_run(text=folder_config(tiny_config, root))
    # Three colour channels for a network that takes grey.
    (root / "test" / "dog" / "1.png").write_bytes((root / "test" / "cat" / "1.png").read_bytes())
    assert "channel" in refused_run(text=folder_config(tiny_config, root))


def test_output_folder_in_the_way(refused, tiny_config, tmp_path):
    (tmp_path / "taken").write_text("")
    assert "--out" in refused("run", tiny_config, "--out", tmp_path / "taken")
    assert "--out" in refused("run", tiny_config, "--out", "/proc/nowhere")


def test_a_full_disk(refused, tiny_config, tmp_path, monkeypatch):
    from edgecheck import images

    def full(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(images, "save_npz", full)
    assert "no space left" in refused("run", tiny_config, "--out", tmp_path / "out")
    assert not [path for path in (tmp_path / "out").iterdir() if "data" in path.name]  # nothing half-written


def test_an_opset_nobody_can_write_is_refused_before_any_training(refused_run, tmp_path):
    assert "opset" in refused_run(("name: tiny", "name: tiny\nexport: {opset: 7}"))
    assert not (tmp_path / "out" / "control").exists()


def test_init_does_not_overwrite(refused, tmp_path):
    path = tmp_path / "edgecheck.yaml"
    path.write_text("mine")
    assert "--force" in refused("init", path)
    assert path.read_text() == "mine"


def test_two_image_inputs(refused_check, files):
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "y"], ["z"])],
        "two",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3, 16, 16]) for name in ("x", "y")],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["N", 3, 16, 16])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), files / "two.onnx")
    assert "two.onnx" in refused_check("two.onnx")


def test_no_traceback_without_debug_and_one_with_it(edgecheck, tmp_path):
    _, _, err = edgecheck("run", tmp_path / "no.yaml")
    assert "Traceback" not in err
    _, _, err = edgecheck("--debug", "run", tmp_path / "no.yaml")
    assert "Traceback" in err


def test_an_internal_error_is_one_line_and_passes_nothing(refused, tiny_run, monkeypatch):
    from edgecheck.gate import judge

    monkeypatch.setattr(judge, "judge", lambda *_: 1 / 0)
    line = refused("gate", tiny_run, code=3)
    assert "internal error: ZeroDivisionError" in line


@pytest.mark.parametrize(
    "text",
    [
        '{"schema_version": 1e999}',
        '{"schema_version": NaN}',
        '{"schema_version": ' + "9" * 5000 + "}",
        '{"a": ' + "[" * 100_000,
        '{"a":' * 900 + "1" + "}" * 900,
        "[]",
        "null",
        "",
        '{"\x1b[31m": 1}',
        '{"\\ud800": "\\u202e"}',
    ],
)
def test_what_is_no_report_is_one_line(refused, tmp_path, text):
    (tmp_path / "report.json").write_text(text)
    line = refused("gate", tmp_path)
    assert "report.json" in line
    assert "\x1b" not in line


def test_a_report_that_is_not_text_is_one_line(refused, tmp_path):
    (tmp_path / "report.json").write_bytes(b"\xff\xfe{}")
    assert "report.json" in refused("report", tmp_path)


def test_folders_for_fewer_classes_than_the_network_has_outputs(refused, tiny_config, tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    for split, (name, pixels) in product(("train", "test"), zip(("cat", "dog"), colours, strict=True)):
        (tmp_path / "images" / split / name).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "images" / split / name / "1.png"), pixels)
    files = ["--baseline", tmp_path / "net.onnx", "--candidate", tmp_path / "net.onnx", "--data", tmp_path / "images"]
    write(tmp_path / "net.onnx", shape=("N", 3, 32, 32))
    said = refused("check", *files, "--size", "32x32", "--time-budget", "0")
    assert "the network has 4 outputs, the data 2 classes: set data.classes to the output of each folder" in said
