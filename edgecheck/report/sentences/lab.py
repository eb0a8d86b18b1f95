"""About exporting and quantizing a model."""

from __future__ import annotations

SENTENCES = {
    "export-batch-fixed": (
        "the network's code accepts one image at a time, so the batch dimension of the file is fixed to 1"
    ),
    "int8-seven-bits": (
        "int8 weights have 7 bits, so that sums do not saturate on x86 CPUs without VNNI. If every device has VNNI or "
        "an ARM CPU, set {setting:quantize.reduce_range} to false to use 8 bits"
    ),
    "int8-dynamic-unchanged": (
        "int8-dynamic changed nothing: it quantizes matrix products, and the file has none with stored weights. Try "
        "int8"
    ),
    "fp16-on-cpu": (
        "a CPU without half-precision kernels converts every layer back to float32, so fp16 may be slower than float32"
    ),
}
