from pathlib import Path

import numpy as np
import pytest

from edgecheck.device.model.paper import PaperCounts, paper_counts
from edgecheck.errors import ModelError
from tests.device import graphs

STEPS = (128, 128, "M", 256, 256, "M", 512, 512, "M", 1024, "M")  # the last convolution without padding


def plain_network(path: Path, steps=STEPS, classes: int = 10) -> Path:
    """Write the paper's CIFAR-10 network (or another one of its kind) by hand."""
    nodes, weights, channels, last = [], {}, 3, "x"
    convolutions = [step for step in steps if step != "M"]
    for number, step in enumerate(steps):
        output = f"t{number}"
        if step == "M":
            nodes.append(f"{output} = MaxPool <kernel_shape = [2,2], strides = [2,2]> ({last})")
        else:
            pad = 0 if len(weights) == 2 * len(convolutions) - 2 else 1
            weights |= {f"w{number}": graphs.ones(step, channels, 3, 3), f"b{number}": graphs.ones(step)}
            nodes.append(f"c{number} = Conv <pads = [{pad},{pad},{pad},{pad}]> ({last}, w{number}, b{number})")
            nodes.append(f"{output} = Relu (c{number})")
            channels = step
        last = output
    weights |= {"v": graphs.ones(classes, channels), "c": graphs.ones(classes)}
    nodes += [f"f = Flatten ({last})", "y = Gemm <transB = 1> (f, v, c)"]
    body = "\n".join(nodes)
    return graphs.save(path, f"g (float[N,3,h,w] x) => (float[n,m] y) {{ {body} }}", weights)


def test_the_papers_cifar10_network(tmp_path):
    rows = paper_counts(plain_network(tmp_path / "model.onnx"), (3, 32, 32))
    assert sum(row.params for row in rows) == 9_306_250
    assert sum(row.flops for row in rows if row.kind != "pool") == 1_252_806_656
    block = ["conv", "conv", "pool"]
    assert [row.kind for row in rows] == [*block * 3, "conv", "pool", "fc"]
    assert rows[0] == PaperCounts("c0", "conv", 3_584, 7_077_888)
    assert rows[-1].params == 1024 * 10 + 10
    assert rows[-1].flops == 2 * 1024 * 10


def test_the_papers_example_of_a_pruned_layer(tmp_path):
    rows = paper_counts(plain_network(tmp_path / "model.onnx", (102, *STEPS[1:])), (3, 32, 32))
    assert (rows[0].params, rows[0].flops) == (2_856, 5_640_192)


def test_pooling_counts_what_is_left_of_the_map(tmp_path):
    rows = paper_counts(plain_network(tmp_path / "model.onnx"), (3, 32, 32))
    # (Wo / S)(Ho / S) Co: 32/2, 16/2, 8/2, and 2/2 behind the convolution without padding.
    assert [row.flops for row in rows if row.kind == "pool"] == [16 * 16 * 128, 8 * 8 * 256, 4 * 4 * 512, 1024]


def test_a_bias_is_always_counted_and_groups_shorten_the_filters(tmp_path):
    text = """g (float[N,4,8,8] x) => (float[n,m] y) {
        a = Conv <group = 4, strides = [2,2], pads = [1,1,1,1]> (x, w)
        p = GlobalAveragePool (a)
        f = Flatten (p)
        y = MatMul (f, v)
    }"""
    path = graphs.save(tmp_path / "model.onnx", text, {"w": graphs.ones(4, 1, 3, 3), "v": graphs.ones(4, 5)})
    conv, pool, linear = paper_counts(path)
    assert (conv.params, conv.flops) == (4 * 9 + 4, 2 * 9 * 4 * 4 * 4)
    assert (pool.kind, pool.params, pool.flops) == ("pool", 0, 4)
    assert (linear.kind, linear.params, linear.flops) == ("fc", 25, 40)


def test_a_product_of_two_activations_is_no_layer(tmp_path):
    text = "g (float[N,4,4] x) => (float[n,m] y) { y = MatMul (x, x) }"
    assert paper_counts(graphs.save(tmp_path / "model.onnx", text)) == []


def test_a_layer_of_unknown_shape_is_refused(tmp_path):
    text = "g (float[N,4,8,8] x) => (float[n,m] y) { h = mine.Mystery (x)\n y = Conv (h, w) }"
    path = graphs.save(tmp_path / "model.onnx", text, {"w": np.ones((4, 4, 3, 3), np.float32)})
    with pytest.raises(ModelError, match=r"the shapes of node y \(Conv\) are unknown"):
        paper_counts(path)
