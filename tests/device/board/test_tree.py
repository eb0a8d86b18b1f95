"""Files of /sys that are absent, forbidden or full of garbage: said, never raised."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecheck.device.board import tree as reading
from edgecheck.device.board.tree import Tree
from edgecheck.records.board import Unread
from tests.device.board.planted import plant


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


@pytest.mark.parametrize(
    ("content", "number"),
    [(b"42\n", 42), (b"-7", -7), (b" 12 \n", 12), (b"0", 0), (b"100", 100), (b"+3", 3)],
)
def test_numbers(tree, content, number):
    plant(tree.root, {"n": content})
    assert tree.number(tree.root / "n", -10, 100) == number
    assert tree.unread() == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a number"),
        (b"\n", "not a number"),
        (b"N/A", "not a number"),
        (b"1_0", "not a number"),  # which int() accepts
        ("٣".encode(), "not a number"),
        (b"1.5", "not a number"),
        (b"nan", "not a number"),
        (b"9" * 5000, "not a number"),
        (b"\xff\x00\x01", "not a number"),
        (b"-11", "not between -10 and 100"),
        (b"99999999999999999999", "not between -10 and 100"),
    ],
)
def test_garbage_is_said_and_gives_no_number(tree, content, reason):
    plant(tree.root, {"sys/zone7/n": content})
    assert tree.number(tree.root / "sys/zone7/n", -10, 100) is None
    assert tree.unread() == [Unread("/sys/zone*/n", reason, 1)]


@pytest.mark.parametrize(("content", "bits"), [(b"0", 0), (b"50005", 0x50005), (b"0x50000\n", 0x50000), (b"x", None)])
def test_bits(tree, content, bits):
    plant(tree.root, {"n": content})
    assert tree.bits(tree.root / "n") == bits


def test_what_is_no_file_is_no_reason_to_wait(tree):
    os.mkfifo(tree.root / "pipe1")
    (tree.root / "folder").mkdir()
    (tree.root / "loop").symlink_to("loop")

    assert [tree.text(tree.root / name) for name in ("pipe1", "folder", "loop", "gone")] == [None] * 4
    assert {unread.source: unread.reason for unread in tree.unread()} == {
        "/pipe*": "not a regular file",
        "/folder": "not a regular file",
        "/loop": "too many levels of symbolic links",
        "/gone": "no such file or directory",
    }


def test_a_huge_file_is_not_read_whole(tree):
    with open(tree.root / "huge", "wb") as file:
        file.truncate(1 << 40)
    assert len(tree.text(tree.root / "huge")) == reading.MOST_BYTES


def test_files_of_one_kind_are_one_entry(tree):
    for core in range(12):
        tree.number(tree.root / f"cpu{core}/frequency", 0, 1)
        tree.number(tree.root / f"cpu{core}/frequency", 0, 1)
    assert tree.unread() == [Unread("/cpu*/frequency", "no such file or directory", 12)]


def test_paths_come_by_number(tree):
    plant(tree.root, {f"cpu{core}": "" for core in (10, 2, 0)})
    assert [path.name for path in tree.paths("cpu[0-9]*")] == ["cpu0", "cpu2", "cpu10"]


def test_a_forbidden_file_is_said():
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    root = Path(tempfile.mkdtemp())
    try:
        plant(root, {"sys/secret": 1})
        root.chmod(0o755)
        (root / "sys/secret").chmod(0o400)
        os.seteuid(65534)
        tree = Tree(root)
        assert tree.number(root / "sys/secret", 0, 9) is None
        assert tree.unread() == [Unread("/sys/secret", "permission denied", 1)]
    finally:
        os.seteuid(0)
        shutil.rmtree(root)


def test_names_are_one_printable_line(tree):
    plant(tree.root, {"type": b"cpu\x1b[31m\n" + b"x" * 200})
    assert tree.name(tree.root / "type").startswith("cpu\\x1b[31m x")
    assert len(tree.name(tree.root / "type")) == reading.MOST_NAME
    assert tree.name(tree.root / "absent") == ""


@settings(deadline=None)
@given(st.binary(max_size=64))
def test_any_bytes_give_a_number_in_range_or_a_reason(content):
    with tempfile.TemporaryDirectory() as folder:
        tree = Tree(Path(folder))
        plant(tree.root, {"n": content})
        number = tree.number(tree.root / "n", -5, 5)
        assert (number is None) == bool(tree.unread())
        assert number is None or -5 <= number <= 5
