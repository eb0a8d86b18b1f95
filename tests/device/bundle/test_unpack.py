"""Bundles that are damaged or hostile: one clear line, and nothing is written outside the folder."""

import hashlib
import json
import stat
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgecheck.device.bundle.manifest import MANIFEST
from edgecheck.device.bundle.unpack import unpack
from edgecheck.errors import EdgecheckError, InputError
from edgecheck.records import SCHEMA_VERSION


def members(path):
    with zipfile.ZipFile(path) as archive:
        return [(info, archive.read(info)) for info in archive.infolist()]


def written(path, entries, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for info, content in entries:
            archive.writestr(info, content, compress_type=method)
    return path


def with_manifest(entries, change):
    (info, content), *others = entries
    document = json.loads(content)
    change(document)
    return [(info, json.dumps(document)), *others]


def untouched(folder):
    """Whether nothing was written beside the bundle."""
    return [path for path in folder.rglob("*") if path.is_file() and path.name != "bad.zip"] == []


@pytest.fixture
def refused(tmp_path):
    def run(entries, *words, method=zipfile.ZIP_STORED):
        path = written(tmp_path / "bad.zip", entries, method)
        with pytest.raises(InputError) as told:
            unpack(path, tmp_path / "out" / "deep")
        message = str(told.value)
        assert message.startswith(str(path))
        assert "\n" not in message
        assert all(word in message for word in words), message
        return message

    return run


def test_a_whole_bundle_is_unpacked_once(packed, tmp_path):
    bundle = unpack(packed, tmp_path)
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert names == set(bundle.manifest.files)
    before = {name: (tmp_path / name).stat().st_mtime_ns for name in names}
    (tmp_path / "data.npz").write_bytes(b"half")
    unpack(packed, tmp_path)
    changed = [name for name in names if (tmp_path / name).stat().st_mtime_ns != before[name]]
    assert changed == ["data.npz"]


@pytest.mark.parametrize(
    "name",
    [
        *("../x", "a/../../x", "/etc/x", "C:x", "a\\..\\x", "a//x", "a/", "./x", "x\0y", "x\ny", "ü.npz", "aux.npz"),
        *("variants/CON", "x.", "a/ /x"),
    ],
)
def test_a_member_that_leaves_the_folder_or_no_system_can_write(packed, refused, tmp_path, name):
    info = zipfile.ZipInfo("x")
    info.filename = info.orig_filename = name
    refused([*members(packed), (info, b"")], "member")
    assert untouched(tmp_path)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFDIR])
def test_a_link_or_a_device(packed, refused, tmp_path, kind):
    entries = members(packed)
    entries[1][0].external_attr = (kind | 0o777) << 16
    refused(entries, "is a link or a device")
    assert untouched(tmp_path)


def test_one_name_twice_or_in_two_cases(packed, refused, tmp_path):
    entries = members(packed)
    with pytest.warns(UserWarning, match="Duplicate name"):
        refused([*entries, entries[1]], "twice")
    refused([*entries, (zipfile.ZipInfo("DATA.npz"), b"")], "in two cases")
    assert untouched(tmp_path)


def test_a_bomb(packed, refused, tmp_path):
    refused([*members(packed), (zipfile.ZipInfo("zeros"), b"\0" * 2**20)], "compressed", method=zipfile.ZIP_DEFLATED)
    assert untouched(tmp_path)


def test_a_bomb_in_an_array(packed, refused, tmp_path):
    """Arrays that would inflate in memory, in a member that is not compressed itself."""
    path = tmp_path / "bad.npz"
    np.savez_compressed(path, logits=np.zeros((1000, 1000), np.float32))
    entries = members(packed)
    place = [info.filename for info, _ in entries].index("variants/000/logits.npz")
    content = path.read_bytes()
    path.unlink()
    entries[place] = entries[place][0], content
    named = hashlib.sha256(content).hexdigest()
    changed = with_manifest(entries, lambda d: d["files"].update({"variants/000/logits.npz": named}))
    refused(changed, "variants/000/logits.npz is compressed")


def test_members_that_overlap(packed, tmp_path):
    """Two directory entries that share one member's bytes, so that the whole is larger than the archive."""
    path = tmp_path / "bad.zip"
    raw = packed.read_bytes()
    end = raw.rindex(b"PK\x05\x06")
    size, start = struct.unpack("<2L", raw[end + 12 : end + 20])
    directory = raw[start : start + size]
    copies = b"".join(directory.replace(b"bundle.json", b"bundle%04d" % n) for n in range(20))
    count = 21 * raw[:end].count(b"PK\x01\x02")
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, size + len(copies), start, 0)
    path.write_bytes(raw[:start] + directory + copies + tail)
    with pytest.raises(InputError, match=r"overlap|twice"):
        unpack(path, tmp_path / "out")


def test_a_missing_and_an_unlisted_file(packed, refused, tmp_path):
    entries = members(packed)
    refused(entries[:-1], entries[-1][0].filename, "is missing")
    refused([*entries, (zipfile.ZipInfo("extra"), b"")], "extra is not in its list of files")
    refused(entries[1:], "not a bundle: it has no bundle.json")
    assert untouched(tmp_path)


def test_a_changed_file(packed, refused):
    entries = members(packed)
    entries[2] = entries[2][0], entries[2][1] + b"x"
    refused(entries, entries[2][0].filename, "damaged")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(version=SCHEMA_VERSION + 1), ["from a newer edgecheck"]),
        (lambda d: d.update(version=1), ["from an older edgecheck"]),
        (lambda d: d.update(version=True), ["not a bundle"]),
        (lambda d: d.pop("policy"), ["missing key 'policy'"]),
        (lambda d: d.update(golden=[20]), ["golden names images that are not packed"]),
        (lambda d: d.update(golden=[1, 1]), ["golden must hold rising places"]),
        (lambda d: d.update(golden=[-1, 1]), ["golden must hold rising places"]),
        (lambda d: d["images"].reverse(), ["images must hold rising places"]),
        (lambda d: d["files"].pop("variants/001/logits.npz"), ["files lacks 'variants/001/logits.npz'"]),
        (lambda d: d["files"].pop("variants/000/golden.npz"), ["files lacks 'variants/000/golden.npz'"]),
        (lambda d: d.update(answers={"baseline": "x"}), ["answers must name each variant"]),
        (lambda d: d["explain"].update(methods=["mine"]), ["unknown CAM method 'mine'"]),
        (lambda d: d["explain"].update(methods=["grad-cam"] * 2), ["names a method twice"]),
        (lambda d: d.update(version=10**300), ["schema version 1000", "...", "from a newer edgecheck"]),
        (lambda d: d["variants"].reverse(), ["must begin with the baseline"]),
        (lambda d: d["variants"][1].update(file="../../etc/passwd"), ["files lacks '../../etc/passwd'"]),
        (lambda d: d["variants"][1].update(name=d["variants"][0]["name"]), ["twice"]),
        (lambda d: d["measure"].update(latency_budget_s=-1), ["latency_budget_s"]),
        (lambda d: d["measure"].update(latency_budget_s=80_000), ["80000 s each", "longer than a day"]),
        (lambda d: d["measure"].update(pace_hz=0.01), ["measure.pace_hz: 64 runs, 0.01 per second", "6,400 s"]),
        (lambda d: d.update(seed="0"), ["seed", "whole number"]),
    ],
)
def test_a_manifest_of_another_version_or_form(packed, refused, tmp_path, change, words):
    refused(with_manifest(members(packed), change), *words)
    assert untouched(tmp_path)


@pytest.mark.parametrize(
    "name", ["../../x", "/x", "a/b", "a\\b", "..", ".", "", " ", "a\0b", "\x1b[2J", "\udc80", "x" * 256]
)
def test_a_variant_whose_stages_would_leave_the_folder(packed, refused, tmp_path, name):
    refused(with_manifest(members(packed), lambda d: d["variants"][1].update(name=name)), "no folder can be called")
    assert untouched(tmp_path)


def test_other_files(packed, tmp_path):
    for name, content in (("empty", b""), ("text", b"hello"), ("cut", packed.read_bytes()[:-100])):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"not a bundle|damaged"):
            unpack(path, tmp_path / "out")
    with pytest.raises(InputError, match=r"no such file|cannot be read"):
        unpack(tmp_path / "none.zip", tmp_path / "out")
    with pytest.raises(InputError, match="a folder"):
        unpack(tmp_path, tmp_path / "out")


def test_a_full_disk_is_seen_before_anything_is_written(packed, tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(InputError, match="and 1,000 are free; free some, or choose another -o"):
        unpack(packed, tmp_path / "out")
    assert untouched(tmp_path)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_changes_nothing_silently(packed, tmp_path_factory, place, bit):
    """It is refused, or lies where no content is: then the unpacked bundle is the same."""
    folder = tmp_path_factory.mktemp("flipped")
    raw = bytearray(packed.read_bytes())
    raw[int(place * len(raw))] ^= 1 << bit
    (folder / "bad.zip").write_bytes(raw)
    said = ""
    try:
        assert unpack(folder / "bad.zip", folder / "out").manifest == unpack(packed, folder / "good").manifest
    except EdgecheckError as error:
        said = str(error)
    assert "\n" not in said


def test_equal_content_gives_equal_bytes(made_run, packed, tmp_path):
    from edgecheck.pipeline.bundle import Asked, bundle
    from edgecheck.progress import Silent

    bundle(made_run, tmp_path / "again.zip", Asked(images=20, budget_s=0.05), Silent())
    assert (tmp_path / "again.zip").read_bytes() == packed.read_bytes()
    bundle(made_run, tmp_path / "other.zip", Asked(images=19, budget_s=0.05), Silent())
    assert (tmp_path / "other.zip").read_bytes() != packed.read_bytes()
    assert members(packed)[0][0].filename == MANIFEST
