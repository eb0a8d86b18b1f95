"""What is said about the conditions on a device."""

from edgecheck.device.diagnostics import throttling
from edgecheck.records.board import Conditions, Sign, Unread
from edgecheck.report.diagnostics import render


def test_a_calm_device_has_no_warning():
    assert throttling(Conditions(10, 11, watched=["firmware"])) == []


def test_a_throttled_device():
    signs = [
        Sign("throttle-count", "core_throttle_count", 3),
        Sign("under-voltage", "firmware", 1),
        Sign("throttled", "firmware", 0),
        Sign("cooling", "thermal-cpufreq-0 (cooling_device1)", 2),
        Sign("slow-while-hot", "cpu-thermal", 4, 1 / 3),
    ]
    (warning,) = throttling(Conditions(10, 11, signs=signs))

    assert (warning.id, warning.severity) == ("device-throttled", "warning")
    assert render(warning).startswith(
        "the device was throttled while it measured: core_throttle_count grew by 3; under-voltage told by the firmware "
        "in 1 sample; throttled told by the firmware between two samples; thermal-cpufreq-0 (cooling_device1) was in "
        "use in 2 samples; busy cores ran at 33 % of the allowed frequency with cpu-thermal at its trip point. "
    )


def test_what_is_not_known_is_a_note():
    unread = [Unread("/sys/class/thermal/thermal_zone*/temp", "permission denied", 2)]
    notes = throttling(Conditions(10, 11, before=["under-voltage", "throttled"], unread=unread))

    assert [(note.id, note.severity) for note in notes] == [
        ("throttling-unknown", "note"),
        ("throttled-before", "note"),
        ("sensors-unread", "note"),
    ]
    assert "had seen under-voltage, throttled:" in render(notes[1])
    assert render(notes[2]) == (
        "some sensors could not be read: /sys/class/thermal/thermal_zone*/temp (permission denied)"
    )
