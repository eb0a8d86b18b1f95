"""`verify`: are the files about to be shipped the ones that were judged?"""

import json
import os
import shutil

import onnx
import pytest

from edgecheck.seal import SEAL
from tests.report.conftest import HOSTILE

NAME = "l1-filters-0.50"


@pytest.fixture
def run(tiny_run, tmp_path):
    return shutil.copytree(tiny_run, tmp_path / "run")


@pytest.fixture
def verify(edgecheck):
    """Run the command; return exit code and what it found."""

    def go(*arguments):
        code, out, err = edgecheck("verify", *arguments, "--format", "json")
        assert out, err
        return code, json.loads(out)

    return go


def changed(found):
    return {(one["item"], one["name"]): one["state"] for one in found["checks"] if one["state"] != "unchanged"}


def flip(path, place=200):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_nothing_has_changed(run, verify, edgecheck):
    code, found = verify(run)
    assert (code, found["unchanged"], changed(found)) == (0, True, {})
    assert " ".join(edgecheck("verify", run)[1].split()).startswith("unchanged: ")


def test_a_key_that_stands_twice_is_refused(run, refused):
    """The seal covers the last of them, another program may read the first."""
    report = run / "report.json"
    report.write_text(report.read_text().replace("{", '{"passed": true,', 1))
    for command in ("verify", "gate", "report"):
        assert f"{report}: not a readable report ('passed' stands twice in one object)" in refused(command, run)


def test_a_changed_byte_of_each_kind_of_file_is_named(run, verify):
    flip(run / NAME / "model.onnx")
    flip(run / "data.npz")
    (run / NAME / "count.json").unlink()
    code, found = verify(run)
    assert code == 2
    assert changed(found) == {
        ("file", f"{NAME}/model.onnx was changed"): "changed",
        ("data", "data.npz was changed"): "changed",
        ("file", f"{NAME}/count.json is missing"): "missing",
    }


def test_an_edited_report_is_named(run, verify, refused):
    path = run / "report.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "passed": not document["passed"]}))
    code, found = verify(run)
    assert (code, changed(found)) == (2, {("report", "report.json was edited"): "changed"})
    path.write_text(json.dumps({key: value for key, value in document.items() if key != SEAL}))
    assert "report.json was edited" in str(changed(verify(run)[1]))
    path.write_text(json.dumps({**document, "passed": "yes"}))
    assert "edited after edgecheck wrote it" in refused("verify", run)
    path.write_text(json.dumps(document)[:-200])
    assert "report.json: not a readable report: truncated" in refused("verify", run)
    path.write_text("no JSON")
    assert "not JSON" in refused("verify", run)
    path.write_text(json.dumps({**document, "schema_version": 99}))
    assert "schema version 99" in refused("verify", run)
    path.unlink()
    assert "no such file" in refused("verify", run)


def test_a_file_is_known_by_its_content(run, tmp_path, verify):
    other = tmp_path / "any name.bin"
    shutil.copy(run / NAME / "model.onnx", other)
    code, found = verify(run, other, run / "baseline" / "model.onnx")
    assert code == 0
    assert [one["judged"][0]["variant"] for one in found["files"]] == [NAME, "baseline"]
    flip(other)
    code, found = verify(run, other)
    assert (code, found["files"][0]["state"]) == (2, "changed")
    shutil.copy(run / "baseline" / "model.onnx", run / NAME / "model.onnx")  # another judged file in its place
    code, found = verify(run, run / NAME / "model.onnx")
    assert code == 2
    assert found["files"][0]["judged"][0]["variant"] == "baseline"


def test_what_is_no_regular_file_is_told_for_each(run, tmp_path, verify):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "empty").touch()
    names = ["pipe", "loop", "empty", "missing", "run"]
    code, found = verify(run, *(tmp_path / name for name in names))
    assert code == 2
    states = dict(zip(names, (one["state"] for one in found["files"]), strict=True))
    assert states == {
        "pipe": "unreadable",
        "loop": "unreadable",
        "empty": "changed",
        "missing": "missing",
        "run": "unreadable",
    }
    details = " ".join(one["detail"] for one in found["files"])
    assert "a named pipe" in details
    assert "a folder" in details
    assert "symbolic links" in details


def test_what_stands_in_place_of_a_file_is_not_read(run, verify, refused):
    """A pipe would block, and a file that claims a terabyte would take an hour."""
    (run / NAME / "model.onnx").unlink()
    os.mkfifo(run / NAME / "model.onnx")
    with open(run / "baseline" / "model.onnx", "wb") as file:
        file.truncate(1 << 40)
    code, found = verify(run, run / "baseline" / "model.onnx")
    assert (code, found["files"][0]["state"]) == (2, "unreadable")
    assert "1,099,511,627,776 bytes are too many" in found["files"][0]["detail"]
    assert changed(found) == {
        ("file", f"{NAME}/model.onnx is no longer a file"): "changed",
        ("file", "baseline/model.onnx was changed"): "changed",
    }
    assert "is no longer a file" in refused("gate", run)


def test_a_failing_file_is_unchanged_and_does_not_look_fine(run, edgecheck, verify):
    document = json.loads((run / "report.json").read_text())
    failing = [name for name, status in document["statuses"].items() if status != "PASS"]
    passing = [name for name, status in document["statuses"].items() if status == "PASS"]
    assert passing
    file = run / [*failing, "baseline"][0] / "model.onnx"
    assert verify(run, file)[0] == 0
    assert verify(run, file, "--passing")[0] == 1
    assert verify(run, run / passing[0] / "model.onnx", "--passing")[0] == 0
    assert "DOES NOT PASS THE GATE" in edgecheck("verify", run, file)[1]
    assert verify(run, "--passing")[0] == (0 if document["passed"] else 1)


def test_external_data_is_part_of_a_file(run, tmp_path, edgecheck, verify):
    models = tmp_path / "models"
    models.mkdir()
    model = onnx.load(run / "baseline" / "model.onnx")
    onnx.save(model, models / "a.onnx", save_as_external_data=True, location="a.data", size_threshold=256)
    data = ["--data", run / "data.npz", "--gate", "accuracy_drop_pp <= 0", "--time-budget", "0"]
    checked = tmp_path / "checked"
    file = models / "a.onnx"
    code, _, err = edgecheck("check", "--baseline", file, "--candidate", file, *data, "--out", checked)
    assert code == 0, err
    assert verify(checked, file, "--passing")[0] in (0, 1)
    assert verify(checked, file)[0] == 0
    flip(models / "a.data", 8)
    assert verify(checked, file)[0] == 2


def test_the_configuration_names_gate_and_data(run, tiny_config, tmp_path, verify):
    code, found = verify(run, "--config", tiny_config)
    assert (code, changed(found)) == (0, {})
    assert [one["item"] for one in found["checks"]][-4:] == ["configuration", "policy", "preprocessing", "data"]
    other = tmp_path / "edgecheck.yaml"
    other.write_text(tiny_config.read_text().replace("1 MB", "2 MB").replace("limit: 60", "limit: 59"))
    code, found = verify(run, "--config", other)
    assert code == 2
    assert {item for item, _ in changed(found)} == {"configuration", "policy", "data"}
    other.write_text(f"{tiny_config.read_text()}# a comment\n")
    assert {item for item, _ in changed(verify(run, "--config", other)[1])} == {"configuration"}


def test_a_run_without_a_report_of_its_configuration_is_unknown(run, tiny_config, edgecheck, verify):
    from tests.cli.test_releasing import rewrite

    document = json.loads((run / "report.json").read_text())
    del document["subject"]["config_sha256"]
    rewrite(run, document)
    code, found = verify(run, "--config", tiny_config)
    assert code == 2
    assert list(changed(found).values()) == ["unknown"]
    assert edgecheck("verify", run, "--config", tiny_config)[1].startswith("UNKNOWN:")


@pytest.mark.parametrize("form", ["terminal", "markdown", "json"])
def test_a_hostile_name_steers_nothing(run, tmp_path, edgecheck, form):
    name = HOSTILE.replace("/", "").replace("\x00", "")
    shutil.copy(run / NAME / "model.onnx", tmp_path / name)
    code, out, _ = edgecheck("verify", run, tmp_path / name, "--format", form)
    assert code == 0
    assert not [character for character in out if character != "\n" and not character.isprintable()]
    assert "<script>" not in out or form != "markdown"
