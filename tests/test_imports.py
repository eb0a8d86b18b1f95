"""The import law: core <- score <- attribution <- device, lab; only cli and pipeline reach lab, and lazily."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import edgecheck

PACKAGE = Path(edgecheck.__file__).parent
ROOMS = ("score", "attribution", "device", "lab", "report", "remote", "cli", "pipeline")
# What each room may import at the top of a module or inside a function.
MAY_IMPORT = {
    "core": {"core"},
    "score": {"core", "score"},
    "attribution": {"core", "score", "attribution"},
    "device": {"core", "score", "attribution", "device"},
    "lab": {"core", "score", "attribution", "lab"},
    "report": {"core", "report"},
    "remote": {"core", "device", "remote"},
    "pipeline": {"core", "score", "attribution", "device", "lab", "report", "pipeline"},
    "cli": {"core", "score", "attribution", "device", "lab", "report", "remote", "pipeline", "cli"},
}
HEAVY = {"torch", "torchvision", "torch_pruning", "pytorch_grad_cam", "cv2", "sklearn", "safetensors", "timm"}
BOARD = {"onnx", "onnxruntime"}


def room_of(parts):
    if tuple(parts) in {
        ("__main__.py",),
        ("__init__.py",),
    }:  # doors to every room
        return "cli"
    if tuple(parts[:2]) in {("attribution", "table"), ("attribution", "table.py")}:  # declarations, for every room
        return "core"
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
    """Under 0.3 s as promised: starting Python and click is most of it, and hardly a module is read beyond theirs."""
    hide = f"""
import sys
for name in {sorted(HEAVY | BOARD | {"numpy", "matplotlib"})!r}:
    sys.modules[name] = None
"""
    help_text = "from edgecheck.cli import main; main(['--help'])"
    count = "import atexit, sys; atexit.register(lambda: print(len(sys.modules), file=sys.stderr))"
    modules = []
    for code in (f"{count}\n{help_text}", f"{count}\nimport click"):
        done = subprocess.run([sys.executable, "-c", hide + code], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        modules.append(int(done.stderr.split()[-1]))

    assert modules[0] < 1.5 * modules[1]
