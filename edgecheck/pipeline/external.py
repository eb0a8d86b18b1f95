"""Figures that other tools measured on a device, from a CSV file: TensorRT, TFLite, a power meter."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import attrs

from edgecheck.errors import ConfigError, InputError, UsageError
from edgecheck.gate.sentence import factor
from edgecheck.metrics import find
from edgecheck.pipeline.merge import Measured
from edgecheck.records import HOST, DeviceRun, Reading, reading
from edgecheck.records.checks import DEVICE_NAME
from edgecheck.regular import require_regular

COLUMNS = ("variant", "metric", "value")
MOST_BYTES = 16 << 20  # a thousand variants with all metrics take 5 MB

_VALUE = re.compile(r"([-+]?[\d.]+(?:e[-+]?\d+)?)\s*(\S*)", re.IGNORECASE | re.ASCII)


def of_csv(path: Path, device: str) -> Measured:
    """Return the figures in a CSV file with the columns `variant`, `metric` and `value`.

    A value is written as the limit of a criterion is, `12.4 ms` or `91.7 %`.

    Raises:
        InputError: the file cannot be read, or a line of it is no reading.
        UsageError: `device` is no name of a device.
    """
    if not DEVICE_NAME.fullmatch(device) or device == HOST:
        raise UsageError(f"--device {device}: not a name that a device can have; write letters and digits")
    require_regular(path, MOST_BYTES)
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            readings = list(_readings(path, csv.reader(file, strict=True), device))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path}: not a readable CSV file ({error})") from None
    if not readings:
        raise InputError(f"{path}: holds no readings; write a line {','.join(COLUMNS)} and one line for each reading")
    return Measured(device, path, DeviceRun(external=path.name), readings, [])


def _readings(path: Path, lines: Iterator[list[str]], device: str) -> Iterator[Reading]:
    heading = [cell.strip() for cell in next(lines, [])]
    if heading != list(COLUMNS):
        raise InputError(f"{path}:1: the first line must be {','.join(COLUMNS)}")
    seen: set[tuple[str, str]] = set()
    for number, cells in enumerate(lines, 2):
        if not any(cell.strip() for cell in cells):
            continue
        where = f"{path}:{number}"
        if len(cells) != len(COLUMNS):
            raise InputError(f"{where}: {len(cells)} cells, not {len(COLUMNS)}")
        variant, metric, value = (cell.strip() for cell in cells)
        if (variant, metric) in seen:
            raise InputError(f"{where}: {metric} of {variant} stands there twice")
        seen.add((variant, metric))
        yield attrs.evolve(_reading(where, variant, metric, value), device=device)


def _reading(where: str, variant: str, metric: str, value: str) -> Reading:
    try:
        known = find(metric)
        number, unit = _parts(value)
        scale = factor(unit, known, value)
    except ConfigError as error:
        raise InputError(f"{where}: {error}") from None
    return reading(variant, metric, number * scale)


def _parts(value: str) -> tuple[float, str]:
    """Return the number and the unit of `2.4 ms`."""
    match = _VALUE.fullmatch(value)
    try:
        return float(match[1] if match else ""), match[2] if match else ""
    except ValueError:
        raise ConfigError(f"{value!r} is not a number, or a number and its unit") from None
