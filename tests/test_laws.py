"""How large modules and functions may be, so that each fits on a screen and into a head; and what the wheel holds."""

import ast
import configparser
import statistics
from pathlib import Path

import edgecheck

MOST_LINES, MOST_LINES_OF_A_FUNCTION, MOST_PARAMETERS, MEDIAN_BODY = 250, 40, 7, 6
ROOT = Path(__file__).parent.parent
PACKAGE = Path(edgecheck.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))


def functions():
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path.relative_to(PACKAGE)}:{node.name}", node


def length(node):
    return node.end_lineno - node.lineno + 1


def parameters(node):
    names = [argument.arg for argument in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def body(node):
    first = 1 if ast.get_docstring(node) else 0
    return sum(length(statement) for statement in node.body[first:])


def test_modules():
    assert {path: n for path in MODULES if (n := len(path.read_text().splitlines())) > MOST_LINES} == {}


def test_functions():
    assert {name: length(node) for name, node in functions() if length(node) > MOST_LINES_OF_A_FUNCTION} == {}
    assert statistics.median(body(node) for _, node in functions()) <= MEDIAN_BODY


def test_parameters():
    assert {name: parameters(node) for name, node in functions() if parameters(node) > MOST_PARAMETERS} == {}


def test_the_wheel_has_every_package_and_every_file_that_is_not_code():
    written = configparser.ConfigParser()
    written.read(ROOT / "setup.cfg")
    packages = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "edgecheck").rglob("__init__.py")}
    assert packages == set(written["options"]["packages"].split()) - {"edgecheck.models", "edgecheck.calibration"}
    patterns = {
        f"{package.replace('.', '/')}/{pattern.strip()}"
        for package, listed in written["options.package_data"].items()
        for pattern in listed.split(",")
    }
    files = [path for path in (ROOT / "edgecheck").rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")]
    left_out = [path for path in files if not any(path.match(pattern) for pattern in patterns)]
    assert left_out == []
