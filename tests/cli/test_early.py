"""What can be known before work starts is refused before work starts."""

import json

import pytest

from edgecheck.errors import DataError

TAYLOR = ("criterion: l1\n    structure: filters", "criterion: taylor\n    structure: filters")
INT8 = ("    structure: unstructured\n", "    structure: unstructured\n    quantization: int8\n")


@pytest.fixture
def never(monkeypatch):
    """Make reading images a failure of the test."""
    from edgecheck.pipeline.stages import images

    def read(*_arguments, **_options):
        raise AssertionError("images were read")

    monkeypatch.setattr(images, "load_test", read)


@pytest.fixture
def altered(tiny_config, tmp_path):
    """Write the small configuration with some words replaced; return its path."""

    def write(*replacements):
        text = tiny_config.read_text()
        for written, instead in replacements:
            assert written in text
            text = text.replace(written, instead)
        (tmp_path / "edgecheck.yaml").write_text(text)
        return tmp_path / "edgecheck.yaml"

    return write


def stages(folder):
    """Return the stages that were finished in a run folder."""
    documents = {str(path.relative_to(folder)): json.loads(path.read_text()) for path in folder.rglob("*.json")}
    return sorted(name for name, found in documents.items() if "result" in found)


REFUSED = [
    ([("digits_cnn.safetensors", "gone.safetensors")], "gone.safetensors: no such file; model.weights is"),
    ([("edgecheck:digits_cnn", "gone.py:net")], "gone.py: no such file; model.factory is"),
    ([("edgecheck:digits_cnn", "edgecheck:resnet8")], "these weights are not for this network"),
    ([("dataset: digits", "dataset: folder\n  root: gone")], "gone: no such file or folder"),
    ([("explain:", "preprocessing: {size: [8, 8]}\nexplain:")], "smaller than the 11x11 window"),
    ([TAYLOR], "prune.images: 128 images are requested, but the training split has 96"),
    ([INT8], "quantize.images: 128 images are requested, but the training split has 96"),
    (
        [("epochs: 1", "epochs: 1\n  validation: 0.001")],
        "finetune.validation: 0.001 of 96 training images is",
    ),
    ([("explain:", "preprocessing: {size: [16384, 16384]}\nexplain:")], "size must hold at most 16,777,216 pixels"),
    ([("explain:", "export: {opset: 5}\nexplain:")], "export.opset 5: PyTorch writes only 18 to 23"),
]


@pytest.mark.parametrize(("replacements", "says"), REFUSED, ids=[says[:24] for _, says in REFUSED])
def test_before_images_are_read(never, altered, refused, tmp_path, replacements, says):
    assert says in refused("run", altered(*replacements), "--out", tmp_path / "run")
    assert stages(tmp_path / "run") == []


def test_what_only_the_training_split_tells_is_refused_before_training(altered, refused, tmp_path):
    config = altered(("  train_limit: 96\n", ""), ("epochs: 1", "epochs: 1\n  validation: 0.0001"))
    said = refused("run", config, "--out", tmp_path / "run")
    assert "finetune.validation: 0.0001 of 1437 training images is less than one" in said
    assert not list((tmp_path / "run").glob("*/finetune-*.json"))


@pytest.mark.parametrize("command", ["prune", "sweep", "export", "cam"])
def test_of_every_command(never, altered, refused, tmp_path, command):
    config = altered(("digits_cnn.safetensors", "gone.safetensors"))
    more = ["--rate", "0.5"] if command == "prune" else []
    assert "gone.safetensors: no such file" in refused(command, config, *more, "--out", tmp_path / "out")
    if command in ("prune", "sweep"):
        assert stages(tmp_path / "out") == []


@pytest.mark.parametrize("command", ["sweep", "cam"])
def test_an_image_beyond_the_limit(never, altered, refused, tmp_path, command):
    says = refused(command, altered(), "--image", "60", "--out", tmp_path / "out")
    assert "image 60 is requested, but the test split has 60 images, counted from 0" in says


def test_a_missing_onnx_file(never, refused, tmp_path):
    given = ["--baseline", tmp_path / "a.onnx", "--candidate", tmp_path / "b.onnx", "--data", "digits"]
    assert "a.onnx: no such file" in refused("check", *given)


def test_a_target_layer_that_is_not_there(altered, refused, tmp_path):
    config = altered(("explain:", "explain:\n  target_layer: features.nowhere"))
    assert "target layer 'features.nowhere' of DigitsCNN does not exist" in refused(
        "run", config, "--out", tmp_path / "run"
    )
    assert stages(tmp_path / "run") == ["baseline/make.json", "data.json"]


def test_images_that_the_network_does_not_take(altered, refused, tmp_path):
    config = altered(
        ("name: tiny", "name: tiny\npreprocessing: {size: [1, 1]}"),
        ("methods: [", "methods: [] #"),
        ("    - sp2ps.grad-cam >= 0.5\n", ""),
    )
    says = refused("run", config, "--out", tmp_path / "run")
    assert "the network does not take images of (C, H, W) = (1, 1, 1)" in says
    assert stages(tmp_path / "run") == ["baseline/make.json", "data.json"]


def test_a_test_split_that_is_not_there_is_told_before_training(altered, refused, tmp_path, monkeypatch):
    from edgecheck.lab import data, train

    def load(_spec, _how, split, *_rest):
        raise DataError(f"no {split} images")

    def trained(*_arguments, **_options):
        raise AssertionError("trained")

    monkeypatch.setattr(data, "load", load)
    monkeypatch.setattr(train, "train", trained)
    assert "no test images" in refused("train", altered(), "--out", tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("command", "out"), [("cam", "taken"), ("export", "gone/m.onnx"), ("train", "gone/w.safetensors")]
)
def test_a_place_that_cannot_be_written(never, altered, refused, tmp_path, command, out):
    (tmp_path / "taken").touch()
    assert "choose another --out" in refused(command, altered(), "--out", tmp_path / out)
