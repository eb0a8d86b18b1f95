"""The evidence of a device as JSON and back, and what its records refuse."""

import json
import math

import pytest

from edgecheck.errors import InputError
from edgecheck.records import DeviceRun, from_dict, to_dict, to_json
from edgecheck.records.board import (
    Clock,
    Conditions,
    Energy,
    Placement,
    ProviderNodes,
    Sign,
    Temperature,
    Unread,
)

EVIDENCE = DeviceRun(
    conditions=Conditions(
        10.5,
        11,
        [Temperature("cpu-thermal", 48.3, 82.5, 80.0, 80.0), Temperature("gpu", 1, 2, 3)],
        Clock(6e8, 1.8e9, 1e9, None),
        [Sign("slow-while-hot", "cpu-thermal", 2, 0.5), Sign("throttled", "firmware", 0)],
        ["firmware", "slow-while-hot"],
        ["under-voltage"],
        [Unread("/proc/stat", "permission denied", 1)],
    ),
    energies={"baseline": Energy(None, None, 2.5, "no counter")},
    placements={
        "baseline": Placement(
            "CUDAExecutionProvider", {"CPUExecutionProvider": ProviderNodes(3, 1e-5, ["a", "b", "c"])}, 10, "assigned"
        )
    },
)


@pytest.mark.parametrize(
    "evidence", [EVIDENCE, DeviceRun(), DeviceRun(energies={"l1": Energy(1.5, "RAPL package-0", 3.0)})]
)
def test_json_and_back(evidence):
    assert from_dict(json.loads(to_json(evidence)), DeviceRun) == evidence


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("conditions", "signs", 0, "kind"), "hot"),
        (("conditions", "clock", "lowest_hz"), -1.0),
        (("conditions", "temperatures", 0, "last_celsius"), "warm"),
        (("conditions", "watched"), ["nothing"]),
        (("energies", "baseline", "joules"), -1.0),
        (("energies", "baseline", "seconds"), None),
        (("placements", "baseline", "counted"), "guessed"),
        (("placements", "baseline", "providers", "CPUExecutionProvider", "nodes"), 1.5),
        (("placements", "baseline", "more"), 1),
    ],
)
def test_what_a_device_cannot_have_told_is_refused(place, value):
    data = to_dict(EVIDENCE)
    *outer, last = place
    inside = data
    for key in outer:
        inside = inside[key]
    inside[last] = value
    with pytest.raises(InputError, match="not a DeviceRun record"):
        from_dict(data, DeviceRun)


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_temperatures_are_finite(number):
    with pytest.raises(ValueError, match="finite"):
        Temperature("cpu", number, 1, 1)


def test_throttled_is_said_only_where_something_could_show_it():
    assert Conditions(1, 2).throttled is None
    assert Conditions(1, 2, watched=["firmware"]).throttled is False
    assert Conditions(1, 2, signs=[Sign("throttled", "firmware", 1)]).throttled is True
