"""A report is judged only if it and the files it was made from are what they were."""

import json
import shutil
import xml.etree.ElementTree as ElementTree

import pytest

from edgecheck.errors import InputError
from edgecheck.records import Report, from_dict
from edgecheck.seal import mismatches, sealed


@pytest.fixture
def run(tiny_run, tmp_path):
    """A copy of the small run to tamper with."""
    return shutil.copytree(tiny_run, tmp_path / "run")


def edit(run, change):
    document = json.loads((run / "report.json").read_text())
    change(document)
    (run / "report.json").write_text(json.dumps(document, indent=2))


def better(document):
    next(r for r in document["readings"] if r["metric"] == "accuracy_drop_pp")["value"] = -50.0


def swapped(document):
    roles = {"control": "candidate", "candidate": "control", "baseline": "baseline"}
    for variant in document["variants"]:
        variant["role"] = roles[variant["role"]]


TAMPERED = {
    "a reading": (lambda run: edit(run, better), "report.json was edited"),
    "roles": (lambda run: edit(run, swapped), "report.json was edited"),
    "no digests": (lambda run: edit(run, lambda d: d.update(evidence={})), "report.json was edited"),
    "no seal": (lambda run: edit(run, lambda d: d.pop("seal")), "report.json was edited"),
    "a file deleted": (lambda run: (run / "control" / "model.onnx").unlink(), "control/model.onnx is missing"),
    "a file replaced": (
        lambda run: shutil.copy(run / "control" / "model.onnx", run / "baseline" / "model.onnx"),
        "baseline/model.onnx was changed",
    ),
    "a stage edited": (
        lambda run: (run / "latency.json").write_text((run / "latency.json").read_text() + " "),
        "latency.json was changed",
    ),
    "images": (lambda run: (run / "data.npz").write_bytes(b"PK"), "data.npz was changed"),
}


@pytest.mark.parametrize("what", TAMPERED)
@pytest.mark.parametrize("command", ["gate", "report"])
def test_what_does_not_match_is_named(run, refused, what, command):
    tamper, said = TAMPERED[what]
    tamper(run)
    line = refused(command, run)
    assert said in line
    assert "--unverified" in line


def test_a_reading_that_stands_twice_is_refused_whatever_the_seal_says(run, refused):
    document = json.loads((run / "report.json").read_text())
    document["readings"].append({**document["readings"][0], "value": 1.0})
    del document["seal"]
    with pytest.raises(InputError):
        from_dict(document, Report)
    edit(run, lambda d: d["readings"].append({**d["readings"][0], "value": 1.0}))
    assert "edited after edgecheck wrote it: not a Report record" in refused("gate", run, "--unverified")


def test_judged_all_the_same_every_format_says_so(run, edgecheck):
    (run / "control" / "model.onnx").unlink()
    for form in ("terminal", "json", "markdown", "junit"):
        _, out, _ = edgecheck("gate", run, "--unverified", "--format", form)
        assert "control/model.onnx is missing" in out.replace("\\", "").replace("\n", " "), form
        if form == "junit":
            assert "UNVERIFIED" in {case.get("type") for case in ElementTree.fromstring(out).iter("skipped")}
    edgecheck("report", run, "--unverified")
    assert "control/model.onnx is missing" in (run / "report.html").read_text()


def test_what_was_let_through_once_stays_unverified(run, refused, edgecheck):
    edit(run, better)
    edgecheck("report", run, "--unverified")  # writes the report again, with a seal that fits
    assert "report.json was edited" in refused("gate", run)


def test_pages_without_their_run_folder_cannot_be_verified(run, tmp_path, edgecheck, refused):
    edgecheck("report", run, "--out", tmp_path / "pages")
    assert "is missing" in refused("gate", tmp_path / "pages")


def test_nothing_is_found_where_nothing_was_touched(run, tiny_report):
    report = from_dict({key: value for key, value in tiny_report.items() if key != "seal"}, Report)
    assert list(mismatches(tiny_report, report, run)) == []
    assert sealed(report) == tiny_report


def test_every_variant_and_stage_stands_in_the_evidence(run, tiny_report):
    stages = {"predict", "count", "explain", "export"}
    for variant in tiny_report["variants"]:
        assert {f"{variant['name']}/{stage}.json" for stage in stages} <= set(tiny_report["evidence"])
        assert variant["file"] in tiny_report["evidence"]


def test_a_file_given_to_check_that_was_replaced_is_named(tiny_run, tmp_path, edgecheck, refused):
    for name in ("a", "b"):
        shutil.copy(tiny_run / "baseline" / "model.onnx", tmp_path / f"{name}.onnx")
    files = ["--baseline", tmp_path / "a.onnx", "--candidate", tmp_path / "b.onnx", "--data", tiny_run / "data.npz"]
    flags = ["--gate", "accuracy_drop_pp <= 1", "--time-budget", "0", "--out", tmp_path / "run"]
    assert edgecheck("check", *files, *flags)[0] == 0
    assert edgecheck("gate", tmp_path / "run")[0] == 0
    shutil.copy(tiny_run / "l1-filters-0.50" / "model.onnx", tmp_path / "b.onnx")
    assert "b.onnx is not the file that was measured" in refused("gate", tmp_path / "run")
