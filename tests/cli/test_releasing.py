"""`compare` and `history` on real run folders."""

import json
import shutil

import numpy as np
import pytest

from edgecheck import images
from edgecheck.pipeline.stages.predict import load_logits
from edgecheck.seal import SEAL
from tests.cli.conftest import TINY


@pytest.fixture(scope="module")
def second_run(tiny_run, tmp_path_factory):
    """The small run with another seed, another limit, and another variant."""
    from importlib import resources

    from edgecheck.cli import main

    folder = tmp_path_factory.mktemp("second")
    shutil.copytree(tiny_run, folder / "run")  # what both runs have in common is not made again
    text = TINY.format(weights=resources.files("edgecheck.models") / "digits_cnn.safetensors")
    other = text.replace("size.bytes <= 1 MB", "size.bytes <= 200 kB").replace("rate: 0.2", "rate: 0.9")
    (folder / "edgecheck.yaml").write_text(f"{other}seed: 3\n")
    with pytest.raises(SystemExit) as stop:
        main(["run", str(folder / "edgecheck.yaml"), "--out", str(folder / "run"), "--format", "json"])
    assert stop.value.code in (0, 1)  # whether the gate holds is no matter here
    return folder / "run"


def of(comparison, name):
    return next(one for one in comparison["variants"] if one["after"] == name)


def test_two_runs_of_two_seeds(tiny_run, second_run, edgecheck):
    code, out, err = edgecheck("compare", tiny_run, second_run, "--format", "json")
    assert code == 0, err
    comparison = json.loads(out)
    assert comparison["removed"] == ["l1-unstructured-0.20"]
    assert comparison["added"] == ["l1-unstructured-0.90"]
    assert {"what": "seed", "before": "0", "after": "3"} in comparison["settings"]
    assert [one["after"]["limit"] for one in comparison["limits"]] == [200_000]
    assert of(comparison, "baseline")["same_file"] is True
    labels = images.load_npz(tiny_run / "data.npz").labels
    right = [
        load_logits(run / "l1-filters-0.50" / "logits.npz").argmax(axis=1) == labels for run in (tiny_run, second_run)
    ]
    flips = of(comparison, "l1-filters-0.50")["flips"]
    assert flips["broken"] == np.flatnonzero(right[0] & ~right[1]).tolist()
    assert flips["repaired"] == np.flatnonzero(~right[0] & right[1]).tolist()


def test_variants_of_another_name_and_exit_codes(tiny_run, second_run, edgecheck, refused):
    names = ["--map", "l1-unstructured-0.20=l1-unstructured-0.90"]
    code, out, _ = edgecheck("compare", tiny_run, second_run, *names, "--fail-on", "new-flips", "--format", "json")
    comparison = json.loads(out)
    broken = [one["after"] for one in comparison["variants"] if one["role"] == "candidate" and one["flips"]["broken"]]
    assert code == (1 if broken else 0)
    assert [one["variant"] for one in comparison["failures"]] == broken
    assert edgecheck("compare", tiny_run, tiny_run, "--fail-on", "new-flips,regression,verdict")[0] == 0
    assert "expected OLD=NEW" in refused("compare", tiny_run, second_run, "--map", "x")
    assert "given twice" in refused("compare", tiny_run, second_run, "--map", "a=b", "--map", "a=c")
    assert "unknown --fail-on 'flips'" in refused("compare", tiny_run, second_run, "--fail-on", "flips")
    assert "has no readings of it" in refused("compare", tiny_run, second_run, "--device", "pi4")
    assert "expected one name, or two" in refused("compare", tiny_run, second_run, "--device", "a,b,c")


def test_what_is_missing_or_changed_is_refused(tiny_run, tmp_path, refused):
    assert "`edgecheck run` writes it" in refused("compare", tiny_run, tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(tiny_run, copy)
    (copy / "report.json").write_text((copy / "report.json").read_text()[:1000])
    assert "truncated" in refused("compare", tiny_run, copy)


def test_another_version_is_told_and_other_data_refused(tiny_run, tmp_path, edgecheck, refused):
    copy = tmp_path / "copy"
    shutil.copytree(tiny_run, copy)
    document = json.loads((copy / "report.json").read_text())
    document["tool"]["version"] = "0.0.7"
    rewrite(copy, document)
    _, out, _ = edgecheck("compare", copy, tiny_run)
    said = " ".join(out.split())
    assert "measured under other conditions: edgecheck: 0.0.7" in said, said
    document["subject"]["data_sha256"] = "0" * 64
    rewrite(copy, document)
    assert "not comparable: data: 000000000000 and" in refused("compare", copy, tiny_run)
    code, out, _ = edgecheck("compare", copy, tiny_run, "--anyway")
    assert code == 0
    assert out.startswith("NOT COMPARABLE (--anyway): data: 000000000000 ->")
    said = " ".join(out.split())
    assert "newly broken images are unknown of baseline, control, " in said
    assert "l1-filters-0.50: the runs were measured on other images" in said
    said = refused("compare", copy, tiny_run, "--anyway", "--fail-on", "new-flips")
    assert "cannot be decided: the runs were measured on other images" in said


def test_a_report_without_its_seal_is_compared_on_request(tiny_run, tmp_path, edgecheck, refused):
    copy = tmp_path / "copy"
    shutil.copytree(tiny_run, copy)
    document = json.loads((copy / "report.json").read_text())
    del document[SEAL]
    (copy / "report.json").write_text(json.dumps({**document, "schema_version": 4}))
    assert "report.json was edited" in refused("compare", copy, tiny_run)
    code, out, _ = edgecheck("compare", copy, tiny_run, "--unverified", "--fail-on", "regression")
    assert code == 0
    assert out.startswith("NOT VERIFIED (--unverified):")
    said = refused("compare", copy, tiny_run, "--unverified", "--fail-on", "new-flips")
    assert "the files of a run do not match its report" in said
    (copy / "report.json").write_text(json.dumps({**document, "schema_version": 99}))
    assert "schema version 99" in refused("compare", copy, tiny_run, "--unverified")


def test_two_devices_of_one_run(tiny_run, tmp_path, edgecheck, refused):
    copy, table = tmp_path / "copy", tmp_path / "t.csv"
    shutil.copytree(tiny_run, copy)
    table.write_text("variant,metric,value\nl1-filters-0.50,latency.p50_s,2.5 s\nl1-filters-0.50,accuracy,50 %\n")
    edgecheck("merge", copy, "--csv", table, "--device", "pi4")
    code, out, _ = edgecheck("compare", copy, copy, "--device", "host,pi4", "--format", "json")
    assert code == 0
    comparison = json.loads(out)
    moved = {one["metric"]: one for one in of(comparison, "l1-filters-0.50")["moved"]}
    assert set(moved) == {"latency.p50_s", "accuracy"}
    assert (moved["latency.p50_s"]["after"], moved["accuracy"]["after"]) == (2.5, 0.5)
    assert comparison["settings"] == [{"what": "device", "before": "host", "after": "pi4"}]
    assert "on pi4" in " ".join(edgecheck("compare", copy, copy, "--device", "host,pi4")[1].split())
    assert edgecheck("compare", copy, copy, "--device", "pi4")[0] == 0
    said = refused("compare", copy, copy, "--device", "host,pi4", "--fail-on", "new-flips")
    assert "kept of the host alone" in said


def rewrite(folder, document):
    """Write a report with a seal that matches it."""
    from edgecheck.hashing import digest

    plain = {key: value for key, value in document.items() if key != SEAL}
    (folder / "report.json").write_text(json.dumps({**plain, SEAL: digest(plain)}))


def test_the_history_skips_what_cannot_be_read(tiny_run, tmp_path, edgecheck, refused):
    runs = tmp_path / "runs"
    for name in ("first", "deeper/second", "broken", "killed"):
        shutil.copytree(tiny_run, runs / name)
    (runs / "broken" / "report.json").write_text("{")
    (runs / "killed" / "report.json").unlink()
    (runs / "killed" / "unfinished.txt").write_text("it was interrupted\n")
    (runs / "loop").symlink_to(runs)
    page = tmp_path / "history.html"
    code, out, err = edgecheck("history", runs, "--out", page, "--format", "json")
    assert code == 0
    record = json.loads(out)
    assert [run["folder"] for run in record["runs"]] == ["deeper/second", "first"]
    assert [one["folder"] for one in record["skipped"]] == ["broken", "killed"]
    assert err.count("skipped: ") == 2
    assert "truncated" in err
    assert "did not finish" in err
    assert page.read_text().startswith("<!doctype html>")
    assert "no run below it can be read" in refused("history", runs / "broken")
    assert "no such folder" in refused("history", tmp_path / "nothing")


def test_an_expired_waiver_is_a_regression(tiny_run, tmp_path, edgecheck):
    now, before = tmp_path / "now", tmp_path / "before"
    for folder, metric in ((now, "size.bytes"), (before, "macs")):
        shutil.copytree(tiny_run, folder)
        document = json.loads((folder / "report.json").read_text())
        excused = {"variant": "l1-filters-0.50", "metric": metric, "reason": "known", "approved_by": "QA"}
        document["policy"]["waivers"] = [{**excused, "expires": "2020-01-31", "where": "edgecheck.yaml:9"}]
        for verdict in document["verdicts"]:
            if (verdict["variant"], verdict["metric"]) == ("l1-filters-0.50", "size.bytes"):
                verdict |= {"status": "WAIVED", "limit": 1.0}
        document["policy"]["criteria"] = [
            {**one, "limit": 1.0} if one["metric"] == "size.bytes" and folder == now else one
            for one in document["policy"]["criteria"]
        ]
        rewrite(folder, document)
    assert edgecheck("compare", before, before, "--fail-on", "verdict")[0] == 0
    assert edgecheck("compare", before, now, "--fail-on", "verdict")[0] == 1
