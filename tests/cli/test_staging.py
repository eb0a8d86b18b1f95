"""Single stages say what they did, and do not leave behind what is wrong."""

import json

import pytest
import torch

import edgecheck as edgecheck_package

GROUPED = """
from torch import nn

def net():
    maps = nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 3, groups=2), nn.ReLU(), nn.Conv2d(6, 8, 3), nn.ReLU()
    return nn.Sequential(*maps, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))
"""


@pytest.fixture
def grouped(tiny_config, factory_file, tmp_path):
    factory_file(GROUPED)
    text = tiny_config.read_text()
    weights = text.split("weights: ")[1].splitlines()[0]
    (tmp_path / "edgecheck.yaml").write_text(
        text.replace(f"  weights: {weights}\n", "").replace("edgecheck:digits_cnn", "net.py:net")
    )
    return tmp_path / "edgecheck.yaml"


def test_prune_names_the_layers_left_alone_and_the_rate_reached(grouped, edgecheck, tmp_path):
    out = tmp_path / "run"
    code, _, err = edgecheck("prune", grouped, "--structure", "filters", "--rate", "0.5", "--out", out)
    assert code == 0, err
    assert "l1-filters-0.50: the filters of 0, 2 are not pruned: 2 is a convolution in 2 groups" in err
    assert "model.onnx: written, 50.00 % of the prunable part removed" in err
    twin = json.loads((out / "l1-filters-0.50" / "twin.json").read_text())
    assert twin["factory"] == "../../net.py:net"
    layers = [layer for layer in edgecheck_package.load_twin(out / "l1-filters-0.50") if hasattr(layer, "weight")]
    assert [len(layer.weight) for layer in layers] == [4, 6, 4, 10]


def test_export_says_how_far_file_and_twin_are_apart(grouped, edgecheck, tmp_path):
    code, _, err = edgecheck("export", grouped, "--out", tmp_path / "m.onnx")
    assert code == 0, err
    assert "m.onnx: written; logits differ from the twin's by at most " in err
    assert "top-1 classes agree on 100.00 % of 60 test images" in err


def test_a_wrong_export_is_not_written(grouped, edgecheck, tmp_path, monkeypatch):
    from edgecheck.lab import export

    rightly = export.export

    def wrongly(model, *rest):
        with torch.no_grad():
            model[-1].bias[3] += 0.01
            written = rightly(model, *rest)
            model[-1].bias[3] -= 0.01
        return written

    monkeypatch.setattr(export, "export", wrongly)
    out = tmp_path / "exports" / "m.onnx"
    out.parent.mkdir()
    out.write_bytes(b"an older file")
    code, _, err = edgecheck("export", grouped, "--out", out)
    assert code == 3
    assert "m.onnx: not written: the exported file does not match its twin: logits differ by up to 0.01 (" in err
    assert [path.read_bytes() for path in out.parent.iterdir()] == [b"an older file"]
