"""A classifier of 3 x 4 x 4 images, whose class of a white image depends on whether int8 sums saturate."""

from pathlib import Path

import numpy as np

from tests.device import graphs

# Class 0 is the larger sum, 32 x 100; where pairs of 100 saturate it is smaller than class 1, 40 x 64.
WIDE = np.zeros((48, 2), np.int8)
WIDE[:32] = 100, 64
WIDE[32::2, 1] = 64
STEP = 100.0  # the sums a logit is rounded to

ENDS = "qx = QuantizeLinear (x, one, zero) f = Flatten (qx)"
QDQ = f"""{ENDS} df = DequantizeLinear (f, one, zero) dw = DequantizeLinear (w, unit, zero_w)
    m = MatMul (df, dw) qm = QuantizeLinear (m, step, zero_y) y = DequantizeLinear (qm, step, zero_y)"""
QOPERATOR = f"""{ENDS} qm = QLinearMatMul (f, one, zero, w, unit, zero_w, step, zero_y)
    y = DequantizeLinear (qm, step, zero_y)"""
DYNAMIC = f"{ENDS} m = MatMulInteger (f, w, zero, zero_w) y = Cast <to = 1> (m)"
WEIGHT_ONLY = """f = Flatten (x) dw = DequantizeLinear (w, unit, zero_w) y = MatMul (f, dw)"""


def written(path: Path, body: str, weight: np.ndarray = WIDE) -> Path:
    """Write the file."""
    constants = {
        "w": weight,
        "one": np.float32(1 / 255),
        "unit": np.float32(1),
        "step": np.float32(weight.shape[0] * STEP / 255),
        "zero": np.uint8(0),
        "zero_w": weight.dtype.type(0),
        "zero_y": np.uint8(0),
    }
    used = {name: value for name, value in constants.items() if f"{name}," in body or f"{name})" in body}
    return graphs.save(path, f"g (float[N,3,4,4] x) => (float[N,2] y) {{ {body} }}", used)
