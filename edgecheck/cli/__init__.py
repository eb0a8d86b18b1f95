"""The command line: parses arguments, calls the library, prints the result and exits. No other package prints or exits.

Command modules import heavy packages inside functions, so that `edgecheck --help` is fast.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from typing import Any

import click

from edgecheck import __version__
from edgecheck.cli import (
    attesting,
    blaming,
    checking,
    devices,
    exporting,
    inspecting,
    judging,
    merging,
    reference,
    releasing,
    running,
    scanning,
    searching,
    staging,
    streams,
    sweeping,
)
from edgecheck.cli.screen import say
from edgecheck.cli.stopping import REQUEST
from edgecheck.errors import EdgecheckError, Stopped
from edgecheck.text import error_line, visible

# The exit code that shells report for a program ended by Ctrl-C.
INTERRUPTED = 130
# The exit code of an internal error: like a failed measurement, it must not look like a passed gate.
BROKEN = 3
# The variable with which a shell requests completions.
COMPLETE = "_EDGECHECK_COMPLETE"


class _ReaderGoneError(Exception):
    """Whoever read stdout has closed it, as `| head` does."""


class _Commands(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; click itself would turn a closed pipe into an exit that looks like one by the model's code."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _ReaderGoneError from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="edgecheck")
@click.option("--debug", is_flag=True, help="Show the traceback of an error, and what libraries write to stderr.")
def cli(debug: bool) -> None:
    """Decide whether a compressed image classifier may be deployed.

    Exit codes: 0 the gate holds; 1 it does not; 2 bad usage, configuration or input; 3 could not measure.
    """


for command in (
    running.demo,
    running.run,
    sweeping.sweep,
    searching.search,
    scanning.sensitivity,
    running.init,
    checking.check,
    judging.gate,
    judging.report,
    devices.bundle,
    devices.device,
    merging.merge,
    releasing.compare,
    releasing.history,
    attesting.verify,
    attesting.attest,
    inspecting.count,
    inspecting.bench,
    inspecting.layers,
    blaming.blame,
    staging.train,
    staging.prune,
    exporting.export,
    staging.cam,
    reference.metrics,
    reference.criteria,
    reference.schema,
    inspecting.doctor,
):
    cli.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code; errors are one line on stderr, with --debug after a traceback."""
    words = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in words
    with streams.prepared(debug):
        code = _run([word for word in words if word != "--debug"], debug)
    sys.exit(code)


def _run(words: list[str], debug: bool) -> int:
    try:
        if COMPLETE in os.environ and not words:
            return _complete(os.environ[COMPLETE])
        # Completion is handled above: click would run it for any arguments, and exit.
        code = cli.main(args=words, prog_name="edgecheck", complete_var="", standalone_mode=False, obj=words)
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except click.ClickException as error:
        code = _misused(error)
    except (click.Abort, KeyboardInterrupt):
        code = _interrupted()
    except Stopped as stop:
        code = _stopped(stop)
    except _ReaderGoneError:
        # Redirect stdout, or Python reports the error again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = EdgecheckError.exit_code
    except Exception as error:
        # After a signal, an exception is a consequence of the signal, not an error to report.
        asked = REQUEST.asked
        code = _explain(error, debug) if asked is None else _ended(asked)
    except BaseException as error:  # a user's network may call sys.exit(0), which must not look like a verdict
        code = _say(f"the code of the model or of a plugin ended the program ({type(error).__name__}: {error})", BROKEN)
    return code or 0


def _ended(signal_number: int) -> int:
    return _interrupted() if signal_number == signal.SIGINT else _stopped(Stopped(signal_number))


def _interrupted() -> int:
    return _say("interrupted; finished stages are kept, and the same command resumes", INTERRUPTED)


def _stopped(stop: Stopped) -> int:
    return _say(f"stopped by {stop}; finished stages are kept", stop.exit_code)


def _complete(instruction: str) -> int:
    """Print what a shell requests: the script that enables completion, or the completions of a line."""
    from click.shell_completion import shell_complete

    with contextlib.suppress(LookupError, ValueError):  # called by a person, without a line to complete
        if shell_complete(cli, {}, "edgecheck", COMPLETE, instruction) == 0:
            return 0
    return _say(f"{COMPLETE}={instruction}: expected bash_source, zsh_source or fish_source", EdgecheckError.exit_code)


def _misused(error: click.ClickException) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return EdgecheckError.exit_code
    context = getattr(error, "ctx", None)
    hint = f" (see `{context.command_path} --help`)" if context else ""
    return _say(error.format_message() + hint, EdgecheckError.exit_code)


def _explain(error: Exception, debug: bool) -> int:
    if debug:
        for line in traceback.format_exc().splitlines():
            click.echo(visible(line), err=True)
    if isinstance(error, EdgecheckError):
        return _say(str(error), error.exit_code)
    if isinstance(error, OSError):
        return _say(f"{error.filename or 'system'}: {error.strerror or error}", EdgecheckError.exit_code)
    if place := _plugin_of(error):
        return _say(f"a plugin fails: {error_line(error)} ({place})", EdgecheckError.exit_code)
    if isinstance(error, MemoryError):
        return _say("out of memory; set data.limit or a smaller batch", BROKEN)
    return _say(f"internal error: {type(error).__name__}: {error} (add --debug and please report it)", BROKEN)


def _plugin_of(error: Exception) -> str:
    """Return the line of a plugin that an error comes from, or nothing."""
    plugins = sys.modules.get("edgecheck.plugins")  # where it was never imported, no plugin was
    return plugins.place_of(error) if plugins else ""


def _say(text: str, code: int) -> int:
    with contextlib.suppress(OSError):  # if stderr cannot be written, the exit code remains
        say(f"edgecheck: {text}")
    return code
