"""The import law: core <- score <- device; core, score <- lab; only cli and pipeline reach lab, and lazily."""

import ast
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

import edgecheck

PACKAGE = Path(edgecheck.__file__).parent
ROOMS = ("score", "device", "lab", "report", "cli", "pipeline")
# What each room may import at the top of a module or inside a function.
MAY_IMPORT = {
    "core": {"core"},
    "score": {"core", "score"},
    "device": {"core", "score", "device"},
    "lab": {"core", "score", "lab"},
    "report": {"core", "report"},
    "pipeline": {"core", "score", "device", "lab", "report", "pipeline"},
    "cli": {"core", "score", "device", "lab", "report", "pipeline", "cli"},
}
HEAVY = {"torch", "torchvision", "torch_pruning", "pytorch_grad_cam", "cv2", "sklearn", "safetensors", "timm"}
BOARD = {"onnx", "onnxruntime"}


def room_of(parts):
    if parts == ("__main__.py",):
        return "cli"
    return parts[0] if parts and parts[0] in ROOMS else "core"


def imports(path):
    """Yield (dotted name, is it only for type checkers or inside a function) of every import of a module."""
    tree = ast.parse(path.read_text())
    lazy = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in lazy) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module, id(node) in lazy
            yield from ((f"{node.module}.{alias.name}", id(node) in lazy) for alias in node.names)


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_import_law(path):
    relative = path.relative_to(PACKAGE)
    here = room_of(relative.parts)
    for name, lazy in imports(path):
        parts = name.split(".")
        if parts[0] == "edgecheck":
            there = room_of(parts[1:])
            if parts[1:2] in (["models"], ["calibration"]):
                continue
            assert there in MAY_IMPORT[here], f"{relative} ({here}) imports {name} ({there})"
            if there == "lab" and here != "lab":
                assert lazy, f"{relative} imports {name} before it is needed"
        if parts[0] in HEAVY and here != "lab":
            assert here in {"pipeline", "cli"}, f"{relative} imports {name}"
            assert lazy, f"{relative} imports {name} before it is needed"
        if parts[0] in BOARD:
            assert here in {"device", "lab", "pipeline"}, f"{relative} imports {name}"


def test_no_module_is_left_out():
    assert {room_of(p.relative_to(PACKAGE).parts) for p in MODULES} == {"core", *ROOMS}


def test_help_is_quick_and_needs_no_heavy_package():
    """Under 0.3 s as promised; the fastest of a few starts, so that a busy machine does not decide."""
    code = f"""
import sys
for name in {sorted(HEAVY | BOARD | {"numpy", "matplotlib"})!r}:
    sys.modules[name] = None
from edgecheck.cli import main
main(["--help"])
"""
    times = []
    for _ in range(3):
        began = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
        times.append(time.perf_counter() - began)
        assert done.returncode == 0, done.stderr
    bare = []
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import click"], check=True, timeout=60)
        bare.append(time.perf_counter() - began)
    # Against a peer in the same run: starting Python and click is most of it.
    assert min(times) < 3 * statistics.median(bare)
