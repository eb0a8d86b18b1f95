"""Reads ONNX files with their external data; size and SHA-256 of both together. Every error is one line."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

import onnx
from google.protobuf.message import DecodeError
from onnx.checker import ValidationError

from edgecheck.errors import ModelError
from edgecheck.regular import MOST_ONNX_BYTES, MOST_WEIGHT_BYTES, require_regular

ZLIB_LEVEL = 6  # zlib's own default: what an over-the-air update would use
CHUNK_BYTES = 1 << 20  # large enough to make the loop overhead negligible, small enough for a board

MOST_NODES = 100_000  # ten times the largest network of timm; counting them takes seconds
MOST_SHARED = 4  # average number of tensors that may share the same bytes: tied weights are stored once

FIRST_BYTE = b"\x08"  # every writer begins with field 1, the IR version, as a varint

# Files passed by mistake, recognized by their bytes at an offset.
OTHER_FORMATS = (
    (0, b"PK\x03\x04", "a zip archive (a PyTorch checkpoint?); export the model to ONNX"),
    (0, b"\x80\x02", "a Python pickle (a PyTorch checkpoint?); export the model to ONNX"),
    (0, b"version https://git-lfs", "a Git LFS pointer; fetch the model itself with git lfs pull"),
    (0, b"\x89HDF", "an HDF5 file (Keras?); convert the model to ONNX"),
    (4, b"TFL3", "a TensorFlow Lite file; convert the model to ONNX"),
    (4, b"ORTM", "in ONNX Runtime's .ort format; give the .onnx it was made from"),
)
HEAD_BYTES = 32  # covers the longest signature


def load_model(path: str | Path) -> onnx.ModelProto:
    """Return the model of an ONNX file, external data included.

    Raises:
        ModelError: missing, a folder, unreadable, empty, of another format, truncated, without a graph or an
            output, or its external data is missing, too short or outside the folder of the file.
    """
    path = Path(path)
    model = _parse(path)
    _check_external(path, model)
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except (OSError, ValueError, ValidationError) as error:
        raise ModelError(f"{path}: its external data cannot be read ({_one_line(error)}); export it again") from None
    return model


def external_files(path: str | Path) -> list[Path]:
    """Return the files that hold the external data of an ONNX file, sorted; empty for a single-file model.

    Raises:
        ModelError: as `load_model`.
    """
    path = Path(path)
    return [_external_path(path, location) for location in _locations(_parse(path))]


def size_bytes(path: str | Path) -> int:
    """Return the bytes of an ONNX file and its external data.

    Raises:
        ModelError: as `load_model`.
    """
    return sum(file.stat().st_size for file in _all_files(path))


def zlib_bytes(path: str | Path) -> int:
    """Return the bytes of an ONNX file and its external data, each compressed with zlib (level 6).

    Raises:
        ModelError: as `load_model`.
    """
    return sum(map(_compressed_bytes, _all_files(path)))


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of an ONNX file followed by its external data: for a single file, the same as `sha256sum`.

    Raises:
        ModelError: as `load_model`.
    """
    digest = hashlib.sha256()
    for file in _all_files(path):
        for chunk in _chunks(file):
            digest.update(chunk)
    return digest.hexdigest()


def tensors(graph: onnx.GraphProto | onnx.FunctionProto) -> Iterator[onnx.TensorProto]:
    """Yield every stored tensor: initializers, tensors in attributes, and those of nested graphs."""
    if isinstance(graph, onnx.GraphProto):
        yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
    for nested in subgraphs(graph.node):
        yield from tensors(nested)


def subgraphs(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.GraphProto]:
    """Yield the graphs directly inside these nodes (the branches of If, the bodies of Loop and Scan)."""
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield attribute.g
            yield from attribute.graphs


def _parse(path: Path) -> onnx.ModelProto:
    """Return the model without its external data."""
    content = _read(path)
    try:
        model = onnx.load_model_from_string(content)
    except DecodeError:
        raise ModelError(f"{path}: {_what_instead(content)}") from None
    # Random bytes can parse as unknown fields. Opsets are stored last, so a truncated file may lack only them.
    if not model.ir_version:
        raise ModelError(f"{path}: {_what_instead(content)}")
    if not model.HasField("graph") or not model.graph.node:
        raise ModelError(f"{path}: an ONNX file without a graph; export the model again")
    if _has_too_many(model.graph.node):
        raise ModelError(f"{path}: more than {MOST_NODES:,} nodes; no classifier has so many: export it again")
    if not model.opset_import:
        raise ModelError(f"{path}: truncated ONNX file (no opset version at its end); copy or export it again")
    if not model.graph.output:
        raise ModelError(f"{path}: its graph has no output; export the model again")
    nodes = list(_every_node([*model.graph.node, *(node for function in model.functions for node in function.node)]))
    if not all(isinstance(name, str) for name in _names(model.graph, nodes)):
        raise ModelError(f"{path}: damaged ONNX file (a name in it is not text); copy or export it again")
    if not all(node.output for node in nodes):
        raise ModelError(f"{path}: damaged ONNX file (a node without an output); copy or export it again")
    return model


def _has_too_many(nodes: Sequence[onnx.NodeProto]) -> bool:
    return len(nodes) > MOST_NODES or any(_has_too_many(graph.node) for graph in subgraphs(nodes))


def _every_node(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Yield these nodes and those of their nested graphs."""
    for node in nodes:
        yield node
        for nested in subgraphs([node]):
            yield from _every_node(nested.node)


def _names(graph: onnx.GraphProto, nodes: Iterable[onnx.NodeProto]) -> Iterator[str | bytes]:
    """Yield all names. Protobuf returns a name that is not UTF-8 as bytes, which later code cannot handle."""
    yield from (value.name for value in (*graph.input, *graph.output, *graph.value_info))
    yield from (tensor.name for tensor in graph.initializer)
    for node in nodes:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)


def _read(path: Path) -> bytes:
    if path.is_dir():
        raise ModelError(f"{path}: a folder; give the .onnx file in it")
    require_regular(path, MOST_ONNX_BYTES, ModelError)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file; give an ONNX file") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
    if not content:
        raise ModelError(f"{path}: an empty file (0 bytes); copy or export it again")
    return content


def _what_instead(content: bytes) -> str:
    head = content[:HEAD_BYTES]
    for offset, magic, text in OTHER_FORMATS:
        if head[offset:].startswith(magic):
            return f"not an ONNX file but {text}"
    if head.startswith(FIRST_BYTE):
        return f"truncated or damaged ONNX file ({len(content)} bytes); copy or export it again"
    return "not an ONNX file; export the model to ONNX"


def _external(model: onnx.ModelProto) -> Iterator[dict[str, str]]:
    """Yield location, offset and length of every external tensor, if the file gives them."""
    graphs: list[onnx.GraphProto | onnx.FunctionProto] = [model.graph, *model.functions]
    for tensor in (tensor for graph in graphs for tensor in tensors(graph)):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            yield {entry.key: entry.value for entry in tensor.external_data}


def _locations(model: onnx.ModelProto) -> list[str]:
    return sorted({entries["location"] for entries in _external(model) if "location" in entries})


def _check_external(path: Path, model: onnx.ModelProto) -> None:
    """Refuse external data that is missing, too large, or claimed as a whole by many tensors."""
    sizes = {location: _external_path(path, location).stat().st_size for location in _locations(model)}
    claimed = sum(_claimed_bytes(entries, sizes) for entries in _external(model))
    if claimed > MOST_SHARED * sum(sizes.values()):
        raise ModelError(
            f"{path}: its tensors claim {claimed:,} bytes of {sum(sizes.values()):,} of external data; export it again"
        )


def _claimed_bytes(entries: dict[str, str], sizes: dict[str, int]) -> int:
    size = sizes.get(entries.get("location", ""), 0)
    length = entries.get("length", "")
    return min(int(length), size) if length.isdecimal() and int(length) else size


def _external_path(path: Path, location: str) -> Path:
    """Return the file an external tensor lives in; it must exist and lie in the folder of the model."""
    parts = PurePosixPath(location).parts + PureWindowsPath(location).parts
    if PurePosixPath(location).is_absolute() or PureWindowsPath(location).is_absolute() or ".." in parts:
        raise ModelError(
            f"{path}: its external data {location} lies outside its folder; export it with the data beside it"
        )
    file = path.parent / location
    if not file.is_file():
        raise ModelError(f"{path}: its external data {location} is missing; copy it into {path.parent}")
    require_regular(file, MOST_WEIGHT_BYTES, ModelError)
    return file


def _all_files(path: str | Path) -> list[Path]:
    return [Path(path), *external_files(path)]


def _chunks(file: Path) -> Iterator[bytes]:
    with open(file, "rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            yield chunk


def _compressed_bytes(file: Path) -> int:
    compressor = zlib.compressobj(ZLIB_LEVEL)
    return sum(len(compressor.compress(chunk)) for chunk in _chunks(file)) + len(compressor.flush())


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
