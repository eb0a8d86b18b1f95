"""Judging a saved run again."""

import json
import re

import jsonschema
import pytest

from edgecheck.records import SCHEMA_VERSION
from edgecheck.report import RENDERERS
from tests.report.conftest import GOLDEN


def test_a_changed_limit_keeps_the_other_criteria(tiny_run, tiny_report, edgecheck):
    _, out, _ = edgecheck("gate", tiny_run, "--gate", "size.bytes <= 2 MB", "--format", "json")
    judged = json.loads(out)["policy"]["criteria"]
    assert {c["metric"] for c in judged} == {c["metric"] for c in tiny_report["policy"]["criteria"]}
    assert {c["limit"] for c in judged if c["metric"] == "size.bytes"} == {2e6}


def test_only_drops_them(tiny_run, edgecheck, refused):
    _, out, _ = edgecheck("gate", tiny_run, "--gate", "size.bytes <= 2 MB", "--only", "--format", "json")
    assert [c["metric"] for c in json.loads(out)["policy"]["criteria"]] == ["size.bytes"]
    assert "--gate" in refused("gate", tiny_run, "--only")
    both = ["--only", "--profile", "paper", "--gate", "size.bytes <= 2 MB"]
    assert "--only drops the criteria of --profile" in refused("gate", tiny_run, *both)
    assert "unknown profile ''" in refused("gate", tiny_run, "--profile", "")


def test_the_gate_is_printed(tiny_run, edgecheck):
    _, out, _ = edgecheck("gate", tiny_run)
    assert re.search(r"^gate +at least one variant: grad-cam >= 0.5, ", out, re.MULTILINE)
    assert "<= 1 MB" in out.partition("──")[0]


def test_out_leaves_the_pages_of_this_judgement(tiny_run, tmp_path, edgecheck):
    before = (tiny_run / "report.json").read_bytes()
    code, _, _ = edgecheck("gate", tiny_run, "--gate", "size.bytes <= 1 B", "--out", tmp_path / "strict")
    assert code == 1
    assert json.loads((tmp_path / "strict" / "report.json").read_text())["passed"] is False
    assert (tiny_run / "report.json").read_bytes() == before


def test_a_board_reads_the_preprocessing_from_the_run_folder(tiny_run, tiny_report, edgecheck):
    file = tiny_run / "baseline" / "model.onnx"
    flags = ["--data", tiny_run / "data.npz", "--gate", "accuracy_drop_pp <= 0", "--time-budget", "0"]
    code, out, err = edgecheck("check", "--baseline", file, "--candidate", file, *flags, "--format", "json")
    assert code == 0, err
    report = json.loads(out)
    assert report["subject"]["preprocessing"] == "pixels to 0..1, mean 0.3053, std 0.3233"

    def accuracy(document):
        return next(r["value"] for r in document["readings"] if (r["variant"], r["metric"]) == ("baseline", "accuracy"))

    assert accuracy(report) == accuracy(tiny_report)


def test_a_reversed_gate_is_refused_wherever_it_comes_from(tiny_run, tiny_report, tmp_path, edgecheck, refused):
    worse, better = ["--gate", "accuracy_drop_pp >= -1"], ["--gate", "accuracy_drop_pp <= 100"]
    assert "--gate: 'accuracy_drop_pp >= -1' rejects only better values" in refused("gate", tiny_run, *worse)
    assert edgecheck("gate", tiny_run, *worse, *better)[0] == 0
    saved = json.loads(json.dumps(tiny_report))
    saved["policy"]["criteria"][1].update(op=">=", limit=0)
    (tmp_path / "report.json").write_text(json.dumps(saved))
    assert "rejects only better values" in refused("gate", tmp_path, "--unverified")


def test_a_latency_without_a_unit_is_refused(tiny_run, refused):
    assert "write one of s, ms, us" in refused("gate", tiny_run, "--gate", "latency.p90_s <= 5")


def test_a_saved_run_is_judged_by_its_control(tiny_run, tiny_report, edgecheck):
    def judge(limit):
        code, out, _ = edgecheck("gate", tiny_run, "--only", "--gate", f"sp2ps.grad-cam >= {limit}", "--format", "json")
        return code, json.loads(out)["verdicts"]

    floor = next(
        r["value"] for r in tiny_report["readings"] if (r["variant"], r["metric"]) == ("control", "sp2ps.grad-cam")
    )
    code, verdicts = judge("control - 0.9")
    assert code == 0
    assert [v["limit"] for v in verdicts] == pytest.approx([floor - 0.9] * len(verdicts))
    assert {v["offset"] for v in verdicts} == {-0.9}
    code, verdicts = judge("control + 0.9")
    assert code == 1
    assert {v["status"] for v in verdicts} == {"FAIL"}


def test_a_relative_limit_is_printed_with_what_it_comes_to(tiny_run, edgecheck):
    _, out, _ = edgecheck("gate", tiny_run, "--only", "--gate", "sp2ps.grad-cam >= control + 0.9 warn")
    assert re.search(r"variant: grad-cam >= control \+ 0.9 \(1\.\d{3}\) \(warn\)", " ".join(out.split()))


@pytest.mark.parametrize("version", [1, 2])
def test_a_run_folder_of_an_older_version_is_judged_and_rendered(version, tmp_path, edgecheck, refused):
    old = (GOLDEN / f"report_v{version}.json").read_text()
    (tmp_path / "report.json").write_text(old)
    assert {1: "has no digest", 2: "is missing"}[version] in refused("gate", tmp_path)
    code, out, _ = edgecheck("gate", tmp_path, "--unverified", "--format", "json")
    judged = json.loads(out)
    assert (code, judged["schema_version"]) == (1, 5)
    code, out, _ = edgecheck("report", tmp_path, "--unverified", "--out", tmp_path / "again", "--format", "json")
    assert (code, json.loads(out)["verdicts"]) == (0, judged["verdicts"])
    assert (tmp_path / "report.json").read_text() == old


def test_a_report_of_a_newer_version_is_refused(tiny_report, tmp_path, refused):
    (tmp_path / "report.json").write_text(json.dumps({**tiny_report, "schema_version": SCHEMA_VERSION + 1}))
    assert f"schema version {SCHEMA_VERSION + 1}" in refused("gate", tmp_path)


def test_the_report_of_a_run_is_valid_under_the_published_schema(tiny_report, edgecheck):
    code, out, _ = edgecheck("schema")
    assert code == 0
    jsonschema.Draft202012Validator(json.loads(out)).validate(tiny_report)


def test_a_metric_of_a_plugin_is_refused_with_the_option_that_names_it(tiny_report, tmp_path, refused):
    readings = [{**tiny_report["readings"][0], "metric": "toy.metric"}]
    (tmp_path / "report.json").write_text(json.dumps({**tiny_report, "readings": readings}))
    said = refused("gate", tmp_path)
    assert "unknown metric 'toy.metric'" in said
    assert "--plugin FILE" in said


def test_the_gates_own_warnings_follow_the_policy(tiny_run, edgecheck):
    def warned(*arguments):
        _, out, _ = edgecheck("gate", tiny_run, "--only", *arguments, "--format", "json")
        return [warning["id"] for warning in json.loads(out)["warnings"] if warning["id"].startswith("gate-limit")]

    above = warned("--gate", "sp2ps.grad-cam >= 1")
    assert above == ["gate-limit-above-noise-floor"]
    assert warned("--gate", "sp2ps.grad-cam >= 0.1") == []


def test_a_saved_run_whose_control_was_not_measured_does_not_pass(tiny_run, tiny_report, tmp_path, edgecheck):
    readings = [r for r in tiny_report["readings"] if r["variant"] != "control"]
    (tmp_path / "report.json").write_text(json.dumps({**tiny_report, "readings": readings}))
    sentence = "sp2ps.grad-cam >= control - 0.9"
    code, out, _ = edgecheck("gate", tmp_path, "--unverified", "--only", "--gate", sentence, "--format", "json")
    assert code == 1
    assert all("the control has no reading" in v["reason"] for v in json.loads(out)["verdicts"])


@pytest.mark.parametrize("limit", ["control -", "controll", "control - nan"])
def test_a_malformed_relative_limit_is_one_line(tiny_run, refused, limit):
    assert "--gate: " in refused("gate", tiny_run, "--gate", f"sp2ps.grad-cam >= {limit}")


@pytest.mark.parametrize("command", ["gate", "report"])
def test_an_unknown_format_is_refused_with_the_known_ones(command, tiny_run, refused):
    said = refused(command, tiny_run, "--format", "jsn")
    assert "unknown format 'jsn', did you mean 'json'?; known: terminal, json" in said


def test_a_registered_format_is_one_of_the_formats(tiny_run, edgecheck, monkeypatch):
    monkeypatch.setitem(RENDERERS, "toy", lambda report: f"{report.subject.name}: {report.passed}\n")
    assert edgecheck("gate", tiny_run, "--format", "toy")[:2] == (0, "tiny: True\n")
