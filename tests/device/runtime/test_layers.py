"""What ONNX Runtime really runs, on files made by hand: its nodes, their sizes and times, and what is live then."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnxruntime import quantization

from edgecheck.device import diagnostics
from edgecheck.device.model import graph
from edgecheck.device.runtime import execution, layers
from edgecheck.device.runtime.ort import Options
from edgecheck.records import LayerCost
from edgecheck.report.layers import layer_rows
from tests.device import graphs

MAP = 16 * 32 * 32 * 4  # bytes of a float32 map (1, 16, 32, 32): whole blocks of channels, so nothing is padded
INPUT = 3 * 32 * 32 * 4
STEM, W = graphs.ones(16, 3, 3, 3), graphs.ones(16, 16, 3, 3)
WEIGHTS = {"stem.weight": STEM, "one.weight": W, "two.weight": W * 2, "three.weight": W * 3}
CONV = "Conv <pads = [1,1,1,1]>"
ODD = {
    "stem.weight": graphs.ones(11, 3, 3, 3),
    "one.weight": graphs.ones(11, 11, 3, 3),
    "two.weight": graphs.ones(11, 11, 3, 3),
}
SHAPE = (3, 32, 32)

CHAIN = f"""a = {CONV} (x, stem) ra = Relu (a) b = {CONV} (ra, one) rb = Relu (b) c = {CONV} (rb, two) rc = Relu (c)
    p = GlobalAveragePool (rc) y = Flatten (p)"""
BRANCH = f"""a = {CONV} (x, stem) b = {CONV} (a, one) c = {CONV} (a, two) j = Concat <axis = 1> (b, c)
    p = GlobalAveragePool (j) y = Flatten (p)"""
RESIDUAL = f"""a = {CONV} (x, stem) ra = Relu (a) b = {CONV} (ra, one) rb = Relu (b) c = {CONV} (rb, two)
    s = Add (c, ra) rs = Relu (s) p = GlobalAveragePool (rs) y = Flatten (p)"""


@pytest.fixture
def _one_run(monkeypatch):
    """Profile a single run: layers and memory are those of every run, and only their times are a mean."""
    monkeypatch.setattr(execution, "LEAST_RUNS", 1)
    monkeypatch.setattr(execution, "MOST_RUNS", 1)


def saved(path: Path, body: str, **weights: np.ndarray) -> Path:
    body = body.replace("stem)", "stem.weight)")
    made = graphs.model(f"g (float[N,3,32,32] x) => (float[n,m] y) {{ {_plain(body)} }}", {})
    given = {**WEIGHTS, **weights}
    for node in made.graph.node:
        for index, name in enumerate(node.input):
            if f"{name}.weight" in given:
                node.input[index] = f"{name}.weight"
    made.graph.initializer.extend(onnx.numpy_helper.from_array(a.astype(np.float32), n) for n, a in given.items())
    onnx.save(made, path)
    return path


def _plain(body: str) -> str:
    """The text form knows no dots in names."""
    return body.replace(".weight", "")


# By hand, after fusion of Conv and Relu (and of Conv, Add and Relu): what is live at the widest moment. The input is
# dead by then; ONNX Runtime's blocked layout has no padding at 16 channels.
@pytest.mark.parametrize(
    ("body", "peak"),
    [
        (CHAIN, 2 * MAP),  # one map read, one written
        (BRANCH, 4 * MAP),  # both branches and their concatenation
        (RESIDUAL, 2 * MAP),  # the shortcut is added onto: rb read, ra overwritten
    ],
    ids=["chain", "branch", "residual"],
)
def test_peak_by_hand_on_the_graph_that_runs(tmp_path, body, peak):
    found = layers.examine(saved(tmp_path / "model.onnx", body), Options(), SHAPE)

    assert found.peak_bytes == peak
    assert found.input_bytes == INPUT
    assert found.note == ""
    if found.arena_peak_bytes is not None:  # told by newer versions; never less than what must be live
        assert found.arena_peak_bytes >= peak


@pytest.mark.parametrize("level", ["all", "basic", "disabled"])
def test_without_fusion_each_step_is_there(tmp_path, level):
    found = layers.examine(saved(tmp_path / "model.onnx", CHAIN), Options(graph_optimization=level), SHAPE)
    operators = [layer.operator for layer in found.layers if layer.layer != layers.LAYOUT]

    assert operators.count("Conv") + operators.count("FusedConv") == 3
    assert operators.count("Relu") == (0 if level == "all" else 3)
    assert found.peak_bytes == 2 * MAP


def test_layers_have_the_names_of_their_weights_and_the_work_of_the_file(tmp_path):
    path = saved(tmp_path / "model.onnx", RESIDUAL)
    found = layers.examine(path, Options(), SHAPE).layers
    work = {layer.layer: layer.macs for layer in found if layer.macs}

    assert work == {"stem": 16 * 32 * 32 * 27, "one": 16 * 32 * 32 * 144, "two": 16 * 32 * 32 * 144}
    assert sum(work.values()) == graph.count(path, SHAPE).macs
    assert all(layer.seconds >= 0 for layer in found)
    assert sum(layer.seconds for layer in found) > 0
    assert diagnostics.padded(graph.count(path, SHAPE), [layer for layer in found if layer.macs]) == []


# Of a chain of 3 -> 11 -> 11 -> 11 channels. How wide blocks are and which layers ONNX Runtime blocks is up to the CPU:
# here every outcome is written down by hand.
TAPS, PIXELS = 9, 32 * 32
CHANNELS = [(3, 11), (11, 11), (11, 11)]


def ran(blocked_inputs: int, blocked_outputs: int, layers_blocked: int) -> list[LayerCost]:
    """The chain, its first layers with channels padded to blocks (0: as they are), and one change of layout."""
    costs = [LayerCost(layers.LAYOUT, "ReorderOutput", None, 0, 1.0, None)]
    for place, (inputs, outputs) in enumerate(CHANNELS):
        if place < layers_blocked:
            inputs, outputs = inputs if place == 0 else blocked_inputs, blocked_outputs
        costs.append(LayerCost(str(place), "Conv", None, PIXELS * TAPS * inputs * outputs, 1.0, None))
    return costs


@pytest.mark.parametrize(
    ("inputs", "outputs", "blocked", "padding"),
    [
        (16, 16, 3, 560 / 275 - 1),  # (3 * 16 + 2 * 16 * 16) / (3 * 11 + 2 * 11 * 11) = 560 / 275
        (11, 16, 3, 16 / 11 - 1),  # only what comes out is padded: 16 / 11
        (11, 12, 1, None),  # one layer in blocks of 4: 3 * 12 + 2 * 11 * 11 = 278, 1 % more
        (11, 11, 0, None),  # no blocked layout at all
    ],
    ids=["all", "outputs only", "first layer only", "none"],
)
def test_padding_to_blocks_is_told(tmp_path, inputs, outputs, blocked, padding):
    counts = graph.count(saved(tmp_path / "model.onnx", CHAIN, **ODD), SHAPE)

    warnings = diagnostics.padded(counts, ran(inputs, outputs, blocked))

    layout = 0.25  # one of four steps, a second each
    shares = {"padding_share": pytest.approx(padding), "layout_share": layout} if padding else None
    assert [warning.fields for warning in warnings] == ([shares] if shares else [])
    assert all(warning.id == "channel-padding" for warning in warnings)


def test_odd_channels_are_never_less_work_than_the_file_asks_for(tmp_path):
    """Whatever this CPU does with them."""
    path = saved(tmp_path / "model.onnx", CHAIN, **ODD)
    counts, found = graph.count(path, SHAPE), layers.examine(path, Options(), SHAPE).layers
    computed = sum(layer.macs or 0 for layer in found)

    assert counts.macs == PIXELS * TAPS * 275
    assert computed >= counts.macs
    assert len(diagnostics.padded(counts, found)) == (computed > counts.macs * (1 + diagnostics.PADDED_SHARE))


def test_nodes_without_names_are_told_apart(tmp_path):
    path = saved(tmp_path / "model.onnx", CHAIN)
    model = onnx.load(path)
    assert not any(node.name for node in model.graph.node)

    assert len(layers.examine(path, Options(), SHAPE).layers) >= 4


def test_a_profile_that_cannot_be_read_leaves_a_note(tmp_path, monkeypatch):
    monkeypatch.setattr(execution, "_is_node", lambda event: False)

    found = layers.examine(saved(tmp_path / "model.onnx", CHAIN), Options(), SHAPE)

    assert (found.layers, found.peak_bytes) == ([], None)
    assert "profile cannot be read" in found.note


def test_external_data_is_no_hindrance(tmp_path):
    path = saved(tmp_path / "model.onnx", RESIDUAL)
    beside = tmp_path / "beside.onnx"
    onnx.save(onnx.load(path), beside, save_as_external_data=True, location="beside.data", size_threshold=0)

    assert layers.examine(beside, Options(), SHAPE).peak_bytes == layers.examine(path, Options(), SHAPE).peak_bytes


def test_fixed_batch_counts_whole(tmp_path):
    path = saved(tmp_path / "model.onnx", CHAIN)
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 5
    onnx.save(model, path)

    assert layers.examine(path, Options(), SHAPE).peak_bytes == 5 * 2 * MAP


UNIT = 64 * 56 * 56 * 4


# VGG-19: two maps of 64 x 224 x 224 (16 units each). ResNet-50: at the start of its second stage the input of 256 maps
# of 56 x 56 is still read (4), the shortcut of 512 of 28 x 28 is made (2), and the first layer's 128 of 28 x 28 (1/2).
@pytest.mark.parametrize(("name", "units"), [("vgg19", 32), ("resnet50", 6.5)])
@pytest.mark.usefixtures("_one_run")
def test_known_networks(name, units):
    light = Path(onnx.__file__).parent / "backend/test/data/light" / f"light_{name}.onnx"

    assert layers.examine(light, Options(), (3, 224, 224)).peak_bytes == units * UNIT


TWO_CONVOLUTIONS = """a = Conv <pads = [1,1,1,1]> (x, c1) ra = Relu (a)
    b = Conv <pads = [1,1,1,1], strides = [2,2]> (ra, c2) rb = Relu (b)
    p = GlobalAveragePool (rb) f = Flatten (p) y = Gemm <transB = 1> (f, w, bias)"""
ITS_MACS = {"Conv": 32 * 32 * 16 * 27 + 16 * 16 * 16 * 144, "Gemm": 16 * 10}


@pytest.fixture(scope="module")
def float_file(tmp_path_factory):
    draw = np.random.default_rng(0)
    shapes = {"c1": (16, 3, 3, 3), "c2": (16, 16, 3, 3), "w": (10, 16), "bias": (10,)}
    weights = {name: draw.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    text = f"g (float[1,3,32,32] x) => (float[1,10] y) {{ {TWO_CONVOLUTIONS} }}"
    return graphs.save(tmp_path_factory.mktemp("float") / "model.onnx", text, weights)


class Reader(quantization.CalibrationDataReader):
    def __init__(self, name):
        self.feeds = iter([{name: np.random.default_rng(1).random((1, 3, 32, 32), np.float32)}])

    def get_next(self):
        return next(self.feeds, None)


def quantized(source, out, form, weights):
    kind = quantization.QuantType[weights]
    if form == "dynamic":
        quantization.quantize_dynamic(source, out, weight_type=kind)
    else:
        given, activations = onnx.load(source).graph.input[0].name, quantization.QuantType.QUInt8
        quantization.quantize_static(
            source, out, Reader(given), quantization.QuantFormat[form], activation_type=activations, weight_type=kind
        )
    return out


@pytest.mark.parametrize("level", ["all", "extended", "basic", "disabled"])
@pytest.mark.parametrize(
    ("form", "weights"),
    [("QDQ", "QInt8"), ("QDQ", "QUInt8"), ("QOperator", "QInt8"), ("dynamic", "QUInt8")],
)
def test_every_integer_operator_has_its_macs(float_file, tmp_path, form, weights, level):
    """QLinearConv and its channels-last form, QGemm, ConvInteger, MatMulInteger and what ONNX Runtime makes of them."""
    path = quantized(float_file, tmp_path / "int8.onnx", form, weights)

    found = layers.examine(path, Options(graph_optimization=level), SHAPE).layers
    working = [layer for layer in found if layer.macs]

    convolutions = sum(layer.macs for layer in working if "Conv" in layer.operator)
    assert convolutions == ITS_MACS["Conv"]
    assert sum(layer.macs for layer in working) == sum(ITS_MACS.values())
    assert all(layer.macs is not None for layer in found)
    # Channels first, whatever the layout inside, so that float and int8 layers compare.
    maps = [layer.shape for layer in working if "Conv" in layer.operator]
    assert maps == [[1, 16, 32, 32], [1, 16, 16, 16]]


@pytest.fixture(scope="module")
def resnet(tmp_path_factory):
    """ResNet-20 as exported, with random weights."""
    from edgecheck.models.resnet_cifar import resnet20
    from tests.device import exports

    return exports.export(resnet20(), tmp_path_factory.mktemp("resnet") / "model.onnx", SHAPE)


def renamed(path, out):
    """The same file as another exporter would name its nodes and tensors."""
    model = onnx.load(path)
    ends = {value.name for value in [*model.graph.input, *model.graph.output]}
    new = {"": "", **{name: name for name in ends}}
    for tensor in model.graph.initializer:
        tensor.name = new.setdefault(tensor.name, f"t{len(new)}")
    for index, node in enumerate(model.graph.node):
        node.name = f"n{index}"
        node.input[:] = [new.setdefault(name, f"t{len(new)}") for name in node.input]
        node.output[:] = [new.setdefault(name, f"t{len(new)}") for name in node.output]
    del model.graph.value_info[:]
    onnx.save(model, out)
    return out


def without_filters(path, out, kept=11):
    """The first convolution of the first block keeps so many filters, and the one behind it loses what they gave."""
    model = onnx.load(path)
    first, second = [node for node in model.graph.node if node.op_type == "Conv"][1:3]
    cuts = {first.input[1]: np.s_[:kept], first.input[2]: np.s_[:kept], second.input[1]: np.s_[:, :kept]}
    for tensor in model.graph.initializer:
        if tensor.name in cuts:
            cut = onnx.numpy_helper.to_array(tensor)[cuts[tensor.name]]
            tensor.CopyFrom(onnx.numpy_helper.from_array(cut, tensor.name))
    del model.graph.value_info[:]
    onnx.save(model, out)
    return out


@pytest.mark.parametrize("kind", ["int8", "renamed", "int8 renamed", "pruned", "pruned renamed"])
@pytest.mark.usefixtures("_one_run")
def test_a_variant_pairs_with_its_baseline_layer_by_layer(resnet, tmp_path, kind):
    """Whatever its names: 19 convolutions and the linear layer, each beside its own."""
    path = resnet
    if "int8" in kind:
        path = quantized(path, tmp_path / "int8.onnx", "QDQ", "QInt8")
    if "pruned" in kind:
        path = without_filters(path, tmp_path / "pruned.onnx")
    if "renamed" in kind:
        path = renamed(path, tmp_path / "renamed.onnx")
    # Below "all" no CPU pads channels to blocks, and what was pruned shows.
    options = Options(graph_optimization="extended" if "pruned" in kind else "all")
    baseline, variant = (layers.examine(file, options, SHAPE).layers for file in (resnet, path))

    rows = layer_rows(baseline, variant, shown=1000)
    working = [row for row in rows if any(side and side.macs for side in (row.baseline, row.variant))]

    assert len(working) == 20
    assert all(row.baseline and row.variant for row in working)
    differ = [index for index, row in enumerate(working) if row.baseline.macs != row.variant.macs]
    assert differ == ([1, 2] if "pruned" in kind else [])
