"""Options that say what to judge by, and what the shell completes in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def _metrics(_context: click.Context, _option: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the metric at the beginning of a criterion."""
    from click.shell_completion import CompletionItem

    from edgecheck.metrics import METRICS

    return [CompletionItem(name, help=one.meaning) for name, one in METRICS.items() if name.startswith(incomplete)]


def _profiles(_context: click.Context, _option: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a profile that ships, or of a file of one's own."""
    from click.shell_completion import CompletionItem

    from edgecheck.config import gates

    known = [name for name in gates.profiles() if name.startswith(incomplete)]
    return [*map(CompletionItem, known), *([] if known else [CompletionItem(incomplete, type="file")])]


def gate_option(text: str) -> Decorator:
    """Return the option `--gate`; `text` says what its criteria do."""
    return click.option(
        "--gate",
        "sentences",
        metavar="CRITERION",
        multiple=True,
        shell_complete=_metrics,
        help=f"{text} Repeatable.",
    )


REPLACING = "A criterion that replaces those of the same metric and device."

profile_option: Decorator = click.option(
    "--profile",
    metavar="NAME|FILE.yaml",
    shell_complete=_profiles,
    help="Judge by a profile: paper (the limits of the paper), relative (to the noise floor), release (what "
    "models/evidence.md supports), or a file of your own. [default: the gate of the configuration or of the run, or "
    "else paper]",
)


def gate_of(profile: str | None) -> dict[str, Any]:
    """Return the section of a configuration that names a profile; nothing without one."""
    return {"gate": {"profile": profile}} if profile is not None else {}


def version_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--max-opset` and `--max-ir` to a command."""
    opset = "Newest opset that the device's ONNX Runtime supports: also a criterion, opset <= N."
    ir = "Newest IR version that it supports: also a criterion, ir_version <= N."
    for option, text in (("--max-ir", ir), ("--max-opset", opset)):
        command = click.option(option, metavar="N", type=click.IntRange(1, 100), help=text)(command)
    return command


def version_criteria(max_opset: int | None, max_ir: int | None) -> list[str]:
    """Return the criteria that `version_options` add."""
    limits = (("opset", max_opset), ("ir_version", max_ir))
    return [f"{metric} <= {limit}" for metric, limit in limits if limit is not None]


def versions_of(max_opset: int | None, max_ir: int | None) -> dict[str, Any]:
    """Return the section of a configuration with what `version_options` say; nothing without them."""
    given = {key: value for key, value in (("max_opset", max_opset), ("max_ir", max_ir)) if value is not None}
    return {"measure": given} if given else {}
