from pathlib import Path

import numpy as np
import onnx
import pytest

from edgecheck.device.model import graph
from edgecheck.errors import ModelError
from tests.device import graphs

TWO_LAYERS = """g (float[N,3,8,8] x) => (float[n,m] y) {
    [first] a = Conv <pads = [1,1,1,1]> (x, w, b)
    r = Relu (a)
    p = GlobalAveragePool (r)
    f = Flatten (p)
    y = Gemm (f, v, c)
}"""
WEIGHTS = {"w": graphs.ones(4, 3, 3, 3), "b": graphs.ones(4), "v": graphs.ones(4, 10), "c": np.zeros(10, np.float32)}
LIGHT = Path(onnx.__file__).parent / "backend/test/data/light"


def test_everything_of_a_small_file(tmp_path):
    counts = graph.count(graphs.save(tmp_path / "model.onnx", TWO_LAYERS, WEIGHTS))
    assert counts.params_graph == 108 + 4 + 40 + 10
    assert counts.params_nonzero == 108 + 4 + 40
    assert counts.weight_bytes == {"float32": 4 * 162}
    assert counts.macs == 8 * 8 * 4 * 27 + 40
    assert counts.flops == 2 * counts.macs
    assert (counts.counted, counts.free) == (("Conv", "Gemm"), ("Flatten", "GlobalAveragePool", "Relu"))
    assert (counts.unsupported, counts.is_lower_bound) == ((), False)
    assert (counts.opset, counts.ir_version, counts.batch, counts.external_files) == (17, 9, 1, ())
    first = graph.NodeCounts("first", "Conv", "counted", 8 * 8 * 4 * 27, 8 * 8 * 4 * 27, 112, (1, 4, 8, 8))
    assert counts.nodes[0] == first
    assert counts.nodes[1].name == "r"
    assert counts.operators[0] == graph.OperatorCounts("Conv", "counted", 1, 8 * 8 * 4 * 27, 8 * 8 * 4 * 27, 112)
    assert counts.operators[1] == graph.OperatorCounts("Gemm", "counted", 1, 40, 40, 50)


def test_macs_of_weights_that_are_zero_by_hand(tmp_path):
    pruned = {name: np.array(weight) for name, weight in WEIGHTS.items()}
    first = max((name for name in pruned if pruned[name].ndim == 4), key=lambda name: pruned[name].size)
    pruned[first][0] = 0  # one of four filters
    counts = graph.count(graphs.save(tmp_path / "model.onnx", TWO_LAYERS, pruned))

    assert counts.nonzero_macs == 8 * 8 * 3 * 27 + 40
    assert counts.macs == 8 * 8 * 4 * 27 + 40
    assert counts.operators[0].nonzero_macs == 8 * 8 * 3 * 27


def test_rows_add_up_to_the_whole(tmp_path):
    counts = graph.count(graphs.save(tmp_path / "model.onnx", TWO_LAYERS, WEIGHTS))
    for rows in (counts.nodes, counts.operators):
        assert sum(row.macs for row in rows) == counts.macs
        assert sum(row.params for row in rows) == counts.params_graph
    assert sum(row.nodes for row in counts.operators) == len(counts.nodes)


def test_macs_grow_with_the_image(tmp_path):
    path = graphs.save(tmp_path / "model.onnx", TWO_LAYERS.replace("8,8", "h,w"), WEIGHTS)
    small, large = (graph.count(path, (3, side, side)) for side in (8, 16))
    assert large.macs - 40 == 4 * (small.macs - 40)
    with pytest.raises(ModelError, match=r"model\.onnx: input x leaves dimension 2 \(h\) and dimension 3 \(w\) free"):
        graph.count(path)


def test_unknown_operators_are_never_zero(tmp_path):
    text = """g (float[N,1,10] x) => (float[n,m] y) {
        a = MatMul (x, v)
        h, last = LSTM <hidden_size = 4> (a, w, r)
        y = mine.Mystery (h)
    }"""
    weights = {"v": graphs.ones(10, 10), "w": graphs.ones(1, 16, 10), "r": graphs.ones(1, 16, 4)}
    counts = graph.count(graphs.save(tmp_path / "model.onnx", text, weights))
    assert counts.unsupported == ("LSTM", "Mystery")
    assert counts.is_lower_bound
    assert counts.macs == 100
    assert [row.macs for row in counts.nodes] == [100, None, None]
    assert {row.op_type: row.macs for row in counts.operators} == {"MatMul": 100, "LSTM": None, "Mystery": None}


def test_a_counted_operator_of_unknown_shape_is_never_zero(tmp_path):
    text = "g (float[N,10] x) => (float[n,m] y) { a = MatMul (x, v)\n h = mine.Mystery (a)\n y = MatMul (h, v) }"
    counts = graph.count(graphs.save(tmp_path / "model.onnx", text, {"v": graphs.ones(10, 10)}))
    assert counts.macs == 100
    assert counts.counted == ("MatMul",)
    assert counts.unsupported == ("MatMul", "Mystery")


def test_a_namesake_from_another_domain_is_unknown(tmp_path):
    text = "g (float[N,10] x) => (float[n,m] y) { y = mine.Relu (x) }"
    assert graph.count(graphs.save(tmp_path / "model.onnx", text)).unsupported == ("Relu",)


def test_sparse_initialisers_are_flagged(tmp_path):
    model = graphs.model(TWO_LAYERS, WEIGHTS)
    values = onnx.numpy_helper.from_array(np.ones(2, np.float32), "sparse")
    model.graph.sparse_initializer.append(
        onnx.helper.make_sparse_tensor(values, onnx.numpy_helper.from_array(np.array([0, 5])), [4, 4])
    )
    onnx.save(model, tmp_path / "model.onnx")
    assert graph.count(tmp_path / "model.onnx").unsupported == ("sparse initializer",)


def test_a_fixed_batch_is_counted_whole(tmp_path):
    path = graphs.save(tmp_path / "model.onnx", TWO_LAYERS.replace("N", "4"), WEIGHTS)
    counts = graph.count(path)
    assert (counts.batch, counts.macs) == (4, 4 * (8 * 8 * 4 * 27 + 40))


def test_external_data_counts_the_same(tmp_path):
    model = graphs.model(TWO_LAYERS, WEIGHTS)
    inside = graphs.save(tmp_path / "inside.onnx", TWO_LAYERS, WEIGHTS)
    onnx.save(model, tmp_path / "split.onnx", save_as_external_data=True, location="split.data", size_threshold=0)
    counts = graph.count(tmp_path / "split.onnx")
    assert counts.external_files == ("split.data",)
    assert (counts.params_nonzero, counts.macs) == (graph.count(inside).params_nonzero, graph.count(inside).macs)


# In G at 224 x 224, as published for these networks.
PUBLISHED = {"densenet121": 2.834, "resnet50": 4.089, "squeezenet": 0.349, "vgg19": 19.632}


@pytest.mark.parametrize("path", sorted(LIGHT.glob("*.onnx")), ids=lambda path: path.stem)
def test_networks_that_come_with_onnx(path):
    counts = graph.count(path)
    assert counts.unsupported == ()
    giga = counts.macs / 1e9
    assert round(giga, 3) == PUBLISHED.get(path.stem.removeprefix("light_"), round(giga, 3))
    assert giga > 0.1


class TestExports:
    """Files exported from PyTorch agree with what PyTorch itself counts."""

    @pytest.fixture(autouse=True)
    def _torch(self) -> None:
        pytest.importorskip("torch").set_num_threads(1)

    # (MACs, parameters in the folded file)
    @pytest.mark.parametrize(
        ("name", "macs", "params"),
        [
            ("resnet8", 12_501_632, 77_706),
            ("resnet20", 40_551_040, 269_034),
            ("cifar10_cnn7", 626_403_328, 9_306_250),
        ],
    )
    def test_reference_networks(self, tmp_path, name, macs, params):
        from edgecheck.models import cifar10_cnn7, resnet_cifar
        from tests.device import exports

        module = {**vars(cifar10_cnn7), **vars(resnet_cifar)}[name]()
        counts = graph.count(exports.export(module, tmp_path / "model.onnx", (3, 32, 32)))
        assert counts.macs == exports.macs(module, (3, 32, 32)) == macs
        assert counts.params_graph == sum(row.params for row in counts.operators) == params
        assert counts.unsupported == ()

    @pytest.mark.slow
    def test_both_exporters_count_alike(self, tmp_path):
        from edgecheck.models.resnet_cifar import resnet8
        from tests.device import exports

        older, newer = (
            graph.count(exports.export(resnet8(), tmp_path / f"{dynamo}.onnx", (3, 32, 32), dynamo=dynamo))
            for dynamo in (False, True)
        )
        assert (newer.macs, newer.params_graph) == (older.macs, older.params_graph)

    @pytest.mark.slow
    @pytest.mark.parametrize(("name", "giga"), [("resnet18", 1.814), ("mobilenet_v2", 0.301)])
    def test_torchvision_networks(self, tmp_path, name, giga):
        from tests.device import exports  # isort: skip
        import torchvision

        module = getattr(torchvision.models, name)()
        counts = graph.count(exports.export(module, tmp_path / "model.onnx", (3, 224, 224)))
        assert counts.macs == exports.macs(module, (3, 224, 224))
        assert round(counts.macs / 1e9, 3) == giga
        assert counts.unsupported == ()
        # Folded: a BatchNorm's four numbers a channel become the convolution's one bias.
        channels = sum(m.num_features for m in module.modules() if type(m).__name__ == "BatchNorm2d")
        trainable = sum(parameter.numel() for parameter in module.parameters())
        assert counts.params_graph == trainable - channels


class TestQuantized:
    """ONNX Runtime's own quantized and optimized files count like the file they were made from."""

    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        draw = np.random.default_rng(0)
        weights = {name: draw.normal(size=array.shape).astype(np.float32) for name, array in WEIGHTS.items()}
        return graphs.save(tmp_path / "source.onnx", TWO_LAYERS.replace("N", "1"), weights)

    @pytest.mark.parametrize("weight_type", ["QInt8", "QUInt8"])
    @pytest.mark.parametrize("per_channel", [False, True])
    @pytest.mark.parametrize("layout", ["QDQ", "QOperator", "dynamic"])
    def test_quantized_files(self, source, tmp_path, layout, per_channel, weight_type):
        quantization = pytest.importorskip("onnxruntime.quantization")
        images = np.random.default_rng(1).normal(size=(1, 3, 8, 8)).astype(np.float32)

        class Reader(quantization.CalibrationDataReader):
            feeds = iter([{"x": images}])

            def get_next(self):
                return next(self.feeds, None)

        kind, path = quantization.QuantType[weight_type], tmp_path / "int8.onnx"
        if layout == "dynamic":
            quantization.quantize_dynamic(source, path, per_channel=per_channel, weight_type=kind)
        else:
            quantization.quantize_static(
                source, path, Reader(), quantization.QuantFormat[layout], per_channel=per_channel,
                activation_type=quantization.QuantType.QUInt8, weight_type=kind,
            )  # fmt: skip
        counts, before = graph.count(path), graph.count(source)
        assert counts.macs == before.macs
        assert counts.params_graph == before.params_graph == 162
        assert counts.unsupported == ()
        integers = sum(size for name, size in counts.weight_bytes.items() if name.endswith("int8"))
        assert integers == 108 + 40

    def test_optimized_files(self, source, tmp_path):
        onnxruntime = pytest.importorskip("onnxruntime")
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
        onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
        counts = graph.count(tmp_path / "optimized.onnx")
        assert "FusedConv" in counts.counted
        assert (counts.macs, counts.params_graph) == (graph.count(source).macs, 162)
