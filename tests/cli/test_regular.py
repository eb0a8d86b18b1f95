"""Devices, pipes, sockets, folders and files of a terabyte are refused before anybody opens them."""

import os
import socket
import sys

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgecheck.device.model import files
from edgecheck.errors import InputError, ModelError
from edgecheck.hashing import sha256
from edgecheck.regular import MOST_ONNX_BYTES, MOST_WEIGHT_BYTES, MOST_YAML_BYTES, require_regular
from tests.device.small_files import write

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")


@pytest.fixture
def special(tmp_path, monkeypatch):
    """Make a path that is no regular file."""
    monkeypatch.chdir(tmp_path)  # the name of a socket must be short

    def make(kind, name="special"):
        path = tmp_path / name
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "socket":
            socket.socket(socket.AF_UNIX).bind(name)
        elif kind == "folder":
            path.mkdir()
        elif kind == "device":
            path.symlink_to("/dev/zero")
        else:
            with open(path, "wb") as file:
                file.truncate(1 << 40)
        return path

    return make


KINDS = ["pipe", "socket", "folder", "device"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_regular_file_is_named(special, kind):
    path = special(kind)
    for read in (require_regular, sha256):
        with pytest.raises(InputError, match=f"special: a (named )?{kind}; name a regular file"):
            read(path)


def test_a_size_at_the_limit_is_read_and_a_missing_file_is_left_to_the_caller(tmp_path):
    (tmp_path / "ten").write_bytes(b"0123456789")
    require_regular(tmp_path / "ten", 10)
    with pytest.raises(ModelError, match="10 bytes are too many; the limit is 9"):
        require_regular(tmp_path / "ten", 9, ModelError)
    require_regular(tmp_path / "none", 9)


@pytest.mark.parametrize("kind", [*KINDS, "sparse"])
def test_a_configuration(special, refused, kind):
    assert "special" in refused("run", special(kind))
    assert MOST_YAML_BYTES < 1 << 20


@pytest.mark.parametrize("kind", [*KINDS, "sparse"])
def test_weights(special, refused, tmp_path, kind):
    config = tmp_path / "edgecheck.yaml"
    weights = special(kind, "w.safetensors")
    config.write_text("model: {factory: 'edgecheck:digits_cnn', weights: w.safetensors}\ndata: {dataset: digits}\n")
    assert "w.safetensors" in refused("run", config, "--out", tmp_path / "out")
    twin = ["--baseline-twin", "edgecheck:digits_cnn", "--baseline-weights", weights]
    models = ["--baseline", tmp_path / "a.onnx", "--candidate", tmp_path / "b.onnx"]
    assert "w.safetensors" in refused("check", *models, *twin, "--data", "digits")
    assert MOST_WEIGHT_BYTES < 1 << 40


@pytest.mark.parametrize("kind", [*KINDS, "sparse"])
@pytest.mark.parametrize("command", ["gate", "report"])
def test_a_report(special, refused, kind, command):
    assert "report.json" in refused(command, special(kind, "report.json").parent)


@pytest.mark.parametrize("kind", [*KINDS, "sparse"])
@pytest.mark.parametrize("command", ["count", "bench", "layers"])
def test_an_onnx_file(special, refused, kind, command):
    assert "m.onnx" in refused(command, special(kind, "m.onnx"))
    assert MOST_ONNX_BYTES < 1 << 40


@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
def test_images(special, refused, tmp_path, kind):
    common = ["--baseline", write(tmp_path / "a.onnx"), "--candidate", tmp_path / "a.onnx"]
    assert "d.npz" in refused("check", *common, "--data", special(kind, "d.npz"))


@pytest.fixture
def external(tmp_path):
    """A file of two external tensors, and the names of both."""
    model = onnx.load(write(tmp_path / "plain.onnx"))
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name))
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    return tmp_path / "m.onnx"


@pytest.mark.parametrize("kind", [*KINDS, "sparse"])
def test_external_data(special, external, refused, kind):
    external.with_name("m.data").unlink()
    special(kind, "m.data")
    assert "m.data" in refused("count", external)


def test_tensors_that_each_claim_the_whole_of_their_file(external):
    model = onnx.load(external, load_external_data=False)
    weight = model.graph.initializer[0]
    del weight.external_data[1:]  # without offset and length: all of the file
    for index in range(files.MOST_SHARED):
        model.graph.initializer.add().CopyFrom(weight)
        model.graph.initializer[-1].name = f"copy{index}"
    onnx.save(model, external)
    with pytest.raises(ModelError, match="tensors claim"):
        files.load_model(external)


def test_tied_weights_may_be_stored_once(external):
    model = onnx.load(external, load_external_data=False)
    weight = model.graph.initializer[0]
    model.graph.initializer.add().CopyFrom(weight)
    model.graph.initializer[-1].name = "tied"
    onnx.save(model, external)
    tied = {tensor.name: numpy_helper.to_array(tensor) for tensor in files.load_model(external).graph.initializer}
    assert np.array_equal(tied["tied"], tied[weight.name])
