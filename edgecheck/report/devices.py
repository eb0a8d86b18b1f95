"""The other devices of a report beside the host: how they measured, and where they differ from it beyond noise."""

from __future__ import annotations

from collections.abc import Iterator

from edgecheck.records import HOST, DeviceRun, Environment, Reading, Report, Variant
from edgecheck.records.board import Clock, Conditions
from edgecheck.report.format import (
    MISSING,
    describe_cpu,
    describe_runs,
    format_celsius,
    format_count,
    format_hertz,
    format_interval,
    format_reading,
)
from edgecheck.report.provenance import moment
from edgecheck.text import plain

# What should be the same everywhere, within the interval of its samples.
BY_INTERVAL = ("accuracy", "agreement", "latency.ratio")
# Float32 sums in another order stay below this; a larger difference of a float file needs an explanation.
LARGEST_PARITY = 1e-3

EXTERNAL = "external"
DIFFERENT, ALIKE = "Beyond noise, devices differ in:", "No device differs from the host beyond noise and rounding."
MEANING = (
    "Parity compares the outputs of a file on the device with those on the host, for the same images. Other figures "
    "differ if their 95 % intervals do not overlap; those of the host are over all test images. Differences that "
    "rounding hides are left out."
)


def label(report: Report, device: str) -> str:
    """Return `@NAME`, or `@NAME (external)` for figures of another tool."""
    run = report.devices.get(device)
    return f"@{plain(device)} ({EXTERNAL})" if run and run.external is not None else f"@{plain(device)}"


def is_external(report: Report, device: str) -> bool:
    """Return whether the figures of a device were read from a file of another tool."""
    run = report.devices.get(device)
    return run is not None and run.external is not None


def names(report: Report) -> list[str]:
    """Return the devices other than the host, in the order in which they were merged."""
    return list(dict.fromkeys([*report.environments, *report.devices]))


def facts(report: Report) -> Iterator[tuple[str, str]]:
    """Yield each device other than the host, and a line on how it measured."""
    for name in names(report):
        run, machine = report.devices.get(name, DeviceRun()), report.environments.get(name)
        known = [*_of_machine(machine), *_of_run(run)]
        yield label(report, name), ", ".join(filter(None, map(plain, known)))


def _of_machine(machine: Environment | None) -> list[str]:
    if machine is None:
        return []
    threads = f"threads: {machine.intra_op_threads}"
    runtime = machine.versions.get("onnxruntime")
    version = f"ONNX Runtime {runtime}" if runtime else ""
    return [describe_cpu(machine), machine.machine, threads, machine.provider, describe_runs(machine), version]


def _of_run(run: DeviceRun) -> list[str]:
    if run.external is not None:
        return [f"read from {run.external}, not measured by edgecheck"]
    images = format_count(run.images, "image") if run.images is not None else "synthetic images"
    when = f"measured {moment(run.created)}" if run.created else ""
    return [images, *(_of_sensors(run.conditions) if run.conditions else []), _of_counters(run), when]


def _of_sensors(seen: Conditions) -> list[str]:
    """Return the hottest zone, the clock, and whether the device was throttled, as far as they are known."""
    hottest = max(seen.temperatures, key=lambda zone: zone.highest_celsius, default=None)
    heat = f"{hottest.zone} {format_celsius(hottest.first_celsius, hottest.highest_celsius)}" if hottest else ""
    told = {True: "throttled", False: "not throttled", None: ""}[seen.throttled]
    return [heat, _of_clock(seen.clock) if seen.clock else "", told]


def _of_clock(clock: Clock) -> str:
    allowed = f" of {format_hertz(clock.allowed_hz)}" if clock.allowed_hz else ""
    return f"clock {format_hertz(clock.lowest_hz)} to {format_hertz(clock.highest_hz)}{allowed}"


def _of_counters(run: DeviceRun) -> str:
    counters = {energy.counter for energy in run.energies.values() if energy.counter}
    return f"energy by {', '.join(sorted(counters))}" if counters else ""


def titles(report: Report) -> list[str]:
    """Return the headings of `differences`."""
    return ["variant", "metric", HOST, *(label(report, name) for name in names(report))]


def differences(report: Report) -> Iterator[list[str]]:
    """Yield the cells under `titles` of every metric of a variant in which a device differs from the host."""
    devices = names(report)
    taken = {reading.key: reading for reading in report.readings}
    for variant in report.variants:
        for metric in (*BY_INTERVAL, "parity.max_abs", "parity.agreement"):
            host = taken.get((variant.name, metric, HOST))
            there = [taken.get((variant.name, metric, device)) for device in devices]
            # Parity on the host is that of a file and its twin, which is another question.
            beside = MISSING if metric.startswith("parity.") else _cell(host)
            if any(each and _differs(variant, host, each) and _cell(each) != beside for each in there):
                yield [plain(variant.name), metric, beside, *map(_cell, there)]


def _differs(variant: Variant, host: Reading | None, there: Reading) -> bool:
    if there.value is None:
        return False
    if there.metric == "parity.agreement":
        return there.value < 1
    if there.metric == "parity.max_abs":
        return there.value > LARGEST_PARITY and variant.is_float
    if host is None or host.low is None or host.high is None or there.low is None or there.high is None:
        return False
    return host.high < there.low or there.high < host.low


def _cell(reading: Reading | None) -> str:
    interval = format_interval(reading)
    return format_reading(reading) + (f" ({interval})" if interval != MISSING else "")
