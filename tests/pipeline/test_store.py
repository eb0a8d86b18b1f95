import errno
import json
import os
import stat
import subprocess
import sys
from typing import Any

import pytest
from attrs import frozen

from edgecheck import lock, versions
from edgecheck.atomic import atomic, write_text
from edgecheck.errors import InputError
from edgecheck.pipeline.stage import Stage
from edgecheck.pipeline.store import Store
from edgecheck.run_folder import REPORT_FILES, UNFINISHED
from edgecheck.text import plain


@frozen
class Value:
    value: Any


@frozen
class Toy(Stage[Value]):
    kind = "toy"
    outputs = Value

    called: str
    inputs: dict[str, Any]
    writes: tuple[str, ...]
    tools: tuple[str, ...]

    @property
    def name(self):
        return self.called

    @property
    def files(self):
        return self.writes


def stage(store, variant, name, inputs, compute, files=(), tools=()):
    """Return what a stage gave, found finished or computed now."""
    toy = Toy(name, inputs, tuple(files), tuple(tools))
    work = store.identify(variant, toy)
    done = store.find(work) or store.keep(work, Value(compute()), 0.25)
    return done.outputs.value


class Counting:
    def __init__(self, store, variant="v"):
        self.calls, self.store, self.variant = 0, store, variant

    def __call__(self):
        self.calls += 1
        write_text(self.store.path(self.variant, "out.txt"), f"{self.calls}")
        return {"value": self.calls}


def test_a_finished_stage_is_not_done_again(tmp_path):
    store = Store(tmp_path / "run")
    compute = Counting(store)
    for _ in range(3):
        assert stage(store, "v", "s", {"a": 1}, compute, files=["out.txt"]) == {"value": 1}
    assert compute.calls == 1


@pytest.mark.parametrize("spoil", ["inputs", "file changed", "file lost", "record torn", "record of another form"])
def test_it_is_done_again_when_anything_changed(tmp_path, spoil):
    store = Store(tmp_path / "run")
    compute = Counting(store)
    stage(store, "v", "s", {"a": 1}, compute, files=["out.txt"])
    if spoil == "file changed":
        store.path("v", "out.txt").write_text("x")
    elif spoil == "file lost":
        store.path("v", "out.txt").unlink()
    elif spoil == "record torn":
        record = store.path("v", "s.json")
        record.write_text(record.read_text()[:40])
    elif spoil == "record of another form":
        store.path("v", "s.json").write_text("[1, 2]")
    stage(Store(tmp_path / "run"), "v", "s", {"a": 2 if spoil == "inputs" else 1}, compute, files=["out.txt"])
    assert compute.calls == 2


def test_a_failed_stage_leaves_no_record(tmp_path):
    store = Store(tmp_path)

    def fail():
        raise RuntimeError

    with pytest.raises(RuntimeError):
        stage(store, "v", "s", {}, fail)
    assert not (tmp_path / "v" / "s.json").exists()


def test_atomic_keeps_the_old_file_when_the_block_fails(tmp_path):
    path = tmp_path / "f.txt"
    path.write_text("old")

    def fail():
        with atomic(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["f.txt"]


def test_a_full_disk_is_one_line(tmp_path):
    def fail():
        with atomic(tmp_path / "f.txt"):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(InputError, match="no space left on the disk; free some") as error:
        fail()
    assert "\n" not in str(error.value)
    assert os.listdir(tmp_path) == []


def test_a_file_in_the_way_is_one_line(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(InputError, match="choose another --out"):
        Store(tmp_path / "taken")


def test_result_now_and_result_later_are_the_same(tmp_path):
    store = Store(tmp_path)
    first = stage(store, "v", "s", {}, lambda: {"pair": (1, 2), 3: "x"})
    assert first == stage(store, "v", "s", {}, lambda: None) == {"pair": [1, 2], "3": "x"}
    assert json.loads((tmp_path / "v" / "s.json").read_text())["result"]["value"] == first


def test_an_edited_result_is_made_again(tmp_path):
    store = Store(tmp_path)
    stage(store, "v", "s", {}, lambda: {"score": 0.5})
    record = tmp_path / "v" / "s.json"
    for edited in (record.read_text().replace("0.5", "0.99"), json.dumps({"key": "x"}), "[" * 100_000):
        record.write_text(edited)
        assert stage(store, "v", "s", {}, lambda: {"score": 0.5}) == {"score": 0.5}


def test_reports_of_an_earlier_state_are_withdrawn_when_something_is_made_anew(tmp_path):
    store = Store(tmp_path)
    stage(store, "v", "s", {}, lambda: 1)
    (tmp_path / "report.json").write_text("{}")
    stage(store, "v", "s", {}, lambda: 1)
    assert (tmp_path / "report.json").exists()
    stage(store, "v", "s", {"changed": True}, lambda: 1)
    assert not (tmp_path / "report.json").exists()


def finished(folder, variant="v", inputs=None, text="made"):
    """Leave a finished stage `s` with its file in a run folder; return that folder."""
    store = Store(folder)

    def compute():
        write_text(store.path(variant, "out.txt"), text)
        return {"value": text}

    stage(store, variant, "s", inputs or {"a": 1}, compute, files=["out.txt"])
    return folder


def refuse():
    raise AssertionError("made again")


def test_a_stage_of_another_folder_is_copied_whatever_it_was_called_there(tmp_path):
    store = Store(tmp_path / "new", [finished(tmp_path / "old", "another-name")])
    assert stage(store, "v", "s", {"a": 1}, refuse, files=["out.txt"]) == {"value": "made"}
    assert (tmp_path / "new" / "v" / "out.txt").read_text() == "made"
    assert store.kept == 1
    # From then on the new folder stands alone.
    assert stage(Store(tmp_path / "new"), "v", "s", {"a": 1}, refuse, files=["out.txt"]) == {"value": "made"}


def test_what_belongs_to_the_whole_run_is_copied_too(tmp_path):
    old = Store(tmp_path / "old")
    stage(old, "", "data", {"a": 1}, lambda: 7)
    assert stage(Store(tmp_path / "new", [tmp_path / "old"]), "", "data", {"a": 1}, refuse) == 7


def test_the_first_folder_that_has_it_serves(tmp_path):
    folders = [finished(tmp_path / "x", inputs={"a": 2}), finished(tmp_path / "y")]
    store = Store(tmp_path / "new", folders)
    assert stage(store, "v", "s", {"a": 1}, refuse, files=["out.txt"]) == {"value": "made"}


@pytest.mark.parametrize(
    "spoil", ["other inputs", "file changed", "file lost", "record torn", "result edited", "no record", "empty"]
)
def test_what_is_not_whole_and_the_same_is_not_copied(tmp_path, spoil):
    old = finished(tmp_path / "old", inputs={"a": 2} if spoil == "other inputs" else None)
    record, file = old / "v" / "s.json", old / "v" / "out.txt"
    if spoil == "file changed":
        file.write_text("other")
    elif spoil == "file lost":
        file.unlink()
    elif spoil == "record torn":
        record.write_text(record.read_text()[:50])
    elif spoil == "result edited":
        record.write_text(record.read_text().replace("made", "faked"))
    elif spoil == "no record":
        record.unlink()
    elif spoil == "empty":
        record.write_text("")
    store = Store(tmp_path / "new", [old])
    compute = Counting(store)
    assert stage(store, "v", "s", {"a": 1}, compute, files=["out.txt"]) == {"value": 1}
    assert (compute.calls, store.kept) == (1, 0)


def test_a_damaged_copy_does_not_hide_a_whole_one(tmp_path):
    old = finished(tmp_path / "old", "a")
    (old / "a" / "out.txt").write_text("torn")
    finished(old, "b")
    store = Store(tmp_path / "new", [old])
    assert stage(store, "v", "s", {"a": 1}, refuse, files=["out.txt"]) == {"value": "made"}
    assert (tmp_path / "new" / "v" / "out.txt").read_text() == "made"


def test_the_other_folder_is_left_as_it_is(tmp_path):
    old = finished(tmp_path / "old")
    before = {path: path.read_bytes() for path in old.rglob("*") if path.is_file()}
    stage(Store(tmp_path / "new", [old]), "v", "s", {"a": 1}, refuse, files=["out.txt"])
    assert {path: path.read_bytes() for path in old.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("report", REPORT_FILES)
def test_a_copied_stage_withdraws_the_reports_too(tmp_path, report):
    store = Store(tmp_path / "new", [finished(tmp_path / "old")])
    (tmp_path / "new" / report).write_text("of an earlier state")
    stage(store, "v", "s", {"a": 1}, refuse, files=["out.txt"])
    assert not (tmp_path / "new" / report).exists()


def test_a_stage_of_a_variant_that_was_renamed_is_found_by_its_content(tmp_path):
    folder = finished(tmp_path / "run", "another-name")
    store = Store(folder, [tmp_path / "run" / ".." / "run"])
    compute = Counting(store)
    stage(store, "v", "s", {"a": 1}, compute, files=["out.txt"])
    assert compute.calls == 0
    assert stage(store, "another-name", "s", {"a": 1}, refuse, files=["out.txt"]) == {"value": "made"}


def test_a_folder_that_is_not_there_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(InputError, match="no such folder to reuse"):
        Store(tmp_path / "new", [tmp_path / "nowhere"])
    assert os.listdir(tmp_path) == []


def test_only_what_an_earlier_run_finished_counts_as_kept(tmp_path):
    store = Store(tmp_path)
    for _ in range(3):
        stage(store, "v", "s", {}, lambda: 1)
    assert store.kept == 0
    again = Store(tmp_path)
    for _ in range(3):
        stage(again, "v", "s", {}, refuse)
    assert again.kept == 1


def test_a_folder_that_another_process_works_in_is_refused(tmp_path):
    code = (
        "import sys\nfrom pathlib import Path\nfrom edgecheck.pipeline.store import Store\nStore(Path(sys.argv[1]))\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    first, second = Store(tmp_path), Store(tmp_path)  # one process may have it more than once
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "in use by another edgecheck process" in refused.stderr
    del first, second
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("package", ["numpy", "no-such-package", "edgecheck"])
def test_a_stage_runs_again_with_another_version_of_what_it_works_with(tmp_path, monkeypatch, package):
    def once(installed):
        monkeypatch.setattr(versions, "version", lambda name: installed if name == package else "1")
        monkeypatch.setattr(versions, "__version__", installed if package == "edgecheck" else "1")
        store = Store(tmp_path)
        stage(store, "v", "s", {}, lambda: 1, tools=("numpy", "no-such-package"))
        return store.kept

    assert [once("1"), once("1"), once("2"), once("2"), once("")] == [0, 1, 0, 1, 0]


def test_versions_of_other_packages_do_not_matter(tmp_path, monkeypatch):
    stage(Store(tmp_path), "v", "s", {}, lambda: 1, tools=("numpy",))
    monkeypatch.setattr(versions, "version", lambda name: versions.metadata.version(name) if name == "numpy" else "9")
    stage(Store(tmp_path), "v", "s", {}, refuse, tools=("numpy",))


def test_the_mark_of_a_run_goes_when_it_ends_well(tmp_path):
    with Store(tmp_path).attempt() as store:
        assert "interrupted" in (tmp_path / UNFINISHED).read_text()
        stage(store, "v", "s", {}, lambda: 1)
    assert not (tmp_path / UNFINISHED).exists()


@pytest.mark.parametrize("error", [InputError("net.py: no such file"), KeyboardInterrupt(), InputError("\udcff.png")])
def test_a_failed_run_leaves_its_reason_and_no_report_of_an_earlier_one(tmp_path, error):
    stage(Store(tmp_path), "v", "s", {}, lambda: 1)
    (tmp_path / "report.json").write_text("{}")
    with pytest.raises(type(error)), Store(tmp_path).attempt():
        raise error
    assert (plain(str(error)) or "interrupted") in (tmp_path / UNFINISHED).read_text()
    assert not (tmp_path / "report.json").exists()
    stage(Store(tmp_path), "v", "s", {}, refuse)  # what was finished is kept


def test_a_run_that_failed_before_it_began_leaves_no_folder(tmp_path):
    with pytest.raises(InputError), Store(tmp_path / "new").attempt():
        raise InputError("no such file")
    assert os.listdir(tmp_path) == []


def test_what_a_killed_run_was_writing_is_removed_by_the_next(tmp_path):
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom edgecheck.atomic import atomic\n"
        "with atomic(Path(sys.argv[1])) as half:\n    half.write_text('half')\n    os.kill(os.getpid(), 9)\n"
    )
    (tmp_path / "v").mkdir()
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "v" / "weights.bin")], check=False)
    assert len(os.listdir(tmp_path / "v")) == 1
    with Store(tmp_path).attempt():
        assert os.listdir(tmp_path / "v") == []


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_files_get_the_permissions_that_the_umask_leaves(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_text(tmp_path / "a.txt", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o666 & ~mask


def test_the_seconds_of_a_stage_are_those_of_the_run_that_made_it(tmp_path):
    store = Store(tmp_path)
    for variant in ("v", "w"):
        stage(store, variant, "s", {}, lambda: 1)
    stage(store, "v", "t", {}, lambda: 1)
    again = Store(tmp_path)
    for variant, name in (("v", "s"), ("w", "s"), ("v", "t")):
        stage(again, variant, name, {}, refuse)
    assert again.seconds == store.seconds
    taken = {
        (v, s): json.loads((tmp_path / v / f"{s}.json").read_text())["seconds"] for v, s in [("v", "s"), ("w", "s")]
    }
    assert store.seconds == {"toy": pytest.approx(sum(taken.values()) + 0.25)}


def test_evidence_names_records_and_files(tmp_path):
    store = Store(finished(tmp_path))
    stage(store, "v", "s", {"a": 1}, refuse, files=["out.txt"])
    assert set(store.evidence) == {"v/s.json", "v/out.txt"}


@pytest.mark.skipif(lock.fcntl is None, reason="this system has no such locks")
def test_a_folder_that_a_killed_process_is_about_to_release_is_waited_for(tmp_path, monkeypatch):
    handle = os.open(tmp_path, os.O_RDONLY)
    lock.fcntl.flock(handle, lock.fcntl.LOCK_EX)
    monkeypatch.setattr(lock.time, "sleep", lambda _: lock.fcntl.flock(handle, lock.fcntl.LOCK_UN))
    Store(tmp_path)
    os.close(handle)


def test_evidence_is_what_the_stages_left_not_what_lies_there_later(tmp_path):
    store = Store(finished(tmp_path))
    stage(store, "v", "s", {"a": 1}, refuse, files=["out.txt"])
    before = store.evidence
    (tmp_path / "v" / "out.txt").write_text("replaced before the report is written")
    assert store.evidence == before


def test_a_disk_too_full_to_mark_a_run_leaves_no_report_of_an_earlier_one(tmp_path, monkeypatch):
    from edgecheck.pipeline import store as module

    def full(*_arguments):
        raise InputError("no space left on the disk")

    (tmp_path / "report.json").write_text("{}")
    monkeypatch.setattr(module, "write_text", full)
    with pytest.raises(InputError), Store(tmp_path).attempt():
        pass
    assert not (tmp_path / "report.json").exists()


def test_files_that_another_run_is_writing_in_a_folder_below_are_left_alone(tmp_path):
    with Store(tmp_path / "other").attempt():
        half = tmp_path / "other" / ".edgecheck-tmp-0123"
        half.write_text("half")
        with Store(tmp_path).attempt():
            assert half.exists()
