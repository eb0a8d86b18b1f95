"""Judging a saved run again, and what a reader is told."""

import json
import re

import pytest

from edgecheck.gate.sentence import parse
from edgecheck.pipeline.remarks import remarks
from edgecheck.records import Policy, Variant, reading


def test_a_changed_limit_keeps_the_other_criteria(tiny_run, tiny_report, edgecheck):
    _, out, _ = edgecheck("gate", tiny_run, "--gate", "size.bytes <= 2 MB", "--format", "json")
    judged = json.loads(out)["policy"]["criteria"]
    assert {c["metric"] for c in judged} == {c["metric"] for c in tiny_report["policy"]["criteria"]}
    assert {c["limit"] for c in judged if c["metric"] == "size.bytes"} == {2e6}


def test_only_drops_them(tiny_run, edgecheck, refused):
    _, out, _ = edgecheck("gate", tiny_run, "--gate", "size.bytes <= 2 MB", "--only", "--format", "json")
    assert [c["metric"] for c in json.loads(out)["policy"]["criteria"]] == ["size.bytes"]
    assert "--gate" in refused("gate", tiny_run, "--only")


def test_the_gate_is_printed(tiny_run, edgecheck):
    _, out, _ = edgecheck("gate", tiny_run)
    assert "size.bytes <= 1 MB" in " ".join(out.split())


def test_out_leaves_the_pages_of_this_judgement(tiny_run, tiny_report, tmp_path, edgecheck):
    code, _, _ = edgecheck("gate", tiny_run, "--gate", "size.bytes <= 1 B", "--out", tmp_path / "strict")
    assert code == 1
    assert json.loads((tmp_path / "strict" / "report.json").read_text())["passed"] is False
    assert json.loads((tiny_run / "report.json").read_text()) == tiny_report


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
    assert "--gate: 'accuracy_drop_pp >= -1' refuses only what is better" in refused("gate", tiny_run, *worse)
    assert edgecheck("gate", tiny_run, *worse, *better)[0] == 0
    saved = json.loads(json.dumps(tiny_report))
    saved["policy"]["criteria"][1].update(op=">=", limit=0)
    (tmp_path / "report.json").write_text(json.dumps(saved))
    assert "refuses only what is better" in refused("gate", tmp_path, "--unverified")


def test_a_latency_without_a_unit_is_refused(tiny_run, refused):
    assert "write one of s, ms, us" in refused("gate", tiny_run, "--gate", "latency.p90_s <= 5")


VARIANTS = [Variant("baseline", "baseline"), Variant("control", "control"), Variant("a", "candidate")]
POLICY = Policy(criteria=[parse("sp2ps.grad-cam >= 0.95")])


def test_a_baseline_that_guesses_is_remarked_on():
    (line,) = remarks(VARIANTS, [reading("baseline", "accuracy", 0.12)], POLICY, classes=10)
    assert "preprocessing" in line
    assert not list(remarks(VARIANTS, [reading("baseline", "accuracy", 0.5)], POLICY, classes=10))


def test_int8_that_is_slower_is_remarked_on():
    variants = [VARIANTS[0], Variant("quantized", "candidate", weight_bytes={"int8": 900, "float32": 100})]
    slower = [reading("quantized", "latency.ratio", 1.5, (1.4, 1.6))]

    (line,) = remarks(variants, slower, POLICY, classes=10)

    assert "int8, yet slower than the baseline: quantized (1.50x)" in line
    assert not list(remarks(variants, [reading("quantized", "latency.ratio", 0.5, (0.4, 0.6))], POLICY, classes=10))
    as_float = [VARIANTS[0], Variant("quantized", "candidate", weight_bytes={"float32": 1000})]
    assert not list(remarks(as_float, slower, POLICY, classes=10))


def test_a_limit_above_the_noise_floor_is_remarked_on():
    (line,) = remarks(VARIANTS, [reading("control", "sp2ps.grad-cam", 0.9)], POLICY, classes=10)
    assert "noise floor" in line
    assert not list(remarks(VARIANTS, [reading("control", "sp2ps.grad-cam", 0.96)], POLICY, classes=10))


def test_a_limit_relative_to_the_control_cannot_lie_above_its_floor():
    policy = Policy(criteria=[parse("sp2ps.grad-cam >= control + 0.02")])
    assert not list(remarks(VARIANTS, [reading("control", "sp2ps.grad-cam", 0.9)], policy, classes=10))


def test_several_controls_make_one_remark():
    variants = [*VARIANTS, Variant("control-seed1", "control")]
    readings = [reading("control", "sp2ps.grad-cam", 0.92), reading("control-seed1", "sp2ps.grad-cam", 0.96)]
    (line,) = remarks(variants, readings, POLICY, classes=10)
    assert "reaches 0.940 (0.920..0.960 of 2 controls) after" in line


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
    assert re.search(r"sp2ps.grad-cam >= control \+ 0.9 \(1\.\d{3}\) \(warn\)", " ".join(out.split()))


def test_a_report_of_before_there_were_relative_limits_is_read(tiny_report, tmp_path, edgecheck, refused):
    old = json.loads(json.dumps(tiny_report))
    for criterion in old["policy"]["criteria"]:
        del criterion["relative_to"]
    for verdict in old["verdicts"]:
        del verdict["offset"]
    old["schema_version"] = 1
    for key in ("seal", "evidence", "seconds", "unverified"):
        del old[key]
    (tmp_path / "report.json").write_text(json.dumps(old))
    assert "carries no digest" in refused("gate", tmp_path)
    _, out, _ = edgecheck("gate", tmp_path, "--unverified", "--format", "json")
    assert json.loads(out)["verdicts"] == tiny_report["verdicts"]


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


def test_fewer_macs_yet_slower_is_remarked_on():
    def found(ratio):
        readings = [
            reading("baseline", "macs", 100),
            reading("a", "macs", 60),
            reading("a", "latency.ratio", ratio, (ratio - 0.01, ratio + 0.01)),
        ]
        return list(remarks(VARIANTS, readings, POLICY, classes=10))

    assert "a (1.20x)" in found(1.2)[0]
    assert not found(0.8)


def test_a_control_that_failed_is_remarked_on():
    variants = [Variant("control", "control"), Variant("control-seed1", "control")]
    readings = [reading("control", "accuracy", 0.9), reading("control-seed1", "accuracy", None, note="loss is nan")]
    (said,) = remarks(variants, readings, Policy(), 10)
    assert said.startswith("control-seed1 could not be made")
