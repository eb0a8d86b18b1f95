"""What a command judges by, and what it says before it begins: waivers, profiles, criteria, `--dry-run`, CONFIG."""

import io
import json
import os
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from rich.console import Console

from edgecheck.cli.lines import Lines
from edgecheck.cli.screen import Screen
from edgecheck.days import today
from edgecheck.report import RENDERERS

pytestmark = pytest.mark.usefixtures("files_in_this_process")

VARIANT = "l1-filters-0.50"
TOMORROW = (today() + timedelta(1)).isoformat()
YESTERDAY = (today() - timedelta(1)).isoformat()
FAILING = "size.bytes <= 0.01 x baseline"


def gate_file(folder, expires=TOMORROW, **changed):
    """A configuration whose gate fails by its size, with a waiver of that for one variant."""
    texts = {"variant": VARIANT, "metric": "size.bytes", "reason": "the flash grows", "approved_by": "QA", **changed}
    entry = "\n".join(f"      {key}: {value}" for key, value in texts.items())
    path = folder / "gate.yaml"
    path.write_text(
        f"gate:\n  require: any\n  criteria: [{FAILING}]\n  waivers:\n    -\n{entry}\n      expires: {expires}\n"
    )
    return path


def judged(edgecheck, *arguments):
    code, out, err = edgecheck("gate", *arguments, "--format", "json")
    return code, (json.loads(out) if out else err)


def sizes(document):
    return {v["variant"]: v["status"] for v in document["verdicts"] if v["metric"] == "size.bytes"}


def test_a_waiver_decides_the_exit_code_until_it_expires(tiny_run, tmp_path, edgecheck):
    code, document = judged(edgecheck, tiny_run, "--config", gate_file(tmp_path))
    assert (code, sizes(document)) == (0, {"l1-unstructured-0.20": "FAIL", VARIANT: "WAIVED"})
    assert document["judged"] == today().isoformat()
    assert "with 1 waiver" in document["recommendation"]["reason"]
    code, document = judged(edgecheck, tiny_run, "--config", gate_file(tmp_path, YESTERDAY))
    assert (code, sizes(document)[VARIANT]) == (1, "FAIL")


def test_a_new_judgement_keeps_the_waivers_of_the_run(tiny_run, tmp_path, edgecheck):
    kept = tmp_path / "kept"
    shutil.copytree(tiny_run, kept)
    edgecheck("gate", tiny_run, "--config", gate_file(tmp_path), "--out", tmp_path / "judged")
    shutil.copy(tmp_path / "judged" / "report.json", kept)
    assert sizes(judged(edgecheck, kept)[1])[VARIANT] == "WAIVED"
    assert sizes(judged(edgecheck, kept, "--gate", "size.bytes <= 2 B")[1])[VARIANT] == "WAIVED"
    assert sizes(judged(edgecheck, kept, "--config", gate_file(tmp_path, variant="other"))[1])[VARIANT] == "FAIL"
    assert judged(edgecheck, kept)[0] == 0


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"reason": "''"}, "gate.yaml:8: gate.waivers.0.reason: it is empty"),
        ({"metric": "size.byte"}, "gate.yaml:7: gate.waivers.0.metric: unknown metric 'size.byte', did you mean"),
        ({"metric": "parity.max_abs"}, "cannot be waived"),
        ({"expires": "soon"}, "gate.yaml:10: gate.waivers.0.expires: expected a day such as 2027-01-31, not 'soon'"),
    ],
)
def test_a_malformed_waiver_is_refused_before_anything_is_judged(tiny_run, tmp_path, refused, changed, words):
    assert words in refused("gate", tiny_run, "--config", gate_file(tmp_path, **changed))


def test_a_profile_of_ones_own_judges_a_run(tiny_run, tmp_path, edgecheck, refused, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("criteria:\n  - size.bytes in 0.001 x baseline .. 2 x baseline\n")
    code, document = judged(edgecheck, tiny_run, "--profile", "mine.yaml")
    assert code == 0
    assert document["policy"]["profile"] == "mine.yaml"
    assert [(c["op"], c["times"], c["where"]) for c in document["policy"]["criteria"]] == [
        (">=", 0.001, "mine.yaml:2"),
        ("<=", 2, "mine.yaml:2"),
    ]
    assert "none.yaml: no such file" in refused("gate", tiny_run, "--profile", "none.yaml")


@pytest.fixture
def resumed(tiny_run, tiny_config, tmp_path, edgecheck):
    """Run again with further arguments in a copy of the run folder, where every stage is finished."""
    folder = tmp_path / "run"
    shutil.copytree(tiny_run, folder)

    def run(*arguments):
        return folder, *edgecheck("run", tiny_config, "--out", folder, *arguments)

    return run


def test_criteria_of_the_command_line_replace_those_of_a_run(resumed):
    _, code, out, _ = resumed("--gate", FAILING, "--gate", "macs <= baseline", "--max-opset", "9", "--format", "json")
    criteria = {c["metric"]: (c["op"], c["limit"], c["where"]) for c in json.loads(out)["policy"]["criteria"]}
    assert code == 1
    assert criteria["size.bytes"] == ("<=", 0, "--gate")
    assert criteria["macs"] == ("<=", 0, "--gate")
    assert criteria["opset"] == ("<=", 9, "--gate")
    assert criteria["latency.ratio"][2].endswith("edgecheck.yaml:30")  # kept


def test_quiet_says_nothing_but_the_result(resumed):
    folder, code, out, err = resumed("--quiet", "--format", "json")
    assert (code, err) == (0, "")
    assert json.loads(out)["passed"]
    assert (folder / "report.html").is_file()


def test_quiet_still_says_errors(tmp_path, refused):
    assert "no such file" in refused("run", "-q", tmp_path / "none.yaml")


def test_quiet_and_verbose_contradict_each_other(tiny_config, refused):
    assert "--quiet and --verbose" in refused("run", "-q", "-v", tiny_config)


@pytest.mark.parametrize(("thorough", "said"), [(False, []), (True, ["exporting, took 1.50 s"])])
def test_verbose_tells_the_duration_of_short_work(thorough, said):
    lines, now = [], [0.0]
    shown = Lines(lines.append, lambda: now[0], thorough=thorough)
    for _ in shown.track([1, 2, 3], "exporting", 3, None):
        now[0] += 0.5
    assert lines == said
    with shown.busy("pruning"):
        now[0] += 2
    assert lines == [*said, "pruning", *(["pruning, took 2.00 s"] if thorough else [])]


def test_outside_a_command_a_screen_is_neither_quiet_nor_verbose():
    page = io.StringIO()
    Screen(Console(file=page)).note("said")
    assert page.getvalue() == "said\n"


COMMANDS = ("run", "sweep", "search", "sensitivity", "train", "prune", "cam", "export")


@pytest.mark.parametrize("command", COMMANDS)
def test_without_a_configuration_every_command_says_how_to_get_one(command, tmp_path, refused, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = refused(command)
    assert "no CONFIG given, and no edgecheck.yaml in this folder: name one, or run `edgecheck init`" in told


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (os.mkdir, "edgecheck.yaml: a folder; name a regular file"),
        (os.mkfifo, "edgecheck.yaml: a named pipe; name a regular file"),
        (lambda path: os.symlink(path, path), "edgecheck.yaml: cannot be read as text"),
    ],
)
def test_what_stands_in_place_of_the_configuration_is_named(make, told, tmp_path, refused, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make("edgecheck.yaml")
    assert told in refused("run")


@pytest.mark.parametrize("command", ["gate", "report", "verify", "history"])
def test_an_empty_name_is_not_the_current_folder(command, tiny_run, refused, monkeypatch):
    monkeypatch.chdir(tiny_run)
    assert "it is empty" in refused(command, "")
    if command != "verify":
        assert "it is empty" in refused(command, tiny_run, "--out", "")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_finds_the_configuration_in_this_folder(command, tmp_path, edgecheck, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("edgecheck.yaml").write_text("data: {dataset: digitz}\n")
    code, out, err = edgecheck(command, *(["--rate", "0.5"] if command == "prune" else []))
    assert (code, out) == (2, "")
    first, second = err.splitlines()
    assert first == "configuration: edgecheck.yaml"
    assert second.startswith("edgecheck: edgecheck.yaml:1: unknown data set 'digitz', did you mean 'digits'")


@pytest.mark.parametrize("command", ["run", "sweep"])
def test_a_dry_run_writes_nothing(command, tiny_config, tmp_path, edgecheck, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "140")
    code, out, err = edgecheck(command, tiny_config, "--dry-run")
    assert (code, err) == (0, "")
    assert list(tmp_path.iterdir()) == []
    text = " ".join(out.split())
    for words in (
        "tiny: 2 variants to make, measure and judge; nothing is written",
        "prune 50.00 % by l1, filters (layer); fine-tune 1 epoch",
        "Measured on the first 60 images of the test split of digits.",
        "Latency: at most 20.0 ms per variant, less if the gate is decided earlier; 1 thread.",
        "The gate asks of at least one variant: sp2ps.grad-cam >= 0.5; accuracy_drop_pp <= 100 pp; size.bytes <= 1 MB;",
        f"edgecheck-{'report' if command == 'run' else 'sweep'} holds no finished stages.",
    ):
        assert words in text


def test_a_dry_run_tells_what_is_finished_and_leaves_it_as_it_is(tiny_config, tiny_run, edgecheck):
    before = {path: path.stat().st_mtime_ns for path in tiny_run.rglob("*")}
    code, out, _ = edgecheck("run", tiny_config, "--dry-run", "--out", tiny_run, "--format", "json")
    finished = json.loads(out)["finished_stages"]
    assert code == 0
    assert set(finished) == {"baseline", "control", VARIANT, "l1-unstructured-0.20"}
    known = json.loads((tiny_run / "report.json").read_text())["evidence"]
    for name, count in finished.items():
        assert count == sum(path.startswith(f"{name}/") and path.endswith(".json") for path in known)
    assert {path: path.stat().st_mtime_ns for path in tiny_run.rglob("*")} == before


def test_a_dry_run_tells_criteria_and_waivers(tiny_config, tmp_path, edgecheck):
    text = tiny_config.read_text()
    waiver = f"{{variant: l1-filters-0.5, metric: macs, reason: none, approved_by: QA, expires: {TOMORROW}}}"
    (tmp_path / "edgecheck.yaml").write_text(text + f"  waivers: [{waiver}]\n")
    words = ["--dry-run", "--gate", "macs <= 0.5 x baseline warn", "--max-ir", "10"]
    _, out, _ = edgecheck("run", tmp_path / "edgecheck.yaml", *words)
    told = " ".join(out.split())
    assert "ir_version <= 10; macs <= 0.5 x baseline (warn)." in told
    expected = f"(no variant has this name, did you mean '{VARIANT}'?) until {TOMORROW} by QA: none."
    assert f"Waiver of macs for l1-filters-0.5 {expected}" in told
    _, out, _ = edgecheck("run", tmp_path / "edgecheck.yaml", *words, "--format", "json")
    assert json.loads(out)["judged"]["waivers"][0]["expires"] == TOMORROW


def test_a_dry_run_of_a_search_tells_its_branches(tiny_config, tmp_path, edgecheck, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = edgecheck("search", tiny_config, "--dry-run", "--format", "json")
    document = json.loads(out)
    assert code == 0
    assert {one["branch"] for one in document["made"]} >= {
        "l1, filters, recipe none",
        "l1, filters, int8, recipe paper",
    }
    assert document["minimize"] == "size.bytes"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--gate", "acuracy >= 0.9"], "--gate: unknown metric 'acuracy', did you mean 'accuracy'"),
        (["--gate", "latency.p50_s <= 0.5 x baseline"], "latency.ratio, which is relative to the baseline"),
        (["--profile", "papre"], "--profile: unknown profile 'papre', did you mean 'paper'"),
        (["--executor", "procceses:2"], "procceses"),
        (["--format", "junit"], "--dry-run has no verdicts for --format junit; use terminal, json, markdown"),
    ],
)
def test_a_dry_run_refuses_what_a_run_would_refuse(tiny_config, refused, arguments, words):
    assert words in refused("run", tiny_config, "--dry-run", *arguments)


@pytest.mark.parametrize(
    ("given", "metrics"),
    [([], {"opset", "accuracy_drop_pp"}), (["--gate", "agreement >= 0"], {"opset", "agreement"})],
)
def test_the_newest_opset_is_a_criterion_of_check(tiny_run, edgecheck, given, metrics):
    file = tiny_run / "baseline" / "model.onnx"
    words = ["--baseline", file, "--candidate", file, "--data", tiny_run / "data.npz", "--time-budget", "0"]
    _, out, _ = edgecheck("check", *words, *given, "--max-opset", "17", "--format", "json")
    statuses = {v["metric"]: v["status"] for v in json.loads(out)["verdicts"]}
    assert metrics <= set(statuses)
    assert statuses["opset"] == "FAIL"
    assert ("accuracy_drop_pp" in statuses) == (not given)


COMPLETED = [
    ("run --ga", "--gate"),
    ("run --format ''", " ".join(RENDERERS)),
    ("gate run --profile re", "relative release"),
    ("gate run --gate sp2ps.gr", "sp2ps.grad-cam sp2ps.grad-cam++"),
    ('run --gate "\'latency.p9"', "latency.p90_s"),
    ("sens", "sensitivity"),
]


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_commands_options_and_their_values(tmp_path):
    """In a bash that has sourced the script, as a user's start-up file does."""
    (tmp_path / "edgecheck").write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m edgecheck "$@"\n')
    (tmp_path / "edgecheck").chmod(0o755)
    script = ['eval "$(_EDGECHECK_COMPLETE=bash_source edgecheck)"']
    for words, _ in COMPLETED:
        script.append(f"COMP_WORDS=(edgecheck {words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMPREPLY=()")
        script.append("_edgecheck_completion edgecheck; echo ${COMPREPLY[*]}")
    environment = {"PATH": f"{tmp_path}:/usr/local/bin:/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)], capture_output=True, text=True, timeout=120, env=environment, check=False
    )
    assert done.stdout.splitlines() == [offered for _, offered in COMPLETED], done.stderr
