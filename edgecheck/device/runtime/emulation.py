"""Tells whether an emulator such as qemu-user runs this process: its latency and memory are then the emulator's.

`uname`, /proc/self and in newer versions of qemu /proc/cpuinfo cannot tell: the emulator answers them for its guest.
"""

from __future__ import annotations

import platform
import re
from pathlib import Path

KERNEL = Path("/proc/sys/kernel/arch")  # the kernel's own architecture; Linux 6.1 and later
GUEST = Path("/proc/self/exe")  # emulators show the program that they run ...
RUNNING = Path("/proc/thread-self/exe")  # ... and the kernel shows the emulator

ELF = b"\x7fELF"
MACHINE = slice(18, 20)  # the field e_machine of an ELF header

# 32-bit programs run on 64-bit CPUs of the same family without translation.
FAMILIES = {"i": "x86", "x": "x86", "amd": "x86", "aarch": "arm", "armv": "arm"}


def emulated() -> bool:
    """Return whether this process is translated from the code of another CPU; False if unknown (no /proc)."""
    kernel = _read(KERNEL).decode(errors="replace").strip()
    if kernel and _family(kernel) != _family(platform.machine()):
        return True
    guest, running = _read(GUEST, MACHINE.stop), _read(RUNNING, MACHINE.stop)
    return guest.startswith(ELF) and running.startswith(ELF) and guest[MACHINE] != running[MACHINE]


def _family(machine: str) -> str:
    """Return the family of a machine name of `uname`: x86 for i686 and x86_64, arm for armv7l and aarch64."""
    found = re.match("[a-z]*", machine.lower())
    letters = found.group() if found else ""
    return FAMILIES.get(letters, letters)


def _read(path: Path, size: int = -1) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError:
        return b""
