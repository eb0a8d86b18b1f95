"""The twin of a variant, used outside its run."""

import json
import shutil
from hashlib import sha256

import numpy as np
import onnxruntime
import pytest
import torch

import edgecheck as package
from edgecheck.errors import EdgecheckError
from edgecheck.images import Preprocessing, load_npz, preprocess

FILTERS = "l1-filters-0.50"
FACTORY = """
from edgecheck.models.digits_cnn import digits_cnn

def net(width=0):
    return digits_cnn()
"""


@pytest.fixture
def moved(tiny_run, tmp_path, factory_file):
    """A variant's folder at another place, and the file that its factory is in."""
    folder = tmp_path / "elsewhere" / FILTERS
    shutil.copytree(tiny_run / FILTERS, folder)
    file = factory_file(FACTORY)
    rewrite(folder, factory="../../net.py:net", source_sha256=sha256(file.read_bytes()).hexdigest())
    return folder


def rewrite(folder, **changes):
    path = folder / "twin.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refusal(folder):
    with pytest.raises(EdgecheckError) as caught:
        package.load_twin(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["baseline", "control", "l1-unstructured-0.20", FILTERS])
def test_a_loaded_twin_gives_the_logits_of_its_file(tiny_run, name):
    inputs = preprocess(load_npz(tiny_run / "data.npz").images[:8], Preprocessing())
    file = onnxruntime.InferenceSession(tiny_run / name / "model.onnx")
    (expected,) = file.run(None, {file.get_inputs()[0].name: inputs})
    with torch.no_grad():
        found = package.load_twin(tiny_run / name)(torch.from_numpy(inputs)).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


def test_the_document_names_what_was_cut(tiny_run):
    twin = json.loads((tiny_run / FILTERS / "twin.json").read_text())
    assert (twin["version"], twin["factory"], twin["shape"]) == (1, "edgecheck:digits_cnn", [1, 32, 32])
    assert {name: len(gone) for name, gone in twin["cuts"].items() if name.endswith("conv1 out")} == {
        "features.conv1 out": 8
    }


def test_check_takes_the_folders_of_two_variants(tiny_run, edgecheck):
    given = ["--data", tiny_run / "data.npz", "--limit", "20", "--time-budget", "0", "--format", "json"]
    for side, name in (("baseline", "baseline"), ("candidate", FILTERS)):
        given += [f"--{side}", tiny_run / name / "model.onnx", f"--{side}-twin", tiny_run / name]
    code, out, err = edgecheck("check", *given, "--gate", "parity.max_abs <= 1e-4")
    assert code == 0, err
    readings = {r["metric"]: r["value"] for r in json.loads(out)["readings"] if r["variant"] == "candidate"}
    assert 0 < readings["sp2ps.grad-cam"] < 1


def test_a_factory_file_is_found_from_the_folder(moved):
    assert len(package.load_twin(moved).features.conv1.weight) == 8


def test_a_changed_factory_file_is_a_warning(moved):
    (moved.parent.parent / "net.py").write_text(FACTORY + "# edited\n")
    with pytest.warns(UserWarning, match=r"net\.py has changed since .*check parity"):
        package.load_twin(moved)


def test_a_factory_file_that_is_gone_is_named(moved):
    (moved.parent.parent / "net.py").unlink()
    assert "net.py does not exist; restore the file, or change factory" in refusal(moved)


def test_other_weights_are_refused(moved, tiny_run):
    shutil.copy(tiny_run / "control" / "weights.safetensors", moved)
    assert "not the weights that twin.json was written for" in refusal(moved)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"version": 2}, "version 2, but this edgecheck reads 1"),
        ({"cuts": {"nowhere out": [1]}}, "its cuts do not fit what edgecheck:digits_cnn makes"),
        ({"cuts": {"features.conv1": [1]}}, "its cuts do not fit"),
        ({"cuts": {}}, "these weights are not for this network"),
        ({"shape": [1, 2]}, "shape must be three sizes"),
        ({"cuts": 3}, "not a SavedTwin record"),
        ({"factory": "edgecheck:none"}, "unknown edgecheck model"),
    ],
)
def test_a_document_of_something_else_is_one_line(moved, changes, says):
    rewrite(moved, **({"factory": "edgecheck:digits_cnn", "source_sha256": ""} | changes))
    assert says in refusal(moved)


def test_a_folder_without_a_twin_is_one_line(tmp_path):
    assert "quantized variants have no twin" in refusal(tmp_path)
    (tmp_path / "twin.json").write_text("[" * 100_000)
    assert "cannot be read" in refusal(tmp_path)


def test_a_folder_that_is_not_there_is_no_factory(tiny_run, refused, tmp_path):
    file = tiny_run / "baseline" / "model.onnx"
    given = ["--baseline", file, "--candidate", file, "--data", tiny_run / "data.npz"]
    assert "not the folder of a variant" in refused("check", *given, "--candidate-twin", tmp_path / "none")
    weights = ["--candidate-twin", tiny_run / FILTERS, "--candidate-weights", "w.pt"]
    assert "remove --candidate-weights" in refused("check", *given, *weights)


def test_arguments_reach_the_factory(tiny_run, edgecheck, refused, factory_file):
    file, net = tiny_run / "baseline" / "model.onnx", factory_file(FACTORY)
    twin = ["--candidate-twin", f"{net}:net", "--candidate-weights", tiny_run / "baseline" / "weights.safetensors"]
    given = ["check", "--baseline", file, "--candidate", file, "--data", tiny_run / "data.npz", "--time-budget", "0"]
    gate = ["--limit", "8", "--gate", "parity.max_abs <= 1e-4"]
    assert edgecheck(*given, *twin, *gate, "--candidate-twin-arguments", '{"width": 3}')[0] == 0
    assert "unexpected keyword" in refused(*given, *twin, *gate, "--candidate-twin-arguments", '{"depth": 3}')
    assert "without --candidate-twin" in refused(*given, *gate, "--candidate-twin-arguments", "{}")
    assert edgecheck(*given, *twin, *gate, "--candidate-twin-arguments", "[3]")[0] == 2
