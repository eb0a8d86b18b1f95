"""`edgecheck blame` on small files, and on real ones with a planted fault."""

import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from edgecheck.images import load_npz, save_npz
from tests.device.blame import files
from tests.device.small_files import write

pytestmark = pytest.mark.usefixtures("files_here_and_there")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A float file, its int8 file, one with a wrong scale in conv2, and images."""
    folder = tmp_path_factory.mktemp("blame")
    rough = files.float_file(folder / "rough.onnx")
    source = files.changed(rough, folder / "float.onnx", fc__bias=lambda bias: bias - [0.34, 0.41, -0.18, 0.07])
    int8 = files.int8_file(source, folder / "int8.onnx")
    files.changed(int8, folder / "x9.onnx", conv2__weight_scale=lambda scale: scale * 9)
    save_npz(folder / "data.npz", files.images())
    return folder


@pytest.fixture
def blame(folder, edgecheck):
    def run(candidate, *options):
        return edgecheck("blame", folder / "float.onnx", folder / candidate, "--data", folder / "data.npz", *options)

    return run


def test_the_layer_with_the_wrong_scale_is_named_first_with_the_line_to_paste(blame):
    code, out, _ = blame("x9.onnx")

    assert code == 0
    first = next(line for line in out.splitlines() if line.endswith("dB"))
    assert first.split()[:3] == ["conv2", "conv2_node", "Conv"]
    assert "it blames whatever lies downstream" in " ".join(out.split())
    assert "quantize: {exclude: [conv2_node]}" in out.splitlines()
    assert [line.split("  ")[0] for line in out.splitlines() if line.startswith(("none", "the worst", "all"))] == [
        "none: x9.onnx",
        "the worst 1",
        "the worst 2",
        "the worst 4",
        "all: float.onnx",
    ]


def test_the_line_to_paste_is_understood(blame):
    from pathlib import Path

    from edgecheck.config import reader

    _, out, _ = blame("x9.onnx", "--keep", "1")
    line = next(line for line in out.splitlines() if line.startswith("quantize:"))

    plan = reader.parse(f"data: {{dataset: digits}}\n{line}\n", Path("edgecheck.yaml"), {})
    assert plan.quantize.exclude == ["conv2_node"]


def test_a_healthy_file_has_no_layer_to_blame(blame):
    _, out, _ = blame("int8.onnx")

    assert "no single layer is to blame" in " ".join(out.split()) or "changes no prediction" in out


def test_calibration_on_black_images_blames_the_calibration(folder, blame):
    black = [np.zeros((16, *files.SIZE), np.float32)]
    files.int8_file(folder / "float.onnx", folder / "black.onnx", calibration=black)

    _, out, _ = blame("black.onnx", "--keep", "1")

    assert "Look at the calibration images" in " ".join(out.split())


def test_numbers(blame):
    code, out, _ = blame("x9.onnx", "--limit", "80", "--keep", "2", "--format", "json")
    found = json.loads(out)

    assert (code, found["images"], found["images_compared"]) == (0, 80, 80)
    assert found["layers"][0]["layer"] == "conv2"
    assert found["layers"][0]["local_sqnr_db"] < 5 < 20 < found["layers"][1]["local_sqnr_db"]
    assert [len(one["nodes"]) for one in found["kept_in_float"]] == [0, 1, 2]
    assert found["kept_in_float"][1]["agreement"] > found["kept_in_float"][0]["agreement"]
    assert found["exclude"] == ["conv2_node"]


def test_markdown_has_both_tables(blame):
    _, out, _ = blame("x9.onnx", "--format", "markdown", "--keep", "1")

    assert [line for line in out.splitlines() if line.startswith("###")] == [
        line for line in out.splitlines() if "layers with weights" in line or "worst layers kept" in line
    ]
    assert "| conv2 | conv2\\_node |" in out or "| conv2 | conv2_node |" in out


def test_nothing_is_tried_where_none_is_to_be_kept(blame):
    _, out, _ = blame("x9.onnx", "--keep", "0")

    assert "the worst" not in out
    assert "quantize:" not in out


@pytest.mark.parametrize(
    ("baseline", "candidate", "words"),
    [
        ("float.onnx", "float.onnx", "float.onnx: nothing in it is quantized"),
        ("int8.onnx", "x9.onnx", "int8.onnx: is quantized itself"),
        ("other.onnx", "int8.onnx", "int8.onnx: only 0 of 1 layers of the baseline have weights like those"),
        ("float.onnx", "none.onnx", "none.onnx: no such file"),
        ("float.onnx", "data.npz", "data.npz: not an ONNX file but a zip archive"),
    ],
)
def test_what_is_no_pair_is_one_line(folder, refused, baseline, candidate, words):
    write(folder / "other.onnx", shape=("N", *files.SIZE))
    assert words in refused("blame", folder / baseline, folder / candidate, "--data", folder / "data.npz")


def test_images_of_another_size_and_none_at_all_are_one_line(folder, refused, tmp_path):
    pair = folder / "float.onnx", folder / "int8.onnx"
    small = files.images()
    save_npz(tmp_path / "small.npz", type(small)(small.images[:, :6], small.labels, small.classes))

    assert "--data is missing" in refused("blame", *pair)
    assert "12" in refused("blame", *pair, "--data", tmp_path / "small.npz")


def test_it_needs_no_pytorch(folder):
    """Nor anything else that a board lacks."""
    words = ["blame", "float.onnx", "x9.onnx", "--data", "data.npz", "--keep", "1", "--format", "json"]
    code = f"""
    import sys
    for name in ("torch", "torchvision", "cv2", "sklearn", "safetensors", "PIL", "scipy", "sympy"):
        sys.modules[name] = None
    from edgecheck.cli import main
    main({words!r})
    """
    run = [sys.executable, "-P", "-c", textwrap.dedent(code)]
    done = subprocess.run(run, cwd=folder, capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["exclude"] == ["conv2_node"]


NORM = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


@pytest.fixture(scope="module")
def resnet20_file(data_root, tmp_path_factory):
    """ResNet-20 with public weights."""
    from edgecheck.config.plan import ModelSpec
    from edgecheck.lab import export
    from edgecheck.pipeline.subject import build_module

    path = tmp_path_factory.mktemp("resnet20") / "float.onnx"
    weights = data_root / "weights" / "resnet20_akamaster.pt"
    export.export(build_module(ModelSpec("edgecheck:resnet20", weights), 0), path, (3, 32, 32), 18)
    return path


@pytest.mark.parametrize("form", ["QDQ", "QOperator"])
def test_a_wrong_scale_in_resnet20_on_cifar10(data_root, resnet20_file, tmp_path, edgecheck, form):
    """On real images: the layer is named, and in float it brings the accuracy back."""
    source = resnet20_file
    train = load_npz(data_root / "cifar10" / "train_0.npz")
    int8 = files.int8_file(source, tmp_path / "int8.onnx", form, calibration=files.batches(train, 64, **NORM))
    files.changed(int8, tmp_path / "x4.onnx", layer2__1__conv1__weight_scale=lambda scale: scale * 4)
    options = ["--limit", "300", "--keep", "1", "--format", "json"]
    options += [word for name, three in NORM.items() for word in (f"--{name}", ",".join(map(str, three)))]

    found = {}
    for name in ("int8", "x4"):
        data = ["--data", data_root / "cifar10" / "test.npz", *options]
        _, out, _ = edgecheck("blame", source, tmp_path / f"{name}.onnx", *data)
        found[name] = json.loads(out)

    healthy, broken = (found[name]["layers"] for name in ("int8", "x4"))
    assert len(healthy) == 20
    assert min(layer["local_sqnr_db"] for layer in healthy) > 25
    assert broken[0]["layer"] == "layer2.1.conv1"
    assert broken[0]["local_sqnr_db"] < 0 < 25 < broken[1]["local_sqnr_db"]
    before, after = found["x4"]["kept_in_float"]
    assert before["agreement"] < 0.8 < 0.95 < after["agreement"]
    assert (found["x4"]["exclude"], found["int8"]["exclude"]) == (after["nodes"], None)
