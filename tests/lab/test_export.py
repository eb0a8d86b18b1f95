import copy
import logging
import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from edgecheck.errors import ConfigError, InputError, ModelError
from edgecheck.lab.export import export
from edgecheck.lab.prune import prune, uncompressed
from edgecheck.models.digits_cnn import digits_cnn
from edgecheck.models.resnet_cifar import resnet8, resnet20
from edgecheck.records import Diagnostic
from edgecheck.steps import PruneStep
from tests.lab.prune.networks import randomized


class Tiny(nn.Module):
    """A padded convolution without BatchNorm affine parameters, pooled; 5 classes."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4, affine=False)
        self.linear = nn.Linear(4, 5)

    def forward(self, images):
        maps = torch.relu(self.norm(self.conv(nn.functional.pad(images, (0, 1, 0, 1)))))
        return self.head(maps.mean((2, 3)))

    def head(self, features):
        return self.linear(features)


class OneImage(Tiny):
    def head(self, features):
        return self.linear(features.view(1, 4))


class NoOperator(Tiny):
    def head(self, features):
        return self.linear(torch.lgamma(features + 1))


class Branches(Tiny):
    def head(self, features):
        return self.linear(features if features.sum() > 0 else -features)


class Maps(Tiny):
    def head(self, features):
        return self.linear(features)[:, :, None]


class Named(Tiny):
    def head(self, features):
        return {"logits": self.linear(features)}


SHAPE = (3, 8, 8)


def float_elements(model):
    tensors = [tensor for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT]
    return sum(int(np.prod(tensor.dims)) for tensor in tensors)


def difference(path, twin, shape, batch):
    images = torch.randn(batch, *shape, generator=torch.Generator().manual_seed(3))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        return float(np.abs(session.run(["logits"], {"input": images.numpy()})[0] - twin.eval()(images).numpy()).max())


def sizes(value):
    return [dimension.dim_param or dimension.dim_value for dimension in value.type.tensor_type.shape.dim]


# By hand: of digits_cnn's 61,050 parameters its 176 BatchNorm weights are folded in, the offsets stay as biases.
@pytest.mark.parametrize(
    ("factory", "shape", "elements"),
    [(digits_cnn, (1, 32, 32), 61_050 - 176), (resnet8, (3, 32, 32), 77_706), (resnet20, (3, 32, 32), 269_034)],
)
def test_subjects(factory, shape, elements, tmp_path):
    model, path = randomized(factory()), tmp_path / "model.onnx"
    assert export(model, path, shape) == []
    written = onnx.load(path)
    onnx.checker.check_model(written, full_check=True)
    assert float_elements(written) == elements
    assert not any(node.op_type == "BatchNormalization" for node in written.graph.node)
    assert [(value.name, sizes(value)) for value in written.graph.input] == [("input", ["batch", *shape])]
    assert [(value.name, sizes(value)) for value in written.graph.output] == [("logits", ["batch", 10])]
    assert max(difference(path, model, shape, batch) for batch in (1, 2, 5)) <= 1e-4
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]


def test_pruned_option_a(tmp_path):
    spec = PruneStep("l1", "filters", "global", 0.6)
    pruned = prune(uncompressed(randomized(resnet20())), spec, torch.zeros(1, 3, 32, 32), seed=0).model
    export(pruned, tmp_path / "pruned.onnx", (3, 32, 32))
    assert difference(tmp_path / "pruned.onnx", pruned, (3, 32, 32), 3) <= 1e-4


def test_same_bytes_and_nothing_of_the_machine(tmp_path):
    files = [tmp_path / "a.onnx", tmp_path / "b.onnx"]
    for path in files:
        export(randomized(Tiny()), path, SHAPE)
    data = files[0].read_bytes()
    assert data == files[1].read_bytes()
    assert not any(word in data for word in (b".py", b"pkg.torch", b"namespace", b"Tiny", str(tmp_path).encode()))


@pytest.mark.parametrize("opset", [18, 19, 21, 23])
def test_opset_honoured(opset, tmp_path):
    model, path = randomized(Tiny()), tmp_path / "model.onnx"
    export(model, path, SHAPE, opset)
    assert [(entry.domain, entry.version) for entry in onnx.load(path).opset_import] == [("", opset)]
    assert difference(path, model, SHAPE, 2) <= 1e-4


@pytest.mark.parametrize("opset", [9, 17, 24])
def test_opset_refused(opset, tmp_path):
    with pytest.raises(ConfigError, match="18 to 23"):
        export(Tiny(), tmp_path / "model.onnx", SHAPE, opset)
    assert list(tmp_path.iterdir()) == []


def test_fixed_batch(tmp_path):
    model, path = randomized(OneImage()), tmp_path / "model.onnx"
    assert export(model, path, SHAPE) == [Diagnostic("export-batch-fixed")]
    assert sizes(onnx.load(path).graph.input[0]) == [1, *SHAPE]
    assert difference(path, model, SHAPE, 1) <= 1e-4


@pytest.mark.parametrize(
    ("model", "shape", "words"),
    [
        (NoOperator(), SHAPE, r"ONNX has no operator for \w+\.lgamma"),
        (Branches(), SHAPE, r"cannot be traced .* at test_export\.py:\d+ in head"),
        (Maps(), SHAPE, r"must return logits \(N, classes\), but .* \(1, 5, 1\)"),
        (Named(), SHAPE, "returns dict"),
        (Tiny(), (1, 8, 8), r"cannot run on an input \(1, 1, 8, 8\): .* at test_export\.py:\d+ in forward"),
    ],
)
def test_refused_in_one_line(model, shape, words, tmp_path, capfd):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"before")
    with pytest.raises(ModelError, match=words) as caught:
        export(model, path, shape)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"before"
    assert capfd.readouterr() == ("", "")


def test_silent_and_without_traces(tmp_path, capfd):
    model = Tiny().train()
    before = copy.deepcopy(model.state_dict())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export(model, tmp_path / "model.onnx", SHAPE)
    assert capfd.readouterr() == ("", "")
    assert logging.root.manager.disable == logging.NOTSET
    assert model.training
    assert all(torch.equal(now, before[name]) for name, now in model.state_dict().items())


def test_no_folder(tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        export(Tiny(), tmp_path / "missing" / "model.onnx", SHAPE)
