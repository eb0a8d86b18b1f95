"""Files on integers that no tool writes every day, against NumPy: what the tail computes is what the file computes."""

import numpy as np
import onnxruntime
import pytest

from edgecheck.attribution.source import ExplainedSubject
from edgecheck.device.explain.opening import open_wiring
from edgecheck.device.explain.source import opened
from edgecheck.errors import ModelError
from tests.device import graphs

CHANNELS, CLASSES, SIZE = 5, 4, (6, 4)
STEP = np.float32(0.01)
RANDOM = np.random.default_rng(2)
WEIGHTS = {
    "w": RANDOM.standard_normal((CHANNELS, 3, 3, 3)).astype(np.float32) * 0.3,
    "fc": RANDOM.standard_normal((CHANNELS, CLASSES)).astype(np.float32),
    "s": STEP,
    "z": np.uint8(0),
}
BEFORE = "c = Conv<pads=[1,1,1,1]>(image, w) map = Relu(c)"


def write(path, behind, opset=17, **weights):
    text = f"file (float[n, 3, {SIZE[0]}, {SIZE[1]}] image) => (float[n, {CLASSES}] scores) {{ {BEFORE} {behind} }}"
    stored = {name: value for name, value in (WEIGHTS | weights).items() if name in text}
    return graphs.save(path, text, stored, opset=opset)


@pytest.fixture
def images():
    return np.random.default_rng(0).random((3, 3, *SIZE), np.float32)


def explained(path, images):
    """Return real maps, logits of the file, and what the source says of class 1."""
    source = opened(ExplainedSubject(path), images)
    answer = source.answer(images)
    evidence = answer.evidence(np.ones(len(images), int))
    whole = onnxruntime.InferenceSession(str(path)).run(None, {"image": images})[0]
    return evidence.activations, whole, evidence


def drops(maps, tail):
    """Return y - y_k of class 1 for every channel, and the logits, of a tail in NumPy."""
    whole = tail(maps)
    ablated = []
    for channel in range(CHANNELS):
        changed = maps.copy()
        changed[:, channel] = 0
        ablated.append(whole[:, 1] - tail(changed)[:, 1])
    return np.stack(ablated, axis=1), whole


def test_two_quantizers_of_one_map(tmp_path, images):
    """Neither of them alone is the map."""
    path = write(
        tmp_path / "a.onnx",
        """q = QuantizeLinear(map, s, z) d = DequantizeLinear(q, s, z) mean = GlobalAveragePool(d)
           r = QuantizeLinear(map, t, z) e = DequantizeLinear(r, t, z) top = GlobalMaxPool(e)
           sum = Add(mean, top) flat = Flatten(sum) scores = MatMul(flat, fc)""",
        t=np.float32(0.02),
    )
    maps, whole, evidence = explained(path, images)
    wanted, logits = drops(maps, lambda a: (a.mean(axis=(2, 3)) + a.max(axis=(2, 3))) @ WEIGHTS["fc"])
    np.testing.assert_allclose(logits, whole, atol=0.1)
    np.testing.assert_allclose(evidence.drops(), wanted, atol=1e-5)


@pytest.mark.parametrize(("scale", "zero"), [(STEP * 4, 0), (STEP / 2, 3)])
def test_integers_read_with_another_scale(tmp_path, images, scale, zero):
    """As in a file with a planted fault."""
    path = write(
        tmp_path / "a.onnx",
        """q = QuantizeLinear(map, s, z) d = DequantizeLinear(q, s, z) mean = GlobalAveragePool(d)
           r = QuantizeLinear(mean, s, z) e = DequantizeLinear(r, t, y) flat = Flatten(e) scores = MatMul(flat, fc)""",
        t=np.float32(scale),
        y=np.uint8(zero),
    )
    maps, whole, evidence = explained(path, images)
    factor = scale / STEP
    wanted, logits = drops(maps, lambda a: (a.mean(axis=(2, 3)) * factor - zero * scale) @ WEIGHTS["fc"])
    np.testing.assert_allclose(logits, whole, atol=0.02 * factor)
    np.testing.assert_allclose(evidence.logits, logits[:, 1], atol=1e-5)
    np.testing.assert_allclose(evidence.drops(), wanted, atol=1e-5)


def test_a_product_of_integers_with_a_fixed_scale(tmp_path, images):
    integers = np.round(WEIGHTS["fc"] / 0.02).clip(-127, 127).astype(np.int8)
    path = write(
        tmp_path / "a.onnx",
        """mean = GlobalAveragePool(map) flat = Flatten(mean) q = QuantizeLinear(flat, s, z)
           sums = MatMulInteger(q, b, z) real = Cast<to=1>(sums) scores = Mul(real, both)""",
        b=integers,
        both=np.float32(STEP * 0.02),
    )
    maps, whole, evidence = explained(path, images)
    wanted, logits = drops(maps, lambda a: a.mean(axis=(2, 3)) @ (integers * np.float32(0.02)))
    np.testing.assert_allclose(logits, whole, atol=0.02)
    np.testing.assert_allclose(evidence.logits, logits[:, 1], atol=1e-5)
    np.testing.assert_allclose(evidence.drops(), wanted, atol=1e-5)


def test_sums_of_integers_made_real_by_dequantization(tmp_path, images):
    integers = np.round(WEIGHTS["fc"] / 0.02).clip(-127, 127).astype(np.int8)
    path = write(
        tmp_path / "a.onnx",
        """mean = GlobalAveragePool(map) flat = Flatten(mean) q = QuantizeLinear(flat, s, z)
           sums = MatMulInteger(q, b, z) scores = DequantizeLinear(sums, both)""",
        b=integers,
        both=np.float32(STEP * 0.02),
    )
    maps, _, evidence = explained(path, images)
    wanted, logits = drops(maps, lambda a: a.mean(axis=(2, 3)) @ (integers * np.float32(0.02)))
    np.testing.assert_allclose(evidence.logits, logits[:, 1], atol=1e-5)
    np.testing.assert_allclose(evidence.drops(), wanted, atol=1e-5)


def test_a_quantizer_that_names_its_type_alone(tmp_path, images):
    """It rounds to int8, so negative values pass."""
    path = write(
        tmp_path / "a.onnx",
        """mean = GlobalAveragePool(map) turned = Neg(mean) q = QuantizeLinear<output_dtype=3>(turned, s)
           d = DequantizeLinear(q, s) flat = Flatten(d) scores = MatMul(flat, fc)""",
        opset=21,
    )
    maps, whole, evidence = explained(path, images)
    wanted, logits = drops(maps, lambda a: -a.mean(axis=(2, 3)) @ WEIGHTS["fc"])
    np.testing.assert_allclose(logits, whole, atol=0.05)
    np.testing.assert_allclose(evidence.drops(), wanted, atol=1e-5)


def test_alpha_scales_the_bias_of_integers_too(tmp_path, images):
    """ONNX Runtime multiplies the sum of product and bias."""
    integers = np.round(WEIGHTS["fc"] / 0.02).clip(-127, 127).astype(np.int8)
    bias = np.array([3000, -4000, 5000, 900], np.int32)
    path = write(
        tmp_path / "a.onnx",
        """mean = GlobalAveragePool(map) flat = Flatten(mean) q = QuantizeLinear(flat, s, z)
           scores = com.microsoft.QGemm<alpha=0.5>(q, s, z, b, t, zw, bias)""",
        b=integers,
        t=np.float32(0.02),
        zw=np.int8(0),
        bias=bias,
    )
    maps, whole, evidence = explained(path, images)
    real = integers * np.float32(0.02)
    wanted, logits = drops(maps, lambda a: 0.5 * (a.mean(axis=(2, 3)) @ real + bias * STEP * np.float32(0.02)))
    np.testing.assert_allclose(logits, whole, atol=0.02)
    np.testing.assert_allclose(evidence.logits, logits[:, 1], atol=1e-5)
    np.testing.assert_allclose(evidence.drops(), wanted, atol=1e-5)


@pytest.mark.parametrize("last", ["Softmax", "Sigmoid"])
def test_logits_that_are_integers_before_probabilities(tmp_path, images, last):
    integers = np.round(WEIGHTS["fc"] / 0.02).clip(-127, 127).astype(np.int8)
    more = "<axis=1, opset=13>" if last == "Softmax" else ""
    path = write(
        tmp_path / "a.onnx",
        f"""mean = GlobalAveragePool(map) flat = Flatten(mean) q = QuantizeLinear(flat, s, z)
           logits = com.microsoft.QGemm(q, s, z, b, t, zw, , t, middle)
           p = com.microsoft.QLinear{last}{more}(logits, t, middle, share, z) scores = DequantizeLinear(p, share, z)""",
        b=integers,
        t=np.float32(0.02),
        zw=np.int8(0),
        middle=np.uint8(128),
        share=np.float32(1 / 256),
    )
    maps, _, evidence = explained(path, images)
    wanted, logits = drops(maps, lambda a: a.mean(axis=(2, 3)) @ (integers * np.float32(0.02)))
    np.testing.assert_allclose(evidence.logits, logits[:, 1], atol=1e-5)
    np.testing.assert_allclose(evidence.drops(), wanted, atol=1e-5)


def test_the_map_that_a_convolution_quantizes_for_each_image(tmp_path, images):
    """The target is the map, not its integers, whose scale no file stores."""
    integers = np.round(WEIGHTS["fc"].T / 0.02).clip(-127, 127).astype(np.int8)
    path = write(
        tmp_path / "a.onnx",
        """q, scale, zero = DynamicQuantizeLinear(map) sums = ConvInteger(q, b, zero) real = Cast<to=1>(sums)
           factor = Mul(scale, t) classes = Mul(real, factor) mean = GlobalAveragePool(classes) scores = Flatten(mean)
        """,
        b=integers[:, :, None, None],
        t=np.float32(0.02),
    )
    maps, whole, evidence = explained(path, images)
    wanted, logits = drops(maps, lambda a: a.mean(axis=(2, 3)) @ (integers.T * np.float32(0.02)))
    np.testing.assert_allclose(logits, whole, atol=0.02)
    np.testing.assert_allclose(evidence.drops(), wanted, atol=1e-5)


def test_a_quantizer_keeps_its_range(tmp_path, images):
    """What it cuts off is what the file cuts off."""
    path = write(
        tmp_path / "a.onnx",
        """mean = GlobalAveragePool(map) q = QuantizeLinear(mean, t, z) d = DequantizeLinear(q, t, z)
           flat = Flatten(d) scores = MatMul(flat, fc)""",
        t=np.float32(0.001),
    )
    maps, whole, evidence = explained(path, images)
    assert maps.mean(axis=(2, 3)).max() > 0.255
    wanted, logits = drops(maps, lambda a: a.mean(axis=(2, 3)).clip(0, 0.255) @ WEIGHTS["fc"])
    np.testing.assert_allclose(logits, whole, atol=0.01)
    np.testing.assert_allclose(evidence.drops(), wanted, atol=1e-5)


def test_maps_in_blocks_of_channels_are_refused(tmp_path):
    """ONNX Runtime runs such a file only on some CPUs; its graph can be read on all."""
    text = f"""file (float[n, 16, {SIZE[0]}, {SIZE[1]}] image) => (float[n, 16] scores) {{
        blocks = com.microsoft.nchwc.ReorderInput(image) mean = com.microsoft.nchwc.GlobalAveragePool(blocks)
        plain = com.microsoft.nchwc.ReorderOutput<channels=16>(mean) scores = Flatten(plain) }}"""
    path = graphs.save(tmp_path / "a.onnx", text)

    class Whole:
        pass

    whole = Whole()
    whole.path = path
    with pytest.raises(ModelError, match="blocks of channels"):
        open_wiring(whole, (16, *SIZE))
