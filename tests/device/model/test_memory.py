import numpy as np
import onnx

from edgecheck.device.model.memory import Liveness, peak_activations
from edgecheck.device.model.shapes import Graph, infer
from tests.device import graphs

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
    assert found.live_bytes == (2 * MAP, 2 * MAP, 3 * MAP, 2 * MAP, 2 * MAP)


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
    assert liveness(body).live_bytes == (2 * MAP, MAP + 16, 32)
    assert liveness(body, output="float[n,m] y, float[n,c,h,w] a").live_bytes == (2 * MAP, MAP + 16, MAP + 32)


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


def test_a_sum_overwrites_either_summand_but_not_one_that_is_read_again():
    last = f"s = Add (r, a)\n y = {CONV} (s, w)"
    assert liveness(f"a = {CONV} (x, w)\n r = {CONV} (a, w)\n {last}").live_bytes == (
        2 * MAP,
        2 * MAP,
        2 * MAP,
        2 * MAP,
    )
    again = (
        f"a = {CONV} (x, w)\n r = {CONV} (a, w)\n s = Add (r, a)\n t = Add (a, r)\n u = Add (s, t)\n y = {CONV} (u, w)"
    )
    assert liveness(again).live_bytes == (2 * MAP, 2 * MAP, 3 * MAP, 3 * MAP, 2 * MAP, 2 * MAP)


def test_a_sum_that_broadcasts_overwrites_the_large_summand_only():
    body = f"p = GlobalAveragePool (x)\n a = {CONV} (x, w)\n s = Mul (p, a)\n y = {CONV} (s, w)"
    assert liveness(body).live_bytes == (MAP + 16, 2 * MAP + 16, MAP + 16, 2 * MAP)


def test_changes_of_type_make_a_map_of_their_own():
    body = f"a = {CONV} (x, w)\n q = QuantizeLinear (a, s, z)\n d = DequantizeLinear (q, s, z)\n y = {CONV} (d, w)"
    scales = {"s": np.float32(0.1), "z": np.uint8(3)}
    assert liveness(body, **scales).live_bytes == (2 * MAP, MAP + INT8_MAP, INT8_MAP + MAP, 2 * MAP)


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
