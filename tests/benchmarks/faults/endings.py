"""Named ways for the code of a network to end the process with exit code 0: none may look like a PASS."""

from __future__ import annotations

from tests.benchmarks.faults.cases import Case, Place, named
from tests.benchmarks.faults.material import config
from tests.benchmarks.faults.npz_files import checked
from tests.benchmarks.faults.outcomes import expect_no_pass

ENDING = """\
import atexit, os, sys
from edgecheck.models.digits_cnn import DigitsCNN
{at_import}
class Network(DigitsCNN):
    def forward(self, images):
        {in_forward}
        return super().forward(images)

def build():
    {in_build}
    return Network()
"""


def _ending(at_import: str = "", in_build: str = "", in_forward: str = "", check: bool = False) -> Case:
    """A factory whose code ends the process with exit code 0; the gate would not hold."""

    def case(place: Place) -> tuple[str, str]:
        source = ENDING.format(at_import=at_import, in_build=in_build or "pass", in_forward=in_forward or "pass")
        (place.folder / "net.py").write_text(source)
        ended = place.console(*(_checked_twin(place) if check else _run_of(place)))
        return expect_no_pass(ended)

    return case


def _run_of(place: Place) -> list[object]:
    path = place.folder / "edgecheck.yaml"
    text = config(place.material.weights, f"{place.folder}/net.py:build")
    path.write_text(text.replace("size.bytes <= 1 MB", "size.bytes <= 1 B"))
    return ["run", path, "--out", place.folder / "run"]


def _checked_twin(place: Place) -> list[object]:
    file = place.material.run / "baseline" / "model.onnx"
    twin = ["--candidate-twin", f"{place.folder}/net.py:build", "--candidate-weights", place.material.weights]
    hopeless = ["--gate", "size.bytes <= 1 B"]
    return checked(place.material, place.material.run / "data.npz", *twin, *hopeless, baseline=file, candidate=file)


CASES: dict[str, Case] = {
    "os._exit(0) when the factory is imported": _ending(at_import="os._exit(0)"),
    "os._exit(0) in the factory": _ending(in_build="os._exit(0)"),
    "os._exit(0) in the network": _ending(in_forward="os._exit(0)"),
    "os._exit(0) at the end": _ending(at_import="atexit.register(os._exit, 0)"),
    "sys.exit(0) when the factory is imported": _ending(at_import="sys.exit(0)"),
    "sys.exit(0) in the factory": _ending(in_build="sys.exit(0)"),
    "sys.exit(0) in the network": _ending(in_forward="sys.exit(0)"),
    "os._exit(0) in the network of a check": _ending(in_forward="os._exit(0)", check=True),
    "sys.exit(0) in the factory of a check": _ending(in_build="sys.exit(0)", check=True),
}

SHORT = ("os._exit(0) in the factory",)
KIND = named("endings", CASES, SHORT)
