import importlib
import json
import os
import textwrap

import pytest

from edgecheck.atomic import write_text
from edgecheck.cli import main
from edgecheck.device.runtime import probe
from tests.shared import made_once

# Small enough for seconds, whole enough for every stage.
TINY = """\
name: tiny
model:
  factory: edgecheck:digits_cnn
  weights: {weights}
data:
  dataset: digits
  limit: 60
  train_limit: 96
explain:
  methods: [grad-cam, grad-cam++, ablation-cam, layer-cam, xgrad-cam, hires-cam, score-cam, recipro-cam]
  pictures: 1
variants:
  - criterion: l1
    structure: unstructured
    rate: 0.2
  - criterion: l1
    structure: filters
    rate: 0.5
finetune:
  epochs: 1
measure:
  latency_budget_s: 0.02
  rss: false
gate:
  require: any
  criteria:
    - sp2ps.grad-cam >= 0.5
    - accuracy_drop_pp <= 100
    - size.bytes <= 1 MB
    - latency.ratio <= 100
"""


@pytest.fixture(scope="session")
def tiny_config(tmp_path_factory):
    """A small configuration on the committed digits network."""
    from importlib import resources

    # Where it lies is part of a report, and that of the small run is made once for all workers.
    base = tmp_path_factory.getbasetemp()
    path = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "edgecheck.yaml"
    write_text(path, TINY.format(weights=resources.files("edgecheck.models") / "digits_cnn.safetensors"))
    return path


@pytest.fixture(scope="session")
def tiny_run(tiny_config, tmp_path_factory):
    """The run folder of that configuration."""

    def make(folder):
        with pytest.raises(SystemExit) as stop:
            main(["run", str(tiny_config), "--out", str(folder), "--format", "json"])
        assert stop.value.code == 0

    return made_once(tmp_path_factory, "tiny", make)


def work_here(module, path, options, request, time_limit_s=None):
    """Do in this process what `probe.in_child` has a process of its own do with a file."""
    # Once set, it holds for all later sessions of a process.
    assert not options.denormal_as_zero, "take the fixture files_in_this_process away from this test"
    probe._memory_limit(path, options)  # refuses what is no ONNX file
    works = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probe, "answer", lambda _, work: works.append(work))
        importlib.import_module(module).main([])
    (work,) = works
    return json.loads(json.dumps(work(path, options, request)))


@pytest.fixture(scope="module")
def files_in_this_process():
    """Open files in the process of the test.

    For modules that do not test what the process of `probe` protects from: starting one for each file would be most of
    their time.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probe, "in_child", work_here)
        yield


@pytest.fixture(scope="module", params=["here", pytest.param("there", marks=pytest.mark.thorough)])
def files_here_and_there(request):
    """Open files in the process of the test, as `files_in_this_process` does, and thoroughly in one for each file."""
    if request.param == "here":
        request.getfixturevalue("files_in_this_process")


@pytest.fixture
def edgecheck(capsys):
    """Run a command line in this process; return exit code, stdout and stderr."""

    def run(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return stop.value.code or 0, out, err

    return run


@pytest.fixture
def refused(edgecheck):
    """Run a command line that must end in exit code 2 and one line on stderr; return that line."""

    def run(*arguments, code=2):
        got, out, err = edgecheck(*arguments)
        said = [line for line in err.splitlines() if line.startswith("edgecheck: ")]
        assert got == code, err
        assert len(said) == 1, err
        assert "Traceback" not in err
        assert out == ""
        return said[0]

    return run


@pytest.fixture
def factory_file(tmp_path):
    """Write a Python file with a model factory; return its path."""

    def write(source, name="net.py"):
        path = tmp_path / name
        path.write_text(textwrap.dedent(source))
        return path

    return write


@pytest.fixture(scope="session")
def tiny_report(tiny_run):
    """The document of the small run."""
    return json.loads((tiny_run / "report.json").read_text())
