"""Our MACs and parameters beside those of `onnx-tool` and of torch's FlopCounterMode, on ten networks.

python -m tests.benchmarks.count [--json] [--models NAME ...]

torch's figure is halved (it counts FLOPs) and there only where there is a module. `onnx-tool` counts activations,
normalization, pooling and biases as MACs too, so it is higher; what it has of the operators that we count (its share in
convolutions and matrix products, biases apart) is set beside, and whoever still differs is named with the operators
that make the difference.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from edgecheck.device.model import graph
from tests.device.exports import export, macs

SHAPE = (3, 224, 224)
CLOSE = 1e-3  # relative: what counts as one figure
LIGHT = Path(onnx.__file__).parent / "backend/test/data/light"
TORCHVISION = ("resnet18", "resnet50", "mobilenet_v2", "densenet121", "squeezenet1_1", "vit_b_16")
ONNX_FILES = ("light_resnet50", "light_vgg19", "light_inception_v1", "light_shufflenet")
# An operator with its bias: onnx-tool adds one MAC an output for it.
WITH_BIAS = {"Conv": 2, "ConvTranspose": 2, "Gemm": 2}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON only")
    parser.add_argument("--models", nargs="+", choices=[*TORCHVISION, *ONNX_FILES], default=[*TORCHVISION, *ONNX_FILES])
    options = parser.parse_args()
    result: dict[str, Any] = {"models": {}}
    for name in options.models:
        with tempfile.TemporaryDirectory() as folder:
            result["models"][name] = compare(name, Path(folder))
        if not options.json:
            print(line(name, result["models"][name]), flush=True)
    if options.json:
        print(json.dumps(result, indent=2))


def line(name: str, found: dict[str, Any]) -> str:
    module = f", torch {found['torch_macs']:,}" if found["torch_macs"] is not None else ""
    whole = found["onnx_tool_macs"]
    peer = f"{whole:,}" if whole is not None else "fails"
    counted = f"{found['macs']:,} MACs, {found['params']:,} parameters"
    return f"{name}: {counted}; onnx-tool {peer}{module}; {found['who_differs']}"


def compare(name: str, folder: Path) -> dict[str, Any]:
    """Return every tool's figures for one network."""
    module = torchvision(name) if name in TORCHVISION else None
    path = export(module, folder / f"{name}.onnx", SHAPE) if module else LIGHT / f"{name}.onnx"
    ours = graph.count(path, SHAPE)
    by_operator = Counter({row.op_type: row.macs or 0 for row in ours.operators})
    peer, peer_by_operator, failure = onnx_tool_macs(path)
    torch_macs = torch_count(module) if module else None
    comparable = {op: peer_by_operator[op] for op in ours.counted}
    return {
        "params": ours.params_graph,
        "macs": ours.macs,
        "onnx_tool_macs": peer,
        "onnx_tool_macs_of_what_we_count": sum(comparable.values()) if peer is not None else None,
        "torch_macs": torch_macs,
        "unsupported": list(ours.unsupported),
        "who_differs": verdict(ours.macs, by_operator, comparable, torch_macs, failure),
    }


def torch_count(module: nn.Module) -> int:
    """Return torch's MACs, without its fused ways through attention, into which FlopCounterMode does not see."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            return macs(module, SHAPE)
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


def torchvision(name: str) -> nn.Module:
    from torchvision import models

    module: nn.Module = getattr(models, name)()
    return module.eval()


def onnx_tool_macs(path: Path) -> tuple[int | None, Counter[str], str]:
    """Return onnx-tool's MACs of one image: in all, by operator without biases, and why there are none."""
    import numpy as np
    import onnx_tool

    try:
        with contextlib.redirect_stdout(io.StringIO()):
            model = onnx_tool.Model(str(path))
            weights = {tensor.name for tensor in onnx.load(path).graph.initializer}
            given = [name for name in model.graph.input if name not in weights]
            model.graph.shape_infer({given[0]: np.zeros((1, *SHAPE), np.float32)})
            model.graph.profile()
    except Exception as error:  # each of its operators fails in its own way
        return None, Counter(), f"{type(error).__name__}: {error}"
    found: Counter[str] = Counter()
    for node in model.graph.nodemap.values():
        biased = len(node.input) > WITH_BIAS.get(node.op_type, len(node.input))
        found[node.op_type] += int(node.macs[0]) - (int(np.prod(node.outshape)) if biased else 0)
    return int(model.graph.macs[0]), found, ""


def verdict(ours: int, by_operator: Counter[str], peer: dict[str, int], torch_macs: int | None, failure: str) -> str:
    """Say who agrees with us on what we count, and which operators make the difference where not."""
    said = []
    if failure:
        said.append(f"onnx-tool cannot read it ({failure})")
    else:
        differing = [
            f"{op} ({by_operator[op]:,} here, {peer[op]:,} there)"
            for op in peer
            if not close(by_operator[op], peer[op])
        ]
        said.append(
            f"onnx-tool differs in {', '.join(differing)}" if differing else "onnx-tool agrees on what we count"
        )
    if torch_macs is not None:
        said.append("torch agrees" if close(ours, torch_macs) else f"torch differs by {torch_macs / ours - 1:+.2%}")
    return "; ".join(said)


def close(one: float, other: float) -> bool:
    return abs(one - other) <= CLOSE * max(one, other, 1)


if __name__ == "__main__":
    main()
