"""Emulation as the kernel tells it, on planted /proc trees."""

import platform
import struct

import pytest

from edgecheck.device.runtime import emulation, environment
from edgecheck.device.runtime.ort import Options
from edgecheck.records import Environment, from_dict, to_dict

X86_64, AARCH64, ARM = 62, 183, 40  # e_machine in <elf.h>


@pytest.fixture
def proc(tmp_path, monkeypatch):
    """Return a function that plants what /proc shows; None for a file that is not there."""

    def plant(machine, kernel=None, guest=None, running=None):
        monkeypatch.setattr(platform, "machine", lambda: machine)
        for name, content in {"KERNEL": kernel, "GUEST": guest, "RUNNING": running}.items():
            monkeypatch.setattr(emulation, name, tmp_path / name)
            if content is not None:
                (tmp_path / name).write_bytes(content)

    return plant


def program(machine, ident=b"\x7fELF\x02\x01\x01"):
    """Return the beginning of an ELF file for a CPU."""
    return ident.ljust(16, b"\0") + struct.pack("<HH", 3, machine) + bytes(40)


@pytest.mark.parametrize(
    ("machine", "kernel", "emulated"),
    [
        ("x86_64", b"x86_64\n", False),
        ("aarch64", b"aarch64\n", False),
        ("riscv64", b"riscv64\n", False),
        ("i686", b"x86_64\n", False),
        ("armv7l", b"aarch64\n", False),
        ("armv8l", b"aarch64\n", False),
        ("aarch64", b"x86_64\n", True),
        ("armv7l", b"x86_64\n", True),
        ("x86_64", b"aarch64\n", True),
        ("riscv64", b"x86_64\n", True),
    ],
)
def test_the_kernel_tells_its_own_architecture(proc, machine, kernel, emulated):
    proc(machine, kernel)

    assert emulation.emulated() is emulated


@pytest.mark.parametrize(
    ("guest", "running", "emulated"),
    [
        (program(AARCH64), program(X86_64), True),
        (program(ARM), program(AARCH64), True),
        (program(AARCH64), program(AARCH64), False),
        (program(AARCH64), None, False),
        (None, program(X86_64), False),
        (program(AARCH64), b"", False),
        (program(AARCH64), b"#!/bin/sh", False),
        (None, None, False),
    ],
)
def test_an_older_kernel_shows_the_emulator_as_the_program_that_runs(proc, guest, running, emulated):
    proc("aarch64", None, guest, running)

    assert emulation.emulated() is emulated


@pytest.mark.parametrize(("running", "emulated"), [(program(AARCH64), True), (program(ARM), False)])
def test_a_32_bit_program_can_be_emulated_on_a_cpu_of_its_family(proc, running, emulated):
    proc("armv7l", b"aarch64\n", program(ARM), running)

    assert emulation.emulated() is emulated


def test_the_environment_and_the_identity_of_the_machine_tell_it(proc):
    proc("aarch64", b"x86_64\n")

    assert environment.describe(Options()).emulated
    assert environment.machine()["emulated"] is True


def test_a_record_of_before_is_not_of_an_emulator():
    before = to_dict(environment.describe(Options()))
    del before["emulated"]

    assert not from_dict(before, Environment).emulated
