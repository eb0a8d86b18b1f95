"""Files that users name: only regular files of a plausible size are opened.

A device such as /dev/zero has no end, a named pipe waits for a writer, a sparse file of a terabyte fits on any disk.
"""

from __future__ import annotations

import stat
from pathlib import Path

from edgecheck.errors import InputError

# A sweep of a thousand variants is 60 KB; parsing takes up to 20 s per MB.
MOST_YAML_BYTES = 128 << 10
# A sweep of a thousand variants has some 100 KB for each, most of them latencies and layers.
MOST_REPORT_BYTES = 512 << 20
# Protocol Buffers cannot hold more; larger models keep their weights beside the .onnx file.
MOST_ONNX_BYTES = 2 << 30
# A billion float32 weights are half of it: no classifier for an edge device comes near.
MOST_WEIGHT_BYTES = 8 << 30

_OTHERS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def require_regular(path: Path, most_bytes: int | None = None, error: type[InputError] = InputError) -> None:
    """Refuse to open what is not a regular file, or a file of too many bytes.

    A file that is missing or cannot be examined is left to the caller, who opens it and tells why that fails.

    Args:
        path: what the user named; links are followed.
        most_bytes: more than this is refused.
        error: the class to raise.

    Raises:
        InputError: or `error`, if it is a folder, a device, a pipe or a socket, or too large.
    """
    try:
        about = path.stat()
    except (OSError, ValueError):  # ValueError: a null byte in the name
        return
    if not stat.S_ISREG(about.st_mode):
        kind = _OTHERS.get(stat.S_IFMT(about.st_mode), "no regular file")
        raise error(f"{path}: {kind}; name a regular file")
    if most_bytes is not None and about.st_size > most_bytes:
        raise error(f"{path}: {about.st_size:,} bytes are too many; at most {most_bytes:,} are read")
