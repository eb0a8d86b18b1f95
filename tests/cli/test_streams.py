"""What reaches stdout and stderr: one line an error, nothing that steers, whatever the terminal, and no chatter."""

import os
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from edgecheck.cli.screen import Screen, show
from edgecheck.report import RENDERERS
from tests.device.small_files import write
from tests.report.conftest import renamed

# A command that does what native libraries and programmers do before they raise an error.
NOISY = """
import logging, os, sys, warnings
from edgecheck.cli import cli, main
from edgecheck.cli.screen import say
from edgecheck.errors import InputError

@cli.command()
def noisy():
    with open(os.devnull) as file:
        assert file.fileno() > 2
    os.write(2, b"libpng warning: iCCP: too short\\n")
    warnings.warn("deprecated", stacklevel=1)
    logging.getLogger("torch").warning("look")
    print("from Python", file=sys.stderr)
    raise InputError("caf\\udce9 \\x1b[31m \\u2014 \\u4e16")

main()
"""


def run(*arguments, code=NOISY, redirect="", **environment):
    """Run a command line in a process of its own; return exit code, stdout and stderr."""
    command = ["sh", "-c", f'exec "$@" {redirect}', "sh", sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, timeout=120, env={**os.environ, **environment}, check=False)
    return done.returncode, done.stdout, done.stderr


def test_an_error_stands_alone_and_debug_shows_what_libraries_say():
    code, out, err = run("noisy")
    assert (code, out) == (2, b"")
    assert err.decode() == "from Python\nedgecheck: caf\\xe9 \\x1b[31m — 世\n"
    code, out, err = run("--debug", "noisy")
    assert (code, out) == (2, b"")
    shown = err.decode()
    assert all(words in shown for words in ("libpng warning", "deprecated", "look", "Traceback", "from Python"))
    assert "\x1b" not in shown


def test_a_reader_that_has_seen_enough_is_no_error():
    long = NOISY.replace("    with open", '    [click.echo("x" * 4096) for _ in range(1000)]\n    with open')
    command = [sys.executable, "-c", "import click\n" + long, "noisy"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.read(1) == b"x"
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 2


LONG = """
import sys
from edgecheck.cli import cli, main
from edgecheck.cli.screen import Screen

@cli.command()
def long():
    for number in range(3):
        Screen().note("a note of progress " * 10_000)
    print("the result")

main()
"""


def test_work_goes_on_if_nobody_reads_its_progress():
    command = [sys.executable, "-c", LONG, "long"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr.read(1) == b"a"
        process.stderr.close()
        assert process.stdout.read() == b"the result\n"
    assert process.returncode == 0
    assert run("long", code=LONG, redirect="2>/dev/full") == (0, b"the result\n", b"")


def test_a_terminal_of_few_characters_gets_plainer_ones():
    code, _, err = run("noisy", PYTHONIOENCODING="latin-1")
    assert code == 2
    assert err == b"from Python\nedgecheck: caf\\xe9 \\x1b[31m - \\u4e16\n"
    code, _, err = run("noisy", PYTHONIOENCODING="ascii")
    assert (code, len(err.splitlines())) == (2, 2)


@pytest.mark.parametrize("redirect", ["2>&-", ">&- 2>&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_the_exit_code_tells_where_nobody_can_be_told(redirect):
    assert run("noisy", redirect=redirect) == (2, b"", b"")


def test_a_full_disk_at_stdout_is_one_line():
    code, _, err = run("doctor", redirect=">/dev/full")
    assert code == 2
    assert err.decode().splitlines() == ["edgecheck: system: No space left on device"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["checkk"], "Did you mean 'check'?"),
        (["check", "--gat", "x"], "'--gate'"),
        (["check"], "--baseline"),
        (["count"], "FILE"),
        (["count", "x.onnx", "--shape", "a"], "3,32,32"),
        (["run", "a", "b"], "unexpected extra argument"),
        (["gate", "x", "--require", "some"], "'all', 'any'"),
        (["bench", "x.onnx", "--time-budget", "nan"], "--time-budget"),
        (["count", "x.onnx", "--shape", "\x1b[31m\n"], r"\x1b[31m"),
    ],
)
def test_a_slip_on_the_command_line_is_one_line_with_the_way_to_help(edgecheck, arguments, words):
    code, out, err = edgecheck(*arguments)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert err.startswith("edgecheck: ")
    assert words in err
    assert "--help`)" in err


def test_without_a_command_the_help_is_shown_and_nothing_passes(edgecheck):
    code, _, err = edgecheck()
    assert code == 2
    assert "Usage: edgecheck" in err


@pytest.mark.parametrize("command", ["count", "bench", "layers", "doctor"])
def test_where_nothing_is_judged_there_is_no_junit(edgecheck, command):
    _, out, _ = edgecheck(command, "--help")
    assert "[terminal|json|markdown]" in out
    code, _, err = edgecheck(command, *([] if command == "doctor" else ["x.onnx"]), "--format", "junit")
    assert code == 2
    assert "'markdown'" in err


def test_names_from_files_and_paths_are_escaped(edgecheck, refused, tmp_path):
    assert r"\xff\x1b[31m b.onnx" in refused("count", f"{tmp_path}/\udcff\x1b[31m\nb.onnx")
    path = write(tmp_path / "\x1b]0;x\x07.onnx", shape=("N", 3, 16, 16))
    code, out, _ = edgecheck("count", path)
    assert code == 0
    assert r"\x1b]0;x\x07.onnx: one inference" in " ".join(out.split())
    assert "\x1b" not in out


def test_a_run_folder_that_onnx_runtime_cannot_open_is_refused_before_any_work(refused, tiny_config, tmp_path):
    assert r"\xff: is not UTF-8" in refused("run", tiny_config, "--out", f"{tmp_path}/\udcff")
    assert not list(tmp_path.iterdir())


def test_progress_notes_are_escaped(capsys):
    Screen().note("[red]a\x1b[31m\nb\u202e")
    assert capsys.readouterr().err == "[red]a\\x1b[31m b\\u202e\n"


def test_junit_on_stdout_is_ascii_and_says_the_same(capsys):
    report = renamed("Größe — 猫")
    show(report, "junit")
    found, expected = capsys.readouterr().out, RENDERERS["junit"](report)
    assert found.isascii()
    assert not expected.isascii()
    assert ElementTree.canonicalize(found) == ElementTree.canonicalize(expected)


@pytest.fixture
def completing(edgecheck, monkeypatch):
    """Ask as a shell does; return exit code and stdout."""

    def ask(instruction, *arguments, words=None):
        monkeypatch.setenv("_EDGECHECK_COMPLETE", instruction)
        if words is not None:
            monkeypatch.setenv("COMP_WORDS", words)
            monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
        return edgecheck(*arguments)

    return ask


SCRIPTS = [("bash", "complete -o"), ("zsh", "#compdef"), ("fish", "complete --no-files")]


@pytest.mark.parametrize(("shell", "words"), SCRIPTS)
def test_completion_can_be_switched_on(completing, shell, words):
    code, out, _ = completing(f"{shell}_source")
    assert code == 0
    assert words in out
    assert f"_EDGECHECK_COMPLETE={shell}_complete" in out


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("edgecheck co", ["plain,compare", "plain,count"]),
        ("edgecheck count --f", ["plain,--format"]),
        ("edgecheck gate run --format ", [f"plain,{name}" for name in RENDERERS]),
        ("edgecheck count --format ", ["plain,terminal", "plain,json", "plain,markdown"]),
        ("edgecheck count run/", ["file,run/"]),
        ("edgecheck check --size 3x --ga", ["plain,--gate"]),
    ],
)
def test_what_a_shell_is_offered(completing, words, offered):
    assert completing("bash_complete", words=words)[:2] == (0, "\n".join([*offered, ""]))


@pytest.mark.parametrize("instruction", ["bash_complete", "bash_nonsense", "nonsense", "csh_source"])
def test_completion_that_cannot_be_is_one_line(completing, instruction):
    code, out, err = completing(instruction)
    assert (code, out) == (2, "")
    assert "bash_source, zsh_source or fish_source" in err


def test_a_command_is_carried_out_whatever_the_variable_says(completing, tmp_path):
    code, out, err = completing("bash_source", "gate", tmp_path)
    assert (code, out) == (2, "")
    assert "report.json" in err
