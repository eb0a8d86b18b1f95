"""Check that a file named by the user is a regular file of plausible size before it is opened.

Reading a device such as /dev/zero never ends, a named pipe blocks, and a sparse file may claim a terabyte.
"""

from __future__ import annotations

import stat
from pathlib import Path

from edgecheck.errors import InputError

# A configuration with a thousand variants has 60 kB; parsing takes up to 20 s per MB.
MOST_YAML_BYTES = 128 << 10
# A report has about 100 kB per variant, mostly latencies and layers, and a sweep may have a thousand variants.
MOST_REPORT_BYTES = 512 << 20
# The limit of Protocol Buffers; larger models store their weights as external data.
MOST_ONNX_BYTES = 2 << 30
# Two billion float32 weights, far more than any classifier for an edge device has.
MOST_WEIGHT_BYTES = 8 << 30

_OTHERS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def require_regular(path: Path, most_bytes: int | None = None, error: type[InputError] = InputError) -> None:
    """Raise an error for anything but a regular file of at most `most_bytes`.

    A missing or inaccessible file passes: opening it raises the more precise error.

    Args:
        path: the path that the user named; links are followed.
        most_bytes: the largest size accepted; None for no limit.
        error: the class to raise.

    Raises:
        InputError: or `error`, if the path is a folder, a device, a pipe or a socket, or the file is too large.
    """
    try:
        about = path.stat()
    except (OSError, ValueError):  # ValueError: a null byte in the name
        return
    if not stat.S_ISREG(about.st_mode):
        kind = _OTHERS.get(stat.S_IFMT(about.st_mode), "not a regular file")
        raise error(f"{path}: {kind}; name a regular file")
    if most_bytes is not None and about.st_size > most_bytes:
        raise error(f"{path}: {about.st_size:,} bytes are too many; the limit is {most_bytes:,}")
