"""Files that hang, want all memory or crash ONNX Runtime: one line, and the documented exit code."""

import sys

import attrs
import pytest

from edgecheck.artefact import Artefact
from edgecheck.config import reader
from edgecheck.device.runtime import probe
from edgecheck.errors import MeasurementError
from edgecheck.pipeline import beginning, making
from edgecheck.pipeline import run as run_module
from edgecheck.pipeline.duplicates import Group
from edgecheck.pipeline.entry import Entry, Twin
from edgecheck.pipeline.examining import examine
from edgecheck.pipeline.executors.serial import Serial
from edgecheck.pipeline.making import State
from edgecheck.pipeline.schedule import Schedule
from edgecheck.pipeline.store import Store
from edgecheck.pipeline.subject import Network
from edgecheck.pipeline.tally import Tally
from edgecheck.progress import Silent
from edgecheck.records import Variant
from tests.board_files import write_all
from tests.device import hostile_files

CONFIG = """\
model: {factory: 'edgecheck:digits_cnn'}
data: {dataset: npz, root: data.npz}
gate: {criteria: [size.bytes <= 1 MB]}
explain: {methods: []}
variants: [{criterion: l1, structure: unstructured, rate: 0.5}]
"""

LIMITED = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit data")


@pytest.fixture
def files(tmp_path):
    write_all(tmp_path)
    hostile_files.vast(tmp_path / "vast.onnx")
    return tmp_path


@LIMITED
@pytest.mark.parametrize("command", ["bench", "layers"])
def test_a_file_that_wants_all_memory_is_not_run_in_this_process(files, refused, command):
    assert "vast.onnx: it needs more than 2.2 GB" in refused(command, files / "vast.onnx", code=3)


@LIMITED
def test_such_a_candidate_could_not_be_measured(files, refused):
    hostile_files.vast(files / "vast.onnx", side=16)
    common = ["--baseline", files / "a.onnx", "--candidate", files / "vast.onnx", "--data", files / "data.npz"]
    assert "vast.onnx: it needs more than 2.2 GB" in refused("check", *common, "--out", files / "out", code=3)
    assert not (files / "out" / "report.json").exists()


def test_the_first_run_is_kept_for_later_runs_and_tells_the_memory(files, edgecheck, monkeypatch):
    common = ["--baseline", files / "a.onnx", "--candidate", files / "b.onnx", "--data", files / "data.npz"]
    flags = ["--time-budget", "0", "--gate", "memory.rss_bytes <= 1 GB", "--out", files / "out"]
    assert edgecheck("check", *common, *flags)[0] == 0

    def refuse(*_arguments):
        raise MeasurementError("run again")

    monkeypatch.setattr(probe, "run", refuse)
    assert edgecheck("check", *common, *flags)[0] == 0


@LIMITED
def test_such_a_variant_is_missing_and_the_run_goes_on(files, monkeypatch):
    plan = reader.parse(CONFIG, files / "edgecheck.yaml", {})
    vast = hostile_files.vast(files / "vast.onnx", side=16)
    twin = Twin(Network({}, 0, plan.model), "digits_cnn", "baseline")

    def made(*_arguments):
        return Entry(Variant("vast", "candidate"), Artefact("vast", vast), None)
        yield

    monkeypatch.setattr(making, "variant", made)
    store = Store(files / "run")
    schedule = Schedule(store, Serial(Silent()))
    job = attrs.evolve(beginning.read(plan, store, schedule), baseline=twin)
    (baseline,) = schedule.start(
        [examine(job, Entry(Variant("baseline", "baseline"), Artefact("a", files / "a.onnx"), None))]
    )
    group = Group(plan.variants[0], "vast", State())
    tally = Tally(store, plan.variants[:1])
    (findings,) = schedule.finish(schedule.start([run_module._variant(job, group, baseline, tally, Silent())]))
    assert tally.line() == "[1/1 variant]"
    assert {r.value for r in findings.readings} == {None}
    assert all("vast.onnx: it needs more than 2.2 GB" in r.note for r in findings.readings)
