import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgecheck.device.model import signature
from edgecheck.device.runtime import ort
from edgecheck.device.runtime.ort import Options
from edgecheck.device.runtime.session import check_labels, open_classifier
from edgecheck.errors import DataError, MeasurementError, ModelError
from edgecheck.images import ImageSet
from tests.device.small_files import expected, pictures, write


@pytest.mark.parametrize(
    ("variation", "tolerance"),
    [
        ({}, 1e-6),
        ({"opset": 9}, 1e-6),
        ({"opset": 21}, 1e-6),
        ({"shape": ("N", 8, 8, 3), "layout": "NHWC"}, 1e-6),
        ({"shape": ("N", "height", "width", 3), "layout": "NHWC"}, 1e-6),
        ({"shape": ("N", 8, 8, None), "layout": "NHWC"}, 1e-6),
        ({"shape": (None, None, None, None)}, 1e-6),
        ({"shape": (1, 3, 8, 8)}, 1e-6),
        ({"shape": (4, 3, 8, 8)}, 1e-6),
        ({"shape": (4, 8, 8, 3), "layout": "NHWC"}, 1e-6),
        ({"dtype": TensorProto.FLOAT16}, 1e-3),
        ({"dtype": TensorProto.DOUBLE}, 1e-6),
        ({"extra_input": "default"}, 1e-6),
        ({"as_map": True}, 1e-6),
        ({"second_output": "pooled", "shape": ("N", 3, 8, 8)}, 1e-6),
    ],
)
def test_foreign_file_gives_what_numpy_gives(tmp_path, variation, tolerance):
    classifier = open_classifier(write(tmp_path / "model.onnx", **variation))
    images = pictures(7)

    outputs = classifier.run(images)

    assert outputs.dtype == np.float32
    np.testing.assert_allclose(outputs, expected(images), atol=tolerance)


def test_tells_what_the_file_wants(tmp_path):
    nhwc = open_classifier(write(tmp_path / "a.onnx", shape=(4, 32, 24, 3), layout="NHWC"), options=Options(threads=2))
    free = open_classifier(write(tmp_path / "b.onnx", shape=("N", None, None, None)))

    assert (nhwc.input_size, nhwc.layout, nhwc.batch, nhwc.classes, nhwc.threads) == ((3, 32, 24), "NHWC", 4, 4, 2)
    assert (free.input_size, free.layout, free.batch, free.classes) == ((None, None, None), "NCHW", None, 4)


def test_layout_can_be_told_where_sizes_do_not_tell(tmp_path):
    path = write(tmp_path / "model.onnx", shape=("N", None, None, None), layout="NHWC")

    images = pictures(2)

    np.testing.assert_allclose(open_classifier(path, layout="NHWC").run(images), expected(images), atol=1e-6)


@settings(deadline=None, max_examples=20)
@given(n=st.integers(1, 13), batch=st.integers(1, 6))
def test_fixed_batch_changes_nothing(tmp_path_factory, n, batch):
    path = write(tmp_path_factory.mktemp("batch") / "model.onnx", shape=(batch, 3, 8, 8))
    images = pictures(n, seed=n)

    np.testing.assert_allclose(open_classifier(path).run(images), expected(images), atol=1e-6)


def test_batch_frozen_inside_the_graph_is_seen_in_the_output(tmp_path):
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["pooled"]),
        helper.make_node("Reshape", ["pooled", "shape"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "frozen",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.array([1, 3]), "shape")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), tmp_path / "m.onnx")
    images = pictures(5)

    classifier = open_classifier(tmp_path / "m.onnx")

    assert classifier.batch == 1
    np.testing.assert_allclose(classifier.run(images), images.mean(axis=(2, 3)), atol=1e-6)


def test_feed_is_in_the_files_own_form_and_fills_the_batch(tmp_path):
    path = write(tmp_path / "model.onnx", shape=(4, 8, 8, 3), layout="NHWC", dtype=TensorProto.FLOAT16)
    classifier = open_classifier(path)
    images = pictures(1)

    feed = classifier.feed(images)

    (array,) = feed.values()
    assert list(feed) == ["picture"]
    assert array.dtype == np.float16
    assert array.shape == (4, 8, 8, 3)
    assert array.flags.c_contiguous
    np.testing.assert_array_equal(array[3], images[0].transpose(1, 2, 0).astype(np.float16))
    assert classifier.run_once(feed).shape == (4, 4)


def test_images_of_another_size_are_refused_with_advice(tmp_path):
    classifier = open_classifier(write(tmp_path / "model.onnx", shape=("N", 3, 32, 32)))

    with pytest.raises(DataError, match=r"file expects 3x32x32, images are 3x64x64: set preprocessing.size"):
        classifier.run(pictures(2, (3, 64, 64)))
    with pytest.raises(DataError, match="images are 1x32x32: give images of that many channels"):
        classifier.run(pictures(2, (1, 32, 32)))


@pytest.mark.parametrize(
    ("variation", "message"),
    [
        ({"extra_input": "required"}, "exactly one input.*'picture'.*'scale' tensor.float. scalar"),
        ({"dtype": TensorProto.UINT8}, "is tensor.uint8.; only float, float16 and double"),
        ({"dtype": TensorProto.INT64}, "is tensor.int64."),
        ({"second_output": "flat"}, "several outputs look like classes.*'flat'.*'scores'"),
    ],
)
def test_what_is_no_image_classifier_is_refused(tmp_path, variation, message):
    with pytest.raises(ModelError, match=message) as refusal:
        open_classifier(write(tmp_path / "model.onnx", **variation))

    assert "\n" not in str(refusal.value)


def test_output_that_is_no_vector_of_classes_is_refused(tmp_path):
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "map",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), tmp_path / "m.onnx")

    with pytest.raises(ModelError, match="no output looks like classes"):
        open_classifier(tmp_path / "m.onnx")


def test_operator_unknown_to_onnx_runtime_is_told_in_one_line(tmp_path):
    model = onnx.load(write(tmp_path / "model.onnx"))
    model.graph.node[0].op_type = "NoSuchOperator"
    onnx.save(model, tmp_path / "model.onnx")

    with pytest.raises(ModelError, match=r"ONNX Runtime cannot load it .*NoSuchOperator") as refusal:
        open_classifier(tmp_path / "model.onnx")

    assert "ONNXRuntimeError" not in str(refusal.value)


def test_missing_and_foreign_files_are_told_apart(tmp_path):
    (tmp_path / "text.onnx").write_text("hello")

    with pytest.raises(ModelError, match="no such file"):
        open_classifier(tmp_path / "none.onnx")
    with pytest.raises(ModelError, match="not an ONNX file"):
        open_classifier(tmp_path / "text.onnx")


def test_failing_run_is_one_line_without_cpp_paths(tmp_path, capfd):
    nodes = [helper.make_node("Reshape", ["x", "shape"], ["y"])]
    graph = helper.make_graph(
        nodes,
        "breaks",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, None, None])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 192])],
        [numpy_helper.from_array(np.array([-1, 192]), "shape")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), tmp_path / "m.onnx")

    with pytest.raises(MeasurementError, match=r"the run failed .*cannot be reshaped") as failure:
        open_classifier(tmp_path / "m.onnx").run(pictures(1, (3, 7, 7)))

    assert "\n" not in str(failure.value)
    assert ".h:" not in str(failure.value)
    assert "::" not in str(failure.value)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "[ONNXRuntimeError] : 1 : FAIL : /src/graph/model.cc:256 onnxruntime::Model::Model(onnx::ModelProto&&, "
            "bool) Unsupported model IR version: 99, max supported IR version: 13\n",
            "Unsupported model IR version: 99, max supported IR version: 13",
        ),
        (
            "[ONNXRuntimeError] : 1 : FAIL : /s/load_utils.h:46 void onnxruntime::Validate(const std::map<int, int>&, "
            "bool) const Opset 99 is under development.\n",
            "Opset 99 is under development",
        ),
        ("[ONNXRuntimeError] : 1 : FAIL : proto.cc:1534 ValidateSize Initializer 'w': bad", "Initializer 'w': bad"),
        ("[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Wrong (rank)\n index 2\n", "Wrong (rank)"),
        (
            "[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Load model from a b.onnx failed:Parsing failed.",
            "Parsing failed",
        ),
        ("", "Exception"),
    ],
)
def test_one_line_keeps_the_reason_only(said, told):
    assert ort.one_line(Exception(said)) == told


def test_labels_must_be_classes_of_the_file(tmp_path):
    classifier = open_classifier(write(tmp_path / "model.onnx"))
    images = np.zeros((3, 8, 8, 3), dtype=np.uint8)

    check_labels(classifier, ImageSet(images, np.array([0, 3, 1]), tuple("abcd")))
    with pytest.raises(DataError, match="it has 4 outputs, but the data 5 classes, and image 1 has label 4"):
        check_labels(classifier, ImageSet(images, np.array([0, 4, 1]), tuple("abcde")))


class Described:
    """An argument as ONNX Runtime describes it."""

    def __init__(self, name, shape, kind="tensor(float)"):
        self.name, self.shape, self.type = name, shape, kind


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        (["N", 3, 8, 8], "NCHW"),
        (["N", 1, "h", "w"], "NCHW"),
        (["N", None, 32, 32], "NCHW"),
        (["N", None, None, None], "NCHW"),
        (["N", 3, 3, 3], "NCHW"),
        (["N", 8, 8, 3], "NHWC"),
        (["N", None, None, 1], "NHWC"),
        (["N", 32, 32, None], "NHWC"),
    ],
)
def test_layout_is_read_from_the_known_sizes(shape, layout):
    assert signature.read("f", [Described("x", shape)], [Described("y", ["N", 10])]).layout == layout


def test_channels_that_no_image_has_are_refused():
    with pytest.raises(ModelError, match="takes 4 or 8 channels, but images have 1 or 3"):
        signature.read("f", [Described("x", ["N", 4, 8, 8])], [Described("y", ["N", 10])])


@pytest.mark.parametrize(
    ("shape", "classes"),
    [(["N", 10], 10), (["N", None], None), (["N", 10, 1, 1], 10), (["N", 1, 1, 10], 10), (["N", 10, "h", "w"], 10)],
)
def test_classes_are_counted_where_the_file_says(shape, classes):
    assert signature.read("f", [Described("x", ["N", 3, 8, 8])], [Described("y", shape)]).classes == classes


def test_an_output_of_rank_two_goes_before_a_map_and_a_class_number():
    outputs = [
        Described("features", ["N", 64, 1, 1]),
        Described("label", ["N", 1], "tensor(int64)"),
        Described("logits", ["N", 10]),
    ]

    assert signature.read("f", [Described("x", ["N", 3, 8, 8])], outputs).output == "logits"
