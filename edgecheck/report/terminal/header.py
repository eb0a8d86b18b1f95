"""What a reader must know about a run to read its numbers: three facts, a line each."""

from __future__ import annotations

from rich.cells import cell_len

from edgecheck.metrics import METRICS
from edgecheck.records import Criterion, Report
from edgecheck.report import provenance, reasons
from edgecheck.report.format import (
    describe_cpu,
    describe_runs,
    format_count,
    format_integer,
    format_limit,
    format_value,
)
from edgecheck.report.terminal.misses import short_name
from edgecheck.report.terminal.names import cut
from edgecheck.text import plain

HASH_DIGITS = 12  # enough to distinguish files; report.json has the whole hash


def short(report: Report, room: int) -> dict[str, str]:
    """Return the subject with its data, the gate, and the machine, each in at most `room` columns."""
    subject, machine = report.subject, report.environment
    skipped = f", {format_integer(subject.skipped_images)} unreadable" if subject.skipped_images else ""
    of = "" if plain(subject.model).endswith(plain(subject.name)) else f"{subject.name}: "
    threads = format_count(machine.intra_op_threads, "thread")
    runs = [
        machine.cpu,
        "emulated" if machine.emulated else "",
        threads,
        machine.provider,
        describe_runs(machine),
        machine.system,
        provenance.moment(report.created) if report.created else "",
    ]
    return {
        "subject": cut(
            plain(f"{of}{subject.model} on {subject.dataset}, {format_integer(subject.images)} images{skipped}"), room
        ),
        "gate": _gate(report, room),
        "machine": cut(plain(", ".join(filter(None, runs))), room),
    }


def full(report: Report) -> dict[str, str]:
    """Return all facts on how the numbers of a report came about."""
    subject, machine = report.subject, report.environment
    threads = f"threads: {machine.intra_op_threads}"
    runs = [describe_cpu(machine), threads, machine.provider, describe_runs(machine), machine.system]
    return {
        "subject": f"{subject.name} ({subject.model}), weights {subject.weights_sha256[:HASH_DIGITS]}"
        f", seed {subject.seed}",
        "data": f"{subject.dataset}, {format_integer(subject.images)} images, {subject.data_sha256[:HASH_DIGITS]}"
        + (f", {format_integer(subject.skipped_images)} unreadable ones skipped" if subject.skipped_images else ""),
        "input": subject.preprocessing,
        "heatmaps": f"{subject.target_layer}, class: {subject.class_explained}" if subject.target_layer else "none",
        "gate": f"{report.policy.require} of: {'; '.join(_asked(report, c) for c in report.policy.criteria)}",
        "machine": ", ".join(filter(None, runs)),
        "tool": f"{report.tool.name} {report.tool.version}",
        **dict(provenance.facts(report)),
    }


def limit_of(report: Report, criterion: Criterion) -> str:
    """Return `>= 0.95`; of a relative limit its value in this run, where that is the same for all variants."""
    same = (criterion.metric, criterion.device, criterion.op, criterion.offset, criterion.times)
    judged = (one for one in report.verdicts if (one.metric, one.device, one.op, one.offset, one.times) == same)
    values = {one.limit for one in judged}
    if criterion.relative_to and len(values) == 1 and (value := values.pop()) is not None:
        return f"{criterion.op} {format_value(value, METRICS[criterion.metric].unit)}"
    return f"{criterion.op} {format_limit(criterion)}"


def _asked(report: Report, criterion: Criterion) -> str:
    sentence = reasons.asked(report, criterion)
    return f"{sentence} (warn)" if criterion.level == "warn" else sentence


def _gate(report: Report, room: int) -> str:
    """Return as many of the criteria as fit, and how many others there are."""
    policy = report.policy
    profile = f"profile {plain(policy.profile)}, " if policy.profile else ""
    whole = f"{profile}{'every variant' if policy.require == 'all' else 'at least one variant'}:"
    asked = [_briefly(report, criterion) for criterion in policy.criteria]
    for count in range(len(asked), 0, -1):
        more = [f"and {len(asked) - count} more"] if count < len(asked) else []
        text = f"{whole} {', '.join([*asked[:count], *more])}"
        if cell_len(text) <= room:
            return text
    return cut(f"{whole} {len(asked) or 'no'} criteria", room)


def _briefly(report: Report, criterion: Criterion) -> str:
    name = short_name(report, criterion.metric, criterion.device)
    return f"{name}{_asked(report, criterion).removeprefix(criterion.name)}"
