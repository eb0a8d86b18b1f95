"""`edgecheck verify` and `attest`: are these the files that were judged, and a signed statement that they were."""

from __future__ import annotations

from pathlib import Path

import click

from edgecheck.cli import screen
from edgecheck.cli.judging import run_argument
from edgecheck.cli.options import NamedPath, listing_format_option, load_plugins, plugin_option

CHANGED = 2
FAILS = 1


@click.command(short_help="Check that files are those that a run judged.")
@run_argument
@click.argument("files", nargs=-1, type=NamedPath())
@click.option(
    "--config",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The edgecheck.yaml of the run: also compares it, its gate, its preprocessing and the test images that it "
    "names, which are read again.",
)
@click.option(
    "--attestation",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="What `edgecheck attest` wrote of the run: also compares its report, files and verdicts.",
)
@click.option(
    "--public-key",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Public key in PEM that signed the attestation. Needs edgecheck[attest].",
)
@click.option(
    "--passing",
    is_flag=True,
    help="Exit 1 if everything is unchanged, but a file does not pass the gate; without FILES, if the gate of RUN does "
    "not hold.",
)
@plugin_option
@listing_format_option
@click.pass_context
def verify(
    context: click.Context,
    run: Path,
    files: tuple[Path, ...],
    passing: bool,
    plugin_files: tuple[Path, ...],
    form: str,
    **beside: Path | None,
) -> None:
    """Check that a saved RUN is unchanged, and that FILES are models that it judged; exit 0 if so, 2 if not.

    Compares the report and everything it was made from with their digests. A file may have any name: it is known by the
    SHA-256 of its content, with its external data. A file that the gate fails is unchanged as well; its verdict is
    shown, and --passing requires it.
    """
    from edgecheck.errors import UsageError
    from edgecheck.pipeline.release import verifying
    from edgecheck.report.release.verification import listing

    if beside["public_key"] and not beside["attestation"]:
        raise UsageError("--public-key needs --attestation: name what was signed")

    load_plugins(plugin_files)
    found = verifying.verify(run, files, verifying.Beside(**beside), screen.Screen())
    screen.show_listing(listing(found), form)
    context.exit(CHANGED if not found.unchanged else FAILS if passing and not found.passes else 0)


IN_TOTO = "in-toto"


@click.command(short_help="Write what a run judged as a statement to sign.")
@run_argument
@click.option("-o", "--out", required=True, metavar="FILE", type=NamedPath(), help="File to write, such as a.json.")
@click.option(
    "--format",
    "form",
    type=click.Choice([IN_TOTO, "cyclonedx", "model-card"]),
    default=IN_TOTO,
    show_default=True,
    help="An in-toto statement; a bill of materials; or a model card for the Hugging Face Hub.",
)
@click.option(
    "--config",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The edgecheck.yaml of the run, for the statement. If git holds it in a commit older than the first "
    "measurement, the statement says that the criteria were fixed before measuring.",
)
@click.option("--url", metavar="URL", default="", help="Where the test run can be seen, for the statement.")
@click.option(
    "--key",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Unencrypted private key in PEM: writes the statement in a signed DSSE envelope. Needs edgecheck[attest].",
)
@plugin_option
def attest(
    run: Path,
    out: Path,
    form: str,
    config: Path | None,
    url: str,
    key: Path | None,
    plugin_files: tuple[Path, ...],
) -> None:
    """Write what a saved RUN judged as an in-toto statement: files and verdicts, limits, data; exit 0 when written.

    Its subjects are the passing files, by SHA-256. If none passes, they are all files that were judged, and the result
    is FAILED. Without --key it is not signed. `openssl genpkey -algorithm ed25519 -out key.pem` makes a key, and
    `openssl pkey -in key.pem -pubout -out public.pem` what `edgecheck verify --public-key` needs.
    """
    from edgecheck.atomic import write_text
    from edgecheck.errors import UsageError
    from edgecheck.pipeline.release import attesting, signing
    from edgecheck.report import RENDERERS
    from edgecheck.report.release import statement

    if form != IN_TOTO and (config or url or key):
        raise UsageError(f"--config, --url and --key belong to the in-toto statement, not to --format {form}")
    load_plugins(plugin_files)
    report = attesting.read(run)
    if form == IN_TOTO:
        text = statement.render(report, attesting.evidence(run, report, config, url, screen.say))
        text = signing.signed(text, key) if key else text
    else:
        text = RENDERERS[form](report)
    write_text(out, text)
    screen.say(f"{out}: written; {statement.status_line(report)}")
