"""The terminal front end: parses, calls, prints, exits; the only part that does.

Command modules import nothing heavy at the top, so that `edgecheck --help` answers at once.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback

import click

from edgecheck import __version__
from edgecheck.cli import blaming, checking, inspecting, judging, reference, running, staging, streams, sweeping
from edgecheck.cli.screen import say
from edgecheck.cli.stopping import REQUEST
from edgecheck.errors import EdgecheckError, Stopped
from edgecheck.text import visible

# What a shell reports for a program ended by Ctrl-C.
INTERRUPTED = 130
# A slip of ours is no measurement either: nothing may pass because of it.
BROKEN = 3
# By which a shell asks for completions.
COMPLETE = "_EDGECHECK_COMPLETE"


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="edgecheck")
@click.option("--debug", is_flag=True, help="Show the traceback of an error, and what libraries write to stderr.")
def cli(debug: bool) -> None:
    """May this compressed image classifier go onto that device?

    Exit codes: 0 the gate holds; 1 it does not; 2 bad usage, configuration or input; 3 could not measure.
    """


for command in (
    running.demo,
    running.run,
    sweeping.sweep,
    running.init,
    checking.check,
    judging.gate,
    judging.report,
    inspecting.count,
    inspecting.bench,
    inspecting.layers,
    blaming.blame,
    staging.train,
    staging.prune,
    staging.export,
    staging.cam,
    reference.metrics,
    reference.criteria,
    inspecting.doctor,
):
    cli.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code; errors are one line on stderr unless --debug is given."""
    words = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in words
    with streams.prepared(debug):
        code = _run([word for word in words if word != "--debug"], debug)
    sys.exit(code)


def _run(words: list[str], debug: bool) -> int:
    try:
        if COMPLETE in os.environ and not words:
            return _complete(os.environ[COMPLETE])
        # Completion is ours: click would end the program for it, whatever the arguments ask.
        code = cli.main(args=words, prog_name="edgecheck", complete_var="", standalone_mode=False, obj=words)
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except click.ClickException as error:
        code = _misused(error)
    except (click.Abort, KeyboardInterrupt):
        code = _interrupted()
    except Stopped as stop:
        code = _stopped(stop)
    except BrokenPipeError:
        # The reader of our output went away, as `| head` does; Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = EdgecheckError.exit_code
    except Exception as error:
        # What the work made of a signal that came in the middle of it is no error of its own.
        asked = REQUEST.asked
        code = _explain(error, debug) if asked is None else _ended(asked)
    except BaseException as error:  # a user's network may call sys.exit(0), which must not look like a verdict
        code = _say(f"the model's code ended the program ({type(error).__name__}: {error})", BROKEN)
    return code or 0


def _ended(signal_number: int) -> int:
    return _interrupted() if signal_number == signal.SIGINT else _stopped(Stopped(signal_number))


def _interrupted() -> int:
    return _say("interrupted; what was finished is kept, and the same command goes on from there", INTERRUPTED)


def _stopped(stop: Stopped) -> int:
    return _say(f"stopped by {stop}; what was finished is kept", stop.exit_code)


def _complete(instruction: str) -> int:
    """Print what a shell asks for: the script that switches completion on, or the completions of a line."""
    from click.shell_completion import shell_complete

    with contextlib.suppress(LookupError, ValueError):  # asked by hand, without the line to complete
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
    if isinstance(error, MemoryError):
        return _say("out of memory; set data.limit or a smaller batch", BROKEN)
    return _say(f"internal error: {type(error).__name__}: {error} (add --debug and please report it)", BROKEN)


def _say(text: str, code: int) -> int:
    with contextlib.suppress(OSError):  # where nobody can be told, the code still tells
        say(f"edgecheck: {text}")
    return code
