"""The terminal front end: parses, calls, prints, exits; the only part that does.

Command modules import nothing heavy at the top, so that `edgecheck --help` answers at once.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback

import click

from edgecheck import __version__
from edgecheck.cli import checking, inspecting, judging, running, staging, sweeping
from edgecheck.errors import EdgecheckError, Stopped

# What a shell reports for a program ended by Ctrl-C.
INTERRUPTED = 130
# A slip of ours is no measurement either: nothing may pass because of it.
BROKEN = 3


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="edgecheck")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
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
    staging.train,
    staging.prune,
    staging.export,
    staging.cam,
    inspecting.doctor,
):
    cli.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code; errors are one line on stderr unless --debug is given."""
    words = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in words
    try:
        code = cli.main(args=[word for word in words if word != "--debug"], standalone_mode=False)
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except click.ClickException as error:
        error.show()
        code = EdgecheckError.exit_code
    except (click.Abort, KeyboardInterrupt):
        code = _say("interrupted; what was finished is kept, and the same command goes on from there", INTERRUPTED)
    except Stopped as stop:
        code = _say(f"stopped by {stop}; what was finished is kept", stop.exit_code)
    except BrokenPipeError:
        # The reader of our output went away, as `| head` does; Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = EdgecheckError.exit_code
    except Exception as error:
        code = _explain(error, debug)
    except BaseException as error:  # a user's network may call sys.exit(0), which must not look like a verdict
        code = _say(f"the model's code ended the program ({type(error).__name__}: {error})", BROKEN)
    sys.exit(code or 0)


def _explain(error: Exception, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    if isinstance(error, EdgecheckError):
        return _say(str(error), error.exit_code)
    if isinstance(error, OSError):
        return _say(f"{error.filename or 'system'}: {error.strerror or error}", EdgecheckError.exit_code)
    if isinstance(error, MemoryError):
        return _say("out of memory; set data.limit or a smaller batch", BROKEN)
    return _say(f"internal error: {type(error).__name__}: {error} (add --debug and please report it)", BROKEN)


def _say(text: str, code: int) -> int:
    with contextlib.suppress(OSError):  # where nobody can be told, the code still tells
        click.echo(f"edgecheck: {' '.join(text.split())}", err=True)
    return code
