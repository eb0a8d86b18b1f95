"""Reads a bundle that may be damaged or hostile: nothing is written before the whole archive was checked."""

from __future__ import annotations

import hashlib
import shutil
import stat
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from attrs import frozen

from edgecheck.atomic import atomic
from edgecheck.device.bundle import manifest as manifests
from edgecheck.device.bundle.manifest import MANIFEST, MOST_MANIFEST_BYTES, Manifest
from edgecheck.errors import EdgecheckError, InputError
from edgecheck.hashing import sha256
from edgecheck.regular import require_regular
from edgecheck.text import visible

_CHUNK_BYTES = 1 << 20
MOST_MEMBERS = 10_000  # five for each of a thousand variants, and room for external data
_ENCRYPTED = 0x1  # a bit of the flags
# Names that Windows gives another meaning, whatever follows the dot.
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}


@frozen
class Bundle:
    """An unpacked bundle: the archive and its SHA-256, its manifest, and the folder that holds its files."""

    path: Path
    sha256: str
    manifest: Manifest
    folder: Path

    @contextmanager
    def naming_its_files(self) -> Iterator[None]:
        """Name files in the errors of this block by their place in the archive: the folder will be gone."""
        try:
            yield
        except EdgecheckError as error:
            raise type(error)(str(error).replace(f"{self.folder}/", f"{self.path}/")) from None


def unpack(path: Path, folder: Path, elsewhere: str = "choose another -o") -> Bundle:
    """Check a bundle and write its files to a folder.

    Args:
        path: the archive.
        folder: created if it does not exist; files of the same names are replaced.
        elsewhere: how a user chooses another disk, for the message.

    Raises:
        InputError: not a bundle, of another schema version, damaged, or with members that must not be written; or the
            disk is full.
    """
    require_regular(path)
    checksum = sha256(path)
    with _understood(path), zipfile.ZipFile(path) as archive:
        members = _members(path, archive)
        manifest = _manifest(path, archive, members)
        _check_room(path, folder, sum(info.file_size for info in members.values()), elsewhere)
        for name, expected in manifest.files.items():
            _extract(path, archive, members[name], folder / name, expected)
            _refuse_bomb(path, name, folder / name)
    return Bundle(path, checksum, manifest, folder)


def verify(path: Path) -> str:
    """Check a bundle without writing anything; return the SHA-256 of the archive.

    Raises:
        InputError: as `unpack`, but for the disk.
    """
    require_regular(path)
    checksum = sha256(path)
    with _understood(path), zipfile.ZipFile(path) as archive:
        members = _members(path, archive)
        for name, expected in _manifest(path, archive, members).files.items():
            for _ in _checked(path, archive, members[name], expected):
                pass
    return checksum


def _members(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the members by name, after checking that each may be written, and that they do not overlap."""
    infos = archive.infolist()
    if len(infos) > MOST_MEMBERS:
        raise InputError(f"{path}: {len(infos):,} members; a bundle has at most {MOST_MEMBERS:,}")
    for info in infos:
        if wrong := _wrong_with(info):
            raise InputError(f"{path}: refused, its member '{visible(info.filename)}' {wrong}")
    # Without compression, members that do not overlap cannot be larger than the archive.
    if sum(info.file_size for info in infos) > path.stat().st_size:
        raise InputError(f"{path}: refused, its members overlap, or claim more bytes than the archive has")
    repeated = [name for name, count in Counter(info.filename.casefold() for info in infos).items() if count > 1]
    if repeated:
        raise InputError(f"{path}: refused, it holds '{visible(repeated[0])}' twice, or in two cases")
    return {info.filename: info for info in infos}


def _wrong_with(info: zipfile.ZipInfo) -> str:
    """Return why a member must not be written; "" if it may."""
    name, kind = info.orig_filename, stat.S_IFMT(info.external_attr >> 16)
    parts = name.split("/")
    if not name.isascii() or not name.isprintable() or any(sign in name for sign in '\\:*?"<>|'):
        return "has characters that are no part of a file name"
    if PurePosixPath(name).is_absolute() or any(part in ("", ".", "..") for part in parts):
        return "leaves the folder it is unpacked to, or is a folder"
    if any(part.partition(".")[0].lower() in _RESERVED or part.endswith((".", " ")) for part in parts):
        return "has a name that not every system can write"
    if kind not in (0, stat.S_IFREG):  # 0: the writer does not say
        return "is a link or a device"
    if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
        return "is compressed, and bundles are not"
    return "is encrypted" if info.flag_bits & _ENCRYPTED else ""


def _manifest(path: Path, archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo]) -> Manifest:
    """Read the manifest, and check that it lists exactly the other members."""
    if MANIFEST not in members:
        raise InputError(f"{path}: not a bundle: it has no {MANIFEST}; make one with `edgecheck bundle`")
    if members[MANIFEST].file_size > MOST_MANIFEST_BYTES:
        raise InputError(f"{path}: its {MANIFEST} has {members[MANIFEST].file_size:,} bytes; pack it again")
    manifest = manifests.from_text(archive.read(MANIFEST).decode(), path)
    listed, present = set(manifest.files), set(members) - {MANIFEST}
    _refuse(path, sorted(listed - present), "is missing")
    _refuse(path, sorted(present - listed), "is not in its list of files")
    return manifest


def _refuse(path: Path, names: Sequence[str], why: str) -> None:
    if names:
        raise InputError(f"{path}: {visible(names[0])} {why}; copy or pack it again")


def _check_room(path: Path, folder: Path, needed: int, elsewhere: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"{path}: needs {needed:,} bytes in {folder}, and {free:,} are free; free some, or {elsewhere}"
        )


def _extract(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, expected: str) -> None:
    """Write one member, and check its SHA-256; a file that is already there is kept if it is that one."""
    if target.is_file() and not target.is_symlink() and sha256(target) == expected:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic(target) as temporary, open(temporary, "wb") as file:
        file.writelines(_checked(path, archive, info, expected))


def _refuse_bomb(path: Path, name: str, written: Path) -> None:
    """Refuse arrays that would take more memory than they have bytes: those of a bundle are not compressed either."""
    if written.suffix != ".npz":
        return
    with zipfile.ZipFile(written) as arrays:
        inflated = sum(info.file_size for info in arrays.infolist())
    if inflated > written.stat().st_size:
        raise InputError(f"{path}: refused, {name} is compressed, and arrays of bundles are not")


def _checked(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, expected: str) -> Iterator[bytes]:
    """Yield the content of a member; raise an error at its end if its SHA-256 is another."""
    digest = hashlib.sha256()
    with archive.open(info) as source:
        while chunk := source.read(_CHUNK_BYTES):
            digest.update(chunk)
            yield chunk
    if digest.hexdigest() != expected:
        raise InputError(f"{path}: {info.filename} is damaged (its SHA-256 differs); copy or pack it again")


@contextmanager
def _understood(path: Path) -> Iterator[None]:
    """Turn what zipfile raises on a damaged or foreign file into an `InputError` of one line."""
    try:
        yield
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be unpacked ({error.strerror or error})") from None
    except Exception as error:  # zipfile raises a dozen kinds
        said = visible(" ".join(str(error).split())) or type(error).__name__
        raise InputError(f"{path}: damaged, or not a bundle ({said}); copy or pack it again") from None
