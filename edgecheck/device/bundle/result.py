"""What a device measured of a bundle: the file that comes back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import Attribute, field, frozen

from edgecheck.device.bundle.manifest import are_rising, is_checksum, require_version
from edgecheck.documents import read_json
from edgecheck.errors import InputError
from edgecheck.hashing import digest
from edgecheck.records import HOST, Anchor, DeviceRun, Diagnostic, Environment, Reading, Tool, from_dict, to_dict
from edgecheck.records.checks import device_name, unique

SEAL = "seal"


def _of_the_device(result: Any, attribute: Any, readings: list[Reading]) -> None:
    for reading in readings:
        if reading.device != result.name or reading.variant not in result.variants:
            raise ValueError(f"{attribute.name} names {reading.variant} on {reading.device}, which was not measured")


def _measured_there(result: Any, attribute: Any, anchors: list[Anchor]) -> None:
    for anchor in anchors:
        if anchor.device != result.name:
            raise ValueError(f"{attribute.name} names the device {anchor.device}, which was not measured")


def _not_the_host(_result: object, attribute: Any, name: str) -> None:
    if name == HOST:
        raise ValueError(f"{attribute.name} is {HOST!r}, the machine of the run; choose another --name")


def _checksums(_result: object, attribute: Attribute[Any], files: dict[str, str]) -> None:
    if not all(map(is_checksum, files.values())):
        raise ValueError(f"{attribute.name} must hold the SHA-256 of each file")


def _rising(_result: object, attribute: Attribute[Any], places: list[int]) -> None:
    if not are_rising(places):
        raise ValueError(f"{attribute.name} must hold rising places")


@frozen
class Result:
    """The readings of one device.

    Attributes:
        version: the schema version of reports, whose records it holds.
        tool: the edgecheck that measured.
        name: of the device.
        variants: SHA-256 of each measured file, by name of the variant.
        data_sha256: fingerprint of all test images of the run.
        packed_sha256: fingerprint of the images that were measured.
        images: their indices in the test split of the run; empty for synthetic images.
        preprocessing_sha256: as in the report of the run.
        policy_sha256: digest of the policy that the bundle holds.
        environment: of the device.
        run: how it was measured.
        readings: of all variants on the device.
        warnings: about the measurement or a variant.
        anchors: the chance level of its heatmaps.
    """

    version: int
    tool: Tool
    name: str = field(validator=[device_name, _not_the_host])
    variants: dict[str, str] = field(validator=_checksums)
    data_sha256: str
    packed_sha256: str
    images: list[int] = field(validator=_rising)
    preprocessing_sha256: str
    policy_sha256: str
    environment: Environment
    run: DeviceRun
    readings: list[Reading] = field(validator=[unique(lambda reading: reading.key), _of_the_device])
    warnings: list[Diagnostic] = field(factory=list)
    anchors: list[Anchor] = field(factory=list, validator=_measured_there)


def to_text(result: Result) -> str:
    """Return a result as JSON, with the digest of all other content under `seal`."""
    data = to_dict(result)
    return json.dumps({**data, SEAL: digest(data)}, indent=1, allow_nan=False) + "\n"


def read(path: Path) -> Result:
    """Return the result in a file.

    Raises:
        InputError: not a result, of another schema version, or changed since it was measured.
    """
    data = read_json(path, "result", "`edgecheck device run` writes it")
    require_version(data, path, "result")
    assert isinstance(data, Mapping), "it has a version"
    content = {key: value for key, value in data.items() if key != SEAL}
    if data.get(SEAL) != digest(content):
        raise InputError(f"{path}: damaged or edited since it was measured; fetch it again")
    try:
        return from_dict(content, Result)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
