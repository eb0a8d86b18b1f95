import errno
import json
import os

import pytest

from edgecheck.errors import InputError
from edgecheck.store import Store, atomic, digest, write_text


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
        assert store.stage("v", "s", {"a": 1}, compute, files=["out.txt"]) == {"value": 1}
    assert compute.calls == 1


@pytest.mark.parametrize("spoil", ["inputs", "file changed", "file lost", "record torn", "record of another form"])
def test_it_is_done_again_when_anything_changed(tmp_path, spoil):
    store = Store(tmp_path / "run")
    compute = Counting(store)
    store.stage("v", "s", {"a": 1}, compute, files=["out.txt"])
    if spoil == "file changed":
        store.path("v", "out.txt").write_text("x")
    elif spoil == "file lost":
        store.path("v", "out.txt").unlink()
    elif spoil == "record torn":
        record = store.path("v", "s.json")
        record.write_text(record.read_text()[:40])
    elif spoil == "record of another form":
        store.path("v", "s.json").write_text("[1, 2]")
    store.stage("v", "s", {"a": 2 if spoil == "inputs" else 1}, compute, files=["out.txt"])
    assert compute.calls == 2


def test_a_failed_stage_leaves_no_record(tmp_path):
    store = Store(tmp_path)

    def fail():
        raise RuntimeError

    with pytest.raises(RuntimeError):
        store.stage("v", "s", {}, fail)
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
    first = store.stage("v", "s", {}, lambda: {"pair": (1, 2), 3: "x"})
    assert first == store.stage("v", "s", {}, lambda: None) == {"pair": [1, 2], "3": "x"}
    assert json.loads((tmp_path / "v" / "s.json").read_text())["result"] == first


def test_digest_does_not_depend_on_order():
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})


def test_an_edited_result_is_made_again(tmp_path):
    store = Store(tmp_path)
    store.stage("v", "s", {}, lambda: {"score": 0.5})
    record = tmp_path / "v" / "s.json"
    for edited in (record.read_text().replace("0.5", "0.99"), json.dumps({"key": "x"}), "[" * 100_000):
        record.write_text(edited)
        assert store.stage("v", "s", {}, lambda: {"score": 0.5}) == {"score": 0.5}


def test_reports_of_an_earlier_state_are_withdrawn_when_something_is_made_anew(tmp_path):
    store = Store(tmp_path)
    store.stage("v", "s", {}, lambda: 1)
    (tmp_path / "report.json").write_text("{}")
    store.stage("v", "s", {}, lambda: 1)
    assert (tmp_path / "report.json").exists()
    store.stage("v", "s", {"changed": True}, lambda: 1)
    assert not (tmp_path / "report.json").exists()
