"""The shell lines of the CI files, run as a CI server runs them."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import junitparser
import pytest
from ruamel.yaml import YAML

from edgecheck.report import RENDERERS
from tests.device.bundle import small_run
from tests.report.conftest import renamed

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).parent.parent.parent
PASSING, FAILING = ["--gate", "size.bytes <= 1 MB"], ["--gate", "size.bytes <= 1 B"]
# What GitHub's and GitLab's runners start for a script.
BASH = ["bash", "--noprofile", "--norc", "-eo", "pipefail"]

# In the place of Python's: keeps what pip is asked to install, and installs nothing.
PYTHON = """\
#!/bin/sh
if [ "$1 $2" = "-m pip" ]; then printf '%s\\n' "$@" > "$PIP_ASKED"; else exec {python} "$@"; fi
"""


def load(name):
    return YAML(typ="safe").load((ROOT / name).read_text())


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Run the lines of a step in an empty folder, with the variables of a runner; return the finished process."""
    work = tmp_path / "work"
    work.mkdir()
    shims = tmp_path / "shims"
    shims.mkdir()

    def shim(name, text):
        (shims / name).write_text(text)
        (shims / name).chmod(0o755)

    shim("python3", PYTHON.format(python=sys.executable))
    files = {name: str(tmp_path / name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "PIP_ASKED")}

    def run(lines, **variables):
        search = os.pathsep.join([str(shims), str(Path(sys.executable).parent), os.environ["PATH"]])
        environment = {**os.environ, **files, "GITHUB_ACTION_PATH": str(ROOT / ".ci"), "PATH": search, **variables}
        return subprocess.run(
            [*BASH, "-c", lines], cwd=work, env=environment, capture_output=True, text=True, timeout=300
        )

    run.work, run.shim = work, shim
    run.file = {name: Path(path) for name, path in files.items()}
    return run


def step(name):
    (found,) = (one for one in load(".ci/action.yml")["runs"]["steps"] if one["name"] == name)
    return found["run"]


def outputs(server):
    return dict(line.split("=", 1) for line in server.file["GITHUB_OUTPUT"].read_text().splitlines())


def judge(server, command, words, out="out"):
    lines = "\n".join(map(str, words)) + "\n"
    return server(step("Judge"), COMMAND=command, ARGUMENTS=lines, OUT=out, OMP_NUM_THREADS="1")


@pytest.mark.parametrize(("extras", "package"), [("lab", f"{ROOT}[lab]"), ("", str(ROOT))])
def test_the_action_installs_this_repository(server, extras, package):
    done = server(step("Install edgecheck"), EXTRAS=extras)
    assert done.returncode == 0, done.stderr
    asked = server.file["PIP_ASKED"].read_text().splitlines()
    assert asked == ["-m", "pip", "install", "--quiet", "-c", str(ROOT / "constraints.txt"), package]
    assert (ROOT / "constraints.txt").is_file()


@pytest.mark.parametrize(("gate", "code"), [(PASSING, 0), (FAILING, 1)])
def test_the_action_judges_a_saved_run(server, run_folder, gate, code):
    done = judge(server, "gate", [run_folder, "--only", *gate])
    assert done.returncode == code, done.stderr
    written = outputs(server)
    report = json.loads((server.work / "out" / "report.json").read_text())
    assert (written["exit-code"], written["passed"]) == (str(code), "false" if code else "true")
    assert written["recommended"] == (report["recommendation"]["variant"] or "")
    assert junitparser.JUnitXml.fromfile(str(server.work / written["junit"])).failures == code
    assert (server.work / written["report"]).is_file()
    assert server.file["GITHUB_STEP_SUMMARY"].read_text() == (server.work / "out" / "report.md").read_text()
    stop, resume, decision, *_ = done.stdout.splitlines()
    # What the program prints meanwhile is no command to the runner.
    assert stop.removeprefix("::stop-commands::") == resume.strip(":")
    expected = "::error title=edgecheck%3A Do not ship" if code else "::warning title=edgecheck%3A Keep the baseline"
    assert decision.startswith(expected)


NAMED = "a\nexit-code=0\n::error::x\r\u202e|<b>=1+1"


def test_no_name_adds_an_output_or_a_command(server):
    """A program in the place of edgecheck leaves the report of a variant named to break the lines."""
    report = renamed(NAMED)
    made = server.work / "made"
    made.mkdir()
    for name, form in (("report.json", "json"), ("report.md", "markdown"), ("annotations", "github")):
        (made / name).write_text(RENDERERS[form](report))
    server.shim("edgecheck", "#!/bin/sh\necho ::add-mask::x >&2\ncp -r made out\ncat made/annotations\nexit 1\n")
    done = judge(server, "gate", ["run"])
    assert done.returncode == 1, done.stderr
    assert list(outputs(server)) == ["exit-code", "passed", "recommended", "junit", "report"]
    assert json.loads(f'"{outputs(server)["recommended"]}"') == NAMED
    commands = [line.split(" title=")[0] for line in done.stdout.splitlines()[2:]]
    assert commands == [line.split(" title=")[0] for line in RENDERERS["github"](renamed("harmless")).splitlines()]


def test_the_action_checks_files(server, tmp_path):
    folder = small_run.write(tmp_path / "files")
    _, *words = small_run.command(folder)
    done = judge(server, "check", [*words[: words.index("--out")], *FAILING])
    assert done.returncode == 1, done.stderr
    assert outputs(server)["passed"] == "false"
    assert "size.bytes" in server.file["GITHUB_STEP_SUMMARY"].read_text()


def test_the_action_runs_a_configuration(server, tmp_path):
    """As far as its own mistakes: what `run` does then is the subject of other tests."""
    done = judge(server, "run", [tmp_path / "nowhere.yaml"])
    assert done.returncode == 2
    assert outputs(server) == {"exit-code": "2", "passed": "false"}
    assert "nowhere.yaml" in done.stderr
    assert done.stdout.splitlines()[-1].startswith("::error title=edgecheck::could not judge (exit code 2)")
    assert not server.file["GITHUB_STEP_SUMMARY"].exists()


def test_what_an_earlier_run_left_is_not_published(server, run_folder):
    judge(server, "gate", [run_folder, "--only", *PASSING])
    for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"):
        server.file[name].unlink()
    assert judge(server, "gate", [run_folder, "--gate", "nonsense"]).returncode == 2
    assert outputs(server)["passed"] == "false"
    assert not server.file["GITHUB_STEP_SUMMARY"].exists()


def test_every_input_and_output_of_the_action_is_used():
    text, action = (ROOT / ".ci/action.yml").read_text(), load(".ci/action.yml")
    assert all(f"${{{{ inputs.{name} }}}}" in text for name in action["inputs"])
    assert all(f"steps.judge.outputs.{name} " in text for name in action["outputs"])
    # An input inside a script would be code.
    assert not [one for one in action["runs"]["steps"] if "${{" in one["run"]]


@pytest.mark.parametrize(("gate", "code"), [(PASSING, 0), (FAILING, 1), (["--gate", "nonsense"], 2)])
def test_the_job_of_gitlab(server, run_folder, gate, code):
    job = load(".ci/gitlab.yml")[".edgecheck"]
    variables = {**job["variables"], "EDGECHECK_COMMAND": "gate"}
    variables["EDGECHECK_ARGUMENTS"] = "\n".join([str(run_folder), "--only", *gate])
    done = server("\n".join([*job["before_script"], *job["script"]]), **variables)
    assert done.returncode == code, done.stderr
    assert server.file["PIP_ASKED"].read_text().splitlines()[-1] == "edgecheck[lab]"
    quality, junit = (server.work / job["artifacts"]["reports"][name] for name in ("codequality", "junit"))
    assert quality.exists() == junit.exists() == (code < 2)
    if code < 2:
        assert [issue["severity"] for issue in json.loads(quality.read_text())] == ["critical"] * code
        assert junitparser.JUnitXml.fromfile(str(junit)).failures == code
        assert (server.work / job["artifacts"]["paths"][0] / "report.html").is_file()


@pytest.mark.parametrize(("gate", "code"), [(PASSING, 0), (FAILING, 1)])
def test_the_hooks_of_pre_commit(server, run_folder, tmp_path, gate, code):
    folder = small_run.write(tmp_path / "files")
    _, *words = small_run.command(folder)
    arguments = {
        "edgecheck-gate": [str(run_folder), "--only", *gate],
        "edgecheck-check": [*words[: words.index("--out")], *gate],
    }
    hooks = {hook["id"]: hook for hook in load(".pre-commit-hooks.yaml")}
    assert hooks.keys() == arguments.keys()
    for name, hook in hooks.items():
        done = server(f"{hook['entry']} {shlex.join(arguments[name])}")
        assert done.returncode == code, done.stderr
        assert (hook["language"], hook["pass_filenames"]) == ("python", False)
