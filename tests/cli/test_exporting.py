"""`edgecheck export --with-heatmap`: of a configuration, and of an ONNX file made elsewhere."""

import re
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest

from edgecheck.images import ImageSet, preprocess, save_npz
from edgecheck.pipeline import heatmap
from tests.device import graphs

SIZE = (8, 10)
IMAGES = 12
TEXT = """
whole (float[n, 3, 8, 10] x) => (float[n, 4] y) {
    c = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, filters) a = Relu (c) p = GlobalAveragePool (a)
    f = Flatten (p) HEAD
}
"""
LINEAR, HIDDEN = "y = Gemm (f, w)", "h = Gemm (f, hidden) r = Relu (h) y = Gemm (r, w)"


def file_of(folder, head=LINEAR, name="made.onnx"):
    random = np.random.default_rng(0)
    shapes = {"filters": (5, 3, 3, 3), "w": (5, 4), "hidden": (5, 5)}
    weights = {key: random.normal(size=shape).astype(np.float32) for key, shape in shapes.items()}
    used = {key: values for key, values in weights.items() if key in TEXT + head}
    return graphs.save(folder / name, TEXT.replace("HEAD", head), used, opset=13, ir_version=8), weights


@pytest.fixture
def data(tmp_path):
    random = np.random.default_rng(1)
    pixels = random.integers(0, 256, (IMAGES, *SIZE, 3), dtype=np.uint8)
    save_npz(tmp_path / "data.npz", ImageSet(pixels, np.arange(IMAGES) % 4, ("a", "b", "c", "d")))
    return tmp_path / "data.npz"


def pixels_of(data):
    return (np.load(data)["images"] / 255).astype(np.float32).transpose(0, 3, 1, 2)


def test_of_a_file_made_elsewhere(data, edgecheck, tmp_path):
    file, weights = file_of(tmp_path)
    out = tmp_path / "explaining.onnx"
    code, stdout, err = edgecheck("export", file, "--with-heatmap", "--data", data, "--out", out, "--time-budget", 0.02)
    assert (code, stdout) == (0, ""), err
    assert f"{out}: written; output heatmap is the Grad-CAM map of the arg-max class at 'a' (8x10)" in err
    assert "class scores are equal bit for bit without graph optimization; with it they differ by at most " in err
    assert f"and the arg-max class is the same on all {IMAGES} test images" in err
    assert re.search(r"the heatmap costs \+[\d.]+ kB \(\+[\d.]+ %\) and \+400 MACs \(\+3\.70 %\); latency ratio ", err)
    maps, scores = onnxruntime.InferenceSession(out).run(["heatmap", "y"], {"x": pixels_of(data)})
    model = onnx.load(out)
    model.graph.output.append(onnx.ValueInfoProto(name="a"))
    (feature,) = onnxruntime.InferenceSession(model.SerializeToString()).run(["a"], {"x": pixels_of(data)})
    rows = weights["w"].T[scores.argmax(axis=1)]
    expected = np.maximum(np.einsum("nk,nkhw->nhw", rows, feature) / feature[0, 0].size, 0)
    np.testing.assert_allclose(maps, expected, atol=1e-5 * expected.max())


def test_without_pytorch_and_beside_the_current_folder(data, tmp_path):
    file, _ = file_of(tmp_path, HIDDEN)
    words = ["export", file.name, "--with-heatmap", "--data", data.name, "--time-budget", "0"]
    code = f"import sys; sys.modules['torch'] = None; from edgecheck.cli import main; main({words!r})"
    done = subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "made.heatmap.onnx: written; output heatmap is the ReciproCAM map of the arg-max class" in done.stderr
    assert "latency was not measured" in done.stderr
    assert (tmp_path / "made.heatmap.onnx").is_file()


def test_of_a_configuration_it_equals_the_map_of_the_twin(tiny_config, edgecheck, tmp_path):
    """Of a layer by its name in the twin."""
    from edgecheck.config import reader
    from edgecheck.lab.cam import explain
    from edgecheck.pipeline.stage import Desk
    from edgecheck.pipeline.stages.images import load_test
    from edgecheck.pipeline.subject import DataSource, build_module
    from edgecheck.progress import Silent

    out = tmp_path / "digits.onnx"
    code, _, err = edgecheck("export", tiny_config, "--with-heatmap", "--target-layer", "features", "--out", out)
    assert code == 0, err
    assert "digits.onnx: written; logits differ from the twin's by at most " in err
    assert "digits.heatmap.onnx: written; output heatmap is the Grad-CAM map of the arg-max class" in err
    plan = reader.load(tiny_config)
    images = load_test(DataSource(plan.data, None), plan.preprocessing, Desk(tmp_path, tmp_path, Silent()))
    found = explain(build_module(plan.model, plan.seed), images, plan.preprocessing, ["grad-cam"])
    session = onnxruntime.InferenceSession(tmp_path / "digits.heatmap.onnx")
    inputs = preprocess(images.images[:], plan.preprocessing)
    (maps,) = session.run(["heatmap"], {session.get_inputs()[0].name: inputs})
    np.testing.assert_allclose(maps, found.maps["grad-cam"], rtol=0, atol=1e-4 * np.abs(maps).max())


def test_a_file_that_predicts_other_classes_is_not_written(data, edgecheck, tmp_path, monkeypatch):
    rightly = heatmap.with_heatmap

    def wrongly(*rest):
        explaining = rightly(*rest)
        weight = next(t for t in explaining.model.graph.initializer if t.name == "w")
        weight.CopyFrom(onnx.numpy_helper.from_array(-onnx.numpy_helper.to_array(weight), "w"))
        return explaining

    monkeypatch.setattr(heatmap, "with_heatmap", wrongly)
    file, _ = file_of(tmp_path)
    out = tmp_path / "out" / "explaining.onnx"
    out.parent.mkdir()
    out.write_bytes(b"an older file")
    code, _, err = edgecheck("export", file, "--with-heatmap", "--data", data, "--out", out)
    assert code == 3
    assert "made.onnx: with a heatmap, its class scores are others, even without graph optimization" in err
    assert [path.read_bytes() for path in out.parent.iterdir()] == [b"an older file"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "made.onnx: is an ONNX file already: add --with-heatmap, or name an edgecheck.yaml"),
        (["--method", "grad-cam"], "--method goes with --with-heatmap"),
        (["--with-heatmap"], "--data is missing"),
        (["--with-heatmap", "--data", "data.npz", "--out", "made.onnx"], "is the file without a heatmap; name another"),
        (["--with-heatmap", "--data", "data.npz", "--method", "grad-cam"], "needs a head of pooling and one linear"),
        (["--with-heatmap", "--data", "data.npz", "--target-layer", "z"], "no feature map 'z'"),
        (["--with-heatmap", "--data", "data.npz", "--size", "9x9"], "input size mismatch"),
    ],
)
def test_what_is_refused_in_one_line(words, said, data, refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file_of(tmp_path, HIDDEN)
    assert said in refused("export", "made.onnx", *words)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.npz", "made.onnx"]


def test_a_configuration_is_one_already(tiny_config, refused):
    assert "--config goes with an ONNX file" in refused("export", tiny_config, "--config", tiny_config)
