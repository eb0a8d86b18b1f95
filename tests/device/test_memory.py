from pathlib import Path

import numpy as np
import onnx
import pytest

from edgecheck.device.memory import Liveness, peak_activation_bytes, peak_activations
from edgecheck.device.shapes import Graph, infer

from . import graphs

MAP = 4 * 8 * 8 * 4  # bytes of a float32 map (1, 4, 8, 8)
INT8_MAP = MAP // 4
W = graphs.ones(4, 4, 3, 3)
CONV = "Conv <pads = [1,1,1,1]>"


def liveness(body: str, output: str = "float[n,c,h,w] y", opset: int = 17, **weights: np.ndarray) -> Liveness:
    model = graphs.model(f"g (float[N,4,8,8] x) => ({output}) {{ {body} }}", {"w": W, **weights}, opset=opset)
    return peak_activations(Graph(model, infer(model)))


def test_a_chain_needs_two_neighbours_at_a_time():
    found = liveness(f"a = {CONV} (x, w)\n b = {CONV} (a, w)\n y = MaxPool <kernel_shape = [2,2], strides = [2,2]> (b)")
    assert found.live_bytes == (2 * MAP, 2 * MAP, MAP + MAP // 4)
    assert (found.peak_bytes, found.peak_node, found.nodes) == (2 * MAP, "a", ("a", "b", "y"))


def test_a_branch_keeps_its_root_alive():
    found = liveness(f"a = {CONV} (x, w)\n b = {CONV} (a, w)\n c = {CONV} (a, w)\n y = Concat <axis = 1> (b, c)")
    assert found.live_bytes == (2 * MAP, 2 * MAP, 3 * MAP, 4 * MAP)
    assert found.peak_node == "y"


def test_a_residual_sum_keeps_its_shortcut_alive():
    found = liveness(f"a = {CONV} (x, w)\n r = Relu (a)\n b = {CONV} (r, w)\n s = Add (b, x)\n y = Relu (s)")
    assert found.live_bytes == (2 * MAP, 2 * MAP, 3 * MAP, 3 * MAP, MAP)


def test_an_activation_is_not_in_place_if_its_input_is_read_again():
    found = liveness(f"a = {CONV} (x, w)\n r = Relu (a)\n y = Add (r, a)")
    assert found.live_bytes == (2 * MAP, 2 * MAP, 3 * MAP)


def test_an_activation_never_overwrites_the_input_of_the_caller():
    assert liveness(f"r = Relu (x)\n y = {CONV} (r, w)").live_bytes == (2 * MAP, 2 * MAP)


def test_an_activation_never_overwrites_an_output():
    found = liveness(f"a = {CONV} (x, w)\n y = Relu (a)", output="float[n,c,h,w] y, float[n,c,h,w] a")
    assert found.live_bytes == (2 * MAP, 2 * MAP)


def test_outputs_live_until_the_end():
    body = f"a = {CONV} (x, w)\n b = GlobalAveragePool (a)\n y = Flatten (b)"
    assert liveness(body).live_bytes == (2 * MAP, MAP + 16, 16)
    assert liveness(body, output="float[n,m] y, float[n,c,h,w] a").live_bytes == (2 * MAP, MAP + 16, MAP + 16)


SHAPE = np.array([1, 4, 8, 8])


def test_views_share_a_buffer_even_beside_their_source():
    body = f"a = {CONV} (x, w)\n f = Flatten (a)\n i = Identity (f)\n r = Reshape (i, s)\n y = Add (r, a)"
    assert liveness(body, s=SHAPE).live_bytes == (2 * MAP, MAP, MAP, MAP, 2 * MAP)


def test_a_view_lives_as_long_as_its_last_reader():
    body = f"f = Flatten (x)\n a = {CONV} (x, w)\n r = Reshape (f, s)\n y = Add (r, a)"
    assert liveness(body, s=SHAPE).live_bytes == (MAP, 2 * MAP, 2 * MAP, 3 * MAP)


def test_weights_and_what_is_made_of_them_do_not_count():
    body = f"half = Constant <value = float[1] {{0.5}}> ()\n v = Mul (w, half)\n y = {CONV} (x, v)"
    assert liveness(body).live_bytes == (2 * MAP,)


def test_an_unread_mask_is_not_made():
    body = f"a = {CONV} (x, w)\n d, mask = Dropout (a)\n y = {CONV} (d, w)"
    assert liveness(body).live_bytes == (2 * MAP, MAP, 2 * MAP)
    with_mask = liveness(body, output="float[n,c,h,w] y, bool[n,c,h,w] mask")
    assert with_mask.live_bytes == (2 * MAP, MAP + INT8_MAP, 2 * MAP + INT8_MAP)


QUANTISE, DEQUANTISE = "QuantizeLinear ({}, s, z)", "DequantizeLinear ({}, s, z)"
SCALES = {"s": np.float32(0.1), "z": np.uint8(3)}


def test_quantised_maps_are_counted_as_integers():
    body = f"""
        q = {QUANTISE.format("x")}
        d = {DEQUANTISE.format("q")}
        a = {CONV} (d, w)
        r = Relu (a)
        qa = {QUANTISE.format("r")}
        da = {DEQUANTISE.format("qa")}
        b = {CONV} (da, w)
        qb = {QUANTISE.format("b")}
        y = {DEQUANTISE.format("qb")}"""
    found = liveness(body, **SCALES)
    two = 2 * INT8_MAP
    assert found.live_bytes == (
        MAP + INT8_MAP,
        INT8_MAP,
        two,
        INT8_MAP,
        INT8_MAP,
        INT8_MAP,
        two,
        INT8_MAP,
        INT8_MAP + MAP,
    )


def test_a_map_that_is_read_as_float_too_stays_float():
    body = f"a = {CONV} (x, w)\n q = {QUANTISE.format('a')}\n d = {DEQUANTISE.format('q')}\n y = Add (d, a)"
    assert liveness(body, **SCALES).live_bytes == (2 * MAP, MAP + INT8_MAP, MAP + INT8_MAP, 2 * MAP + INT8_MAP)


def test_a_branch_of_if_keeps_what_it_captures_alive():
    branch = onnx.parser.parse_graph("b () => (float[1,4,8,8] o) { o = Neg (x) }")
    node = onnx.helper.make_node("If", ["flag"], ["t"], then_branch=branch, else_branch=branch)
    body = f"a = {CONV} (x, w)\n t = Neg (x)\n y = Add (a, t)"
    model = graphs.model(f"g (float[N,4,8,8] x, bool flag) => (float[n,c,h,w] y) {{ {body} }}", {"w": W})
    model.graph.node[1].CopyFrom(node)
    assert peak_activations(Graph(model, infer(model))).live_bytes == (2 * MAP + 1, 3 * MAP + 1, 3 * MAP)


def test_an_unknown_size_leaves_no_peak():
    found = liveness(f"a = {CONV} (x, w)\n h = mine.Mystery (a)\n y = Relu (h)")
    assert found.peak_bytes is None
    assert found.unsized == ("h", "y")
    assert found.live_bytes[0] == 2 * MAP


def test_the_batch_in_the_file_counts(tmp_path: Path):
    text = "g (float[{},4,8,8] x) => (float[n,c,h,w] y) {{ y = Conv <pads = [1,1,1,1]> (x, w) }}"
    paths = [graphs.save(tmp_path / f"{n}.onnx", text.format(n), {"w": W}) for n in ("N", "5")]
    assert [peak_activation_bytes(path) for path in paths] == [2 * MAP, 10 * MAP]


@pytest.mark.parametrize("name", ["resnet50", "vgg19"])
def test_known_networks(name):
    """VGG-19 peaks at two maps of 64 x 224 x 224; ResNet-50 at three of 256 x 56 x 56, in its first block's sum."""
    light = Path(onnx.__file__).parent / "backend/test/data/light" / f"light_{name}.onnx"
    assert peak_activation_bytes(light) == {"vgg19": 2 * 64 * 224 * 224 * 4, "resnet50": 3 * 256 * 56 * 56 * 4}[name]
