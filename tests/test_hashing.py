import hashlib
import json
import os

import pytest

from edgecheck import hashing
from edgecheck.errors import InputError
from edgecheck.hashing import Contents, digest, sha256


@pytest.fixture
def settled(monkeypatch):
    """Let every file count as one that was written long ago."""
    monkeypatch.setattr(hashing, "SETTLED_S", -1.0)


@pytest.fixture
def hashed(monkeypatch):
    """The files whose bytes were read, in turn."""
    read = []

    def noting(path):
        read.append(path.name)
        return sha256(path)

    monkeypatch.setattr(hashing, "sha256", noting)
    return read


def test_a_file_is_what_sha256sum_says(tmp_path):
    (tmp_path / "a").write_bytes(b"abc" * 1_000_000)
    assert sha256(tmp_path / "a") == hashlib.sha256(b"abc" * 1_000_000).hexdigest()


def test_digest_does_not_depend_on_order():
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})


@pytest.mark.parametrize("change", ["content", "name", "one more", "swapped", "one less"])
def test_a_folder_of_other_contents_has_another_hash_whatever_its_dates(tmp_path, change, settled):
    folder, memory = tmp_path / "images", tmp_path / "hashes.json"
    (folder / "cat").mkdir(parents=True)
    first, second = folder / "cat" / "1.png", folder / "cat" / "2.png"
    first.write_text("one")
    second.write_text("two")
    before = Contents(memory).tree(folder)
    assert Contents(memory).tree(folder) == before

    stamp = first.stat().st_atime_ns, first.stat().st_mtime_ns
    if change == "content":
        first.write_text("eno")
    elif change == "name":
        first.rename(folder / "cat" / "3.png")
    elif change == "one more":
        (folder / "3.png").write_text("")
    elif change == "swapped":
        first.rename(folder / "x")
        second.rename(first)
        (folder / "x").rename(second)
    else:
        second.unlink()
    for file in folder.rglob("*.png"):
        os.utime(file, ns=stamp)
    assert Contents(memory).tree(folder) != before


def test_contents_are_read_once_until_they_change(tmp_path, settled, hashed):
    memory, file = tmp_path / "hashes.json", tmp_path / "a.bin"
    file.write_text("one")
    for _ in range(2):
        Contents(memory).tree(file)
    assert hashed == ["a.bin"]
    file.write_text("two")
    Contents(memory).tree(file)
    assert hashed == ["a.bin", "a.bin"]


def test_a_file_that_may_still_be_written_in_the_same_tick_is_read_again(tmp_path, monkeypatch, hashed):
    monkeypatch.setattr(hashing, "SETTLED_S", 3600.0)
    file = tmp_path / "a.bin"
    file.write_text("one")
    for _ in range(2):
        Contents(tmp_path / "hashes.json").tree(file)
    assert hashed == ["a.bin", "a.bin"]


@pytest.mark.parametrize("spoil", ["another host", "not JSON", "of another form"])
def test_a_memory_of_another_host_or_form_is_not_used(tmp_path, monkeypatch, settled, hashed, spoil):
    memory, file = tmp_path / "hashes.json", tmp_path / "a.bin"
    file.write_text("one")
    Contents(memory).tree(file)
    if spoil == "another host":
        monkeypatch.setattr("platform.node", lambda: "board")
    else:
        memory.write_text({"not JSON": "{", "of another form": json.dumps([1])}[spoil])
    Contents(memory).tree(file)
    assert hashed == ["a.bin", "a.bin"]


def test_the_run_folder_itself_does_not_count(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "a.png").write_text("one")
    before = Contents(tmp_path / "run" / "hashes.json").tree(tmp_path, without=tmp_path / "run")
    (tmp_path / "run" / "report.json").write_text("{}")
    assert Contents(tmp_path / "run" / "hashes.json").tree(tmp_path, without=tmp_path / "run") == before


def test_what_is_no_regular_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="not a regular file"):
        Contents(tmp_path / "hashes.json").files([tmp_path / "pipe"])
    with pytest.raises(InputError, match="cannot be read"):
        Contents(tmp_path / "hashes.json").files([tmp_path / "nowhere"])


def test_a_folder_behind_a_link_counts_and_links_may_go_round(tmp_path):
    folder, elsewhere = tmp_path / "images", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (elsewhere / "1.png").write_text("one")
    (folder / "cat").symlink_to(elsewhere)
    (elsewhere / "round").symlink_to(folder)
    before = Contents(tmp_path / "hashes.json").tree(folder)
    (elsewhere / "1.png").write_text("two")
    assert Contents(tmp_path / "hashes.json").tree(folder) != before
