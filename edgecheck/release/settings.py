"""Under which conditions two runs were measured, and in which of them they differ. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from edgecheck.records import HOST, Criterion, Environment, Policy, Report
from edgecheck.release.change import Difference, Limit
from edgecheck.text import listed

DIGITS = 12  # of a SHA-256 in a message


def obstacles(before: Report, after: Report) -> list[Difference]:
    """Return why two runs cannot be compared: other images, preprocessing, classes or outputs."""
    first, second = before.subject, after.subject
    facts = [
        ("data", first.data_sha256[:DIGITS], second.data_sha256[:DIGITS]),
        ("preprocessing", *_preprocessing(before, after)),
        ("classes", *_lists(first.classes, second.classes)),
        ("outputs", *_lists([str(one) for one in first.outputs], [str(one) for one in second.outputs])),
    ]
    return [Difference(*fact) for fact in facts if fact[1] != fact[2]]


def _preprocessing(*reports: Report) -> list[str]:
    """Return the preprocessing of both; the digest alone decides, since equal ones can be described in other words."""
    subjects = [report.subject for report in reports]
    if len({subject.preprocessing_sha256 for subject in subjects}) == 1:
        return ["", ""]
    return [f"{subject.preprocessing} ({subject.preprocessing_sha256[:DIGITS]})" for subject in subjects]


def _lists(first: list[str], second: list[str]) -> tuple[str, str]:
    """Return two lists in short, from the first item on that differs; the same text twice if they are equal."""
    if first == second:
        return "", ""
    place = next(
        (place for place, (one, other) in enumerate(zip(first, second, strict=False)) if one != other),
        min(len(first), len(second)),
    )
    return _from(first, place), _from(second, place)


def _from(items: list[str], place: int) -> str:
    shown = f"from number {place} on {listed(items[place:])}" if items[place:] else "no more"
    return f"{len(items)} ({shown})"


def settings(before: Report, after: Report, devices: tuple[str, str]) -> list[Difference]:
    """Return the conditions that differ: device, software, seed, heatmaps, baseline."""
    machines = [_machine_of(report, device) for report, device in zip((before, after), devices, strict=True)]
    known = [_machine(one) for one in machines if one is not None]
    first, second = known if len(known) == len(machines) else ({}, {})  # nothing is known of the other one
    return list(_differing({**first, **_conditions(before, devices[0])}, {**second, **_conditions(after, devices[1])}))


def policies(before: Policy, after: Policy) -> list[Difference]:
    """Return how the criteria combine, where it differs, and waivers that only one run has."""
    return list(_differing(_rules(before), _rules(after)))


def limits(before: Policy, after: Policy) -> list[Limit]:
    """Return the criteria that the two policies do not have in common, paired by metric, device and direction."""
    first, second = _criteria(before), _criteria(after)
    changed = [place for place in {**first, **second} if first.get(place) != second.get(place)]
    return [Limit(first.get(place), second.get(place)) for place in changed]


def _differing(first: Mapping[str, str], second: Mapping[str, str]) -> Iterator[Difference]:
    for what in {**first, **second}:
        if first.get(what) != second.get(what):
            yield Difference(what, first.get(what, ""), second.get(what, ""))


def _conditions(report: Report, device: str) -> dict[str, str]:
    subject, tool = report.subject, report.tool
    baseline = next((one.sha256 or "" for one in report.variants if one.role == "baseline"), "")
    return {
        "edgecheck": f"{tool.version}, report schema {report.schema_version}",
        "file of the baseline": baseline[:DIGITS],
        "seed": str(subject.seed),
        "fine-tuning": subject.finetune,
        "target layer": subject.target_layer,
        "class explained": subject.class_explained,
        "SAM": subject.sam,
        "device": device,
    }


def _machine_of(report: Report, device: str) -> Environment | None:
    """Return the machine of a device; None for figures of another tool."""
    return report.environment if device == HOST else report.environments.get(device)


def _machine(machine: Environment) -> dict[str, str]:
    return {
        "CPU": machine.cpu,
        "CPU features": " ".join(machine.cpu_flags),
        "machine": f"{machine.machine}{', emulated' if machine.emulated else ''}",
        "execution provider": machine.provider,
        "intra-op threads": str(machine.intra_op_threads),
        "graph optimization": machine.graph_optimization,
        "images per run": str(machine.batch),
        "pace": "" if machine.pace_hz is None else f"{machine.pace_hz:g} Hz",
        "Python": machine.python,
        **machine.versions,
    }


def _rules(policy: Policy) -> dict[str, str]:
    return {
        "require": policy.require,
        "decide": policy.decide or "by metric",
        "missing": policy.missing,
        "inconclusive": policy.inconclusive,
        "waivers": listed(f"{one.metric} of {one.variant} until {one.expires}" for one in policy.waivers),
    }


def _criteria(policy: Policy) -> dict[tuple[str, str, int], Criterion]:
    """Return the criteria by metric, operator and their place among those, without where they were written."""
    found: dict[tuple[str, str, int], Criterion] = {}
    for one in policy.criteria:
        place = sum((one.name, one.op) == key[:2] for key in found)
        found[one.name, one.op, place] = Criterion(
            one.metric,
            one.op,
            one.limit,
            one.level,
            relative_to=one.relative_to,
            device=one.device,
            times=one.times,
        )
    return found
