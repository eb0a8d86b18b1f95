import hashlib
import os
import zipfile
import zlib
from pathlib import Path

import numpy as np
import onnx
import pytest

from edgecheck.device.model import files
from edgecheck.errors import ModelError
from tests.device import graphs

CONV = "g (float[1,3,8,8] x) => (float[1,4,8,8] y) { y = Conv <pads = [1,1,1,1]> (x, w) }"
WEIGHT = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)


@pytest.fixture
def single(tmp_path: Path) -> Path:
    return graphs.save(tmp_path / "single.onnx", CONV, {"w": WEIGHT})


@pytest.fixture
def split(tmp_path: Path) -> Path:
    path = tmp_path / "split" / "model.onnx"
    path.parent.mkdir()
    onnx.save(
        graphs.model(CONV, {"w": WEIGHT}), path, save_as_external_data=True, location="model.data", size_threshold=0
    )
    return path


def refusal(path: Path) -> str:
    """Return the message with which a file is refused: one line, which begins with its path."""
    with pytest.raises(ModelError) as caught:
        files.load_model(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message.removeprefix(str(path))


def test_a_sound_file_is_read(single: Path) -> None:
    assert files.load_model(single).graph.node[0].op_type == "Conv"
    assert files.load_model(str(single)).graph.name == "g"
    assert files.external_files(single) == []


def test_external_data_is_read_too(split: Path) -> None:
    tensor = files.load_model(split).graph.initializer[0]
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(tensor), WEIGHT)
    assert files.external_files(split) == [split.with_name("model.data")]


def test_the_current_folder_needs_no_name(split: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(split.parent)
    assert files.load_model("model.onnx").graph.node
    assert files.size_bytes("model.onnx") == files.size_bytes(split)


def test_missing_file(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "absent.onnx")


def test_folder(tmp_path: Path) -> None:
    assert "a folder" in refusal(tmp_path)


def test_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty.onnx"
    path.touch()
    assert "empty" in refusal(path)


@pytest.mark.skipif(os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_unreadable_file(single: Path) -> None:
    single.chmod(0)
    assert "Permission denied" in refusal(single)


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (b"hello world, this is no model\n", "not an ONNX file"),
        (bytes(64), "not an ONNX file"),
        (np.random.default_rng(1).bytes(500), "not an ONNX file"),
        (b"\x80\x02}q\x00." * 10, "pickle"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"\x1c\x00\x00\x00TFL3" + bytes(50), "TensorFlow Lite"),
        (b"\x1c\x00\x00\x00ORTM" + bytes(50), ".ort"),
        (b"\x89HDF\r\n\x1a\n" + bytes(50), "HDF5"),
    ],
)
def test_other_formats_are_named(tmp_path: Path, content: bytes, hint: str) -> None:
    path = tmp_path / "other.onnx"
    path.write_bytes(content)
    assert hint in refusal(path)


def test_a_zip_archive_is_named(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.onnx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.pkl", b"x" * 100)
    assert "zip archive" in refusal(path)


def test_garbage_that_protobuf_accepts_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "garbage.onnx"
    path.write_bytes(b"\xa2\x06\x03abc")  # a well-formed field 100, of which ONNX knows nothing
    assert not onnx.load(path).HasField("graph")
    assert "not an ONNX file" in refusal(path)


def test_a_file_cut_anywhere_is_refused(single: Path, tmp_path: Path) -> None:
    content = single.read_bytes()
    cut = tmp_path / "cut.onnx"
    for length in range(1, len(content)):
        cut.write_bytes(content[:length])
        try:
            files.load_model(cut)
        except ModelError as error:
            assert "truncated" in str(error) or "without a graph" in str(error)  # noqa: PT017
        else:
            # Only the last of three opset versions can be lost and the rest still be a whole model.
            assert len(onnx.load(cut).opset_import) < 3


def test_a_model_without_graph_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "nograph.onnx"
    path.write_bytes(onnx.ModelProto(ir_version=8, producer_name="test").SerializeToString())
    assert "without a graph" in refusal(path)


def test_a_graph_without_output_is_refused(single: Path) -> None:
    changed = onnx.load(single)
    del changed.graph.output[:]
    onnx.save(changed, single)
    assert "no output" in refusal(single)


def test_a_name_that_is_no_text_is_refused(single: Path) -> None:
    content = single.read_bytes()
    single.write_bytes(content.replace(b"Conv", b"Co\xff\xfe"))
    assert "is not text" in refusal(single)


def test_missing_external_data_is_named(split: Path) -> None:
    split.with_name("model.data").unlink()
    assert "model.data is missing" in refusal(split)
    with pytest.raises(ModelError, match=r"model\.data is missing"):
        files.size_bytes(split)


def test_short_external_data_is_refused(split: Path) -> None:
    data = split.with_name("model.data")
    data.write_bytes(data.read_bytes()[:-4])
    assert "cannot be read" in refusal(split)


@pytest.mark.parametrize("location", ["../secret.data", "/etc/hostname", "sub/../../secret.data", "C:\\secret.data"])
def test_external_data_outside_the_folder_is_refused(split: Path, location: str) -> None:
    (split.parent.parent / "secret.data").write_bytes(bytes(432))
    changed = onnx.load(split, load_external_data=False)
    (entry,) = [entry for entry in changed.graph.initializer[0].external_data if entry.key == "location"]
    entry.value = location
    split.write_bytes(changed.SerializeToString())
    assert "outside its folder" in refusal(split)


def test_external_data_of_a_constant_in_a_branch_is_found(tmp_path: Path) -> None:
    value = onnx.TensorProto(name="c", data_type=onnx.TensorProto.FLOAT, dims=[1])
    value.data_location = onnx.TensorProto.EXTERNAL
    value.external_data.add(key="location", value="far.data")
    constant = onnx.helper.make_node("Constant", [], ["c"], value=value)
    branch = onnx.helper.make_graph([constant], "branch", [], [onnx.ValueInfoProto(name="c")])
    node = onnx.helper.make_node("If", ["flag"], ["y"], then_branch=branch, else_branch=branch)
    changed = graphs.model("g (bool flag) => (float y) { y = Cast <to = 1> (flag) }")
    changed.graph.node[0].CopyFrom(node)
    path = tmp_path / "if.onnx"
    path.write_bytes(changed.SerializeToString())
    assert "far.data is missing" in refusal(path)


def test_sizes_and_fingerprint_of_one_file(single: Path) -> None:
    content = single.read_bytes()
    assert files.size_bytes(single) == len(content)
    assert files.zlib_bytes(single) == len(zlib.compress(content, 6))
    assert files.sha256(single) == hashlib.sha256(content).hexdigest()


def test_sizes_and_fingerprint_include_external_data(split: Path) -> None:
    content, data = split.read_bytes(), split.with_name("model.data").read_bytes()
    assert len(data) >= WEIGHT.nbytes
    assert files.size_bytes(split) == len(content) + len(data)
    assert files.zlib_bytes(split) == len(zlib.compress(content, 6)) + len(zlib.compress(data, 6))
    assert files.sha256(split) == hashlib.sha256(content + data).hexdigest()


def test_zeros_pay_only_when_compressed(tmp_path: Path) -> None:
    text = "g (float[1,64] x) => (float[1,64] y) { y = MatMul (x, w) }"
    dense = np.random.default_rng(2).normal(size=(64, 64)).astype(np.float32)
    sparse = np.where(np.abs(dense) < 1, np.float32(0), dense)
    paths = [graphs.save(tmp_path / f"{i}.onnx", text, {"w": w}) for i, w in enumerate((dense, sparse))]
    assert files.size_bytes(paths[0]) == files.size_bytes(paths[1])
    assert files.zlib_bytes(paths[1]) < 0.6 * files.zlib_bytes(paths[0])
