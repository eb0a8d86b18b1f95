"""Malformed ONNX files: damaged bytes, changed fields, and graphs that no exporter would write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.descriptor import FieldDescriptor
from numpy.random import Generator

from tests.benchmarks.faults import mutations, odd_graphs
from tests.benchmarks.faults.cases import Kind
from tests.benchmarks.faults.material import Material, model_of
from tests.benchmarks.faults.npz_files import checked
from tests.benchmarks.faults.outcomes import Outcome, generator, judge_refusal
from tests.benchmarks.faults.processes import Surroundings, fork

NAME = "onnx"

COMMANDS = ("check", "check", "check", "count", "layers", "bench")  # a check runs most of our code
MEMORY_SHARE = 0.2  # of the checks measure memory too, in a process of its own

SAME_TYPES = {
    FieldDescriptor.TYPE_STRING: mutations.HOSTILE_TEXTS,
    FieldDescriptor.TYPE_BYTES: (b"", b"\xff" * 9, bytes(1000), b"\x1b[31m"),
    FieldDescriptor.TYPE_INT64: (0, -1, 1, 7, 2**31, 2**62, -(2**63)),
    FieldDescriptor.TYPE_UINT64: (0, 1, 2**63),
    FieldDescriptor.TYPE_INT32: (0, -1, 1, 9, 1000, 2**31 - 1, -(2**31)),
    FieldDescriptor.TYPE_ENUM: (0, 1, 7, 10, 16, 23),
    FieldDescriptor.TYPE_FLOAT: (0.0, float("nan"), float("inf"), -1e38, 1e-45),
    FieldDescriptor.TYPE_DOUBLE: (0.0, float("nan"), float("inf"), 1e308),
}


def attempt(number: int, material: Material, folder: Path) -> Outcome:
    """Damage an ONNX file and have a command read it."""
    random = generator(NAME, number)
    source = mutations.pick(random, (material.board / "b.onnx", material.run / "baseline-int8" / "model.onnx"))
    graphs = list(odd_graphs.GRAPHS)
    if number < 2 * len(graphs):  # each of them checked, and then read by another command; they are not drawn
        way, name = "graph", graphs[number % len(graphs)]
        content = odd_graphs.GRAPHS[name](folder)
    else:
        way = mutations.pick(random, WAYS)
        name, content = WAYS[way](random, source)
    file = folder / "file.onnx"
    file.write_bytes(content)
    if way == "graph":
        source = material.board / "b.onnx"
    chosen = mutations.pick(random, COMMANDS) if number >= len(graphs) else "check"
    command = _command(random, chosen, material, file, source)
    ended = fork(command, Surroundings(folder))
    return Outcome(NAME, number, f"{way}: {name} ({command[0]})", *judge_refusal(ended), ended.seconds)


def _command(random: Generator, chosen: str, material: Material, file: Path, source: Path) -> list[object]:
    if chosen == "bench":
        return ["bench", file, "--time-budget", "0.05"]
    if chosen != "check":
        return [chosen, file]
    data = material.board / "data.npz" if source.parent == material.board else material.run / "data.npz"
    measured = random.random() < MEMORY_SHARE
    return checked(material, data, baseline=source, candidate=file, memory=measured)


def _damaged(random: Generator, path: Path) -> tuple[str, bytes]:
    return mutations.damaged(random, path.read_bytes())


def _field(random: Generator, path: Path) -> tuple[str, bytes]:
    """Change one field, somewhere in the message, to another value of its type."""
    model = _copied(path)
    message, field = mutations.pick(random, [found for found in _fields(model) if found[1].type in SAME_TYPES])
    value = mutations.pick(random, SAME_TYPES[field.type])
    name = f"{message.DESCRIPTOR.name}.{field.name} = {str(value)[:30]!r}"
    try:
        if field.is_repeated:
            items = getattr(message, field.name)
            items[int(random.integers(len(items)))] = value
        else:
            setattr(message, field.name, value)
    except (ValueError, TypeError, UnicodeEncodeError):  # not what this field may hold: clear it
        message.ClearField(field.name)
        name = f"{message.DESCRIPTOR.name}.{field.name} cleared"
    return name, model.SerializeToString()


def _cleared(random: Generator, path: Path) -> tuple[str, bytes]:
    model = _copied(path)
    message, field = mutations.pick(random, list(_fields(model)))
    message.ClearField(field.name)
    return f"{message.DESCRIPTOR.name}.{field.name}", model.SerializeToString()


def _swapped(random: Generator, path: Path) -> tuple[str, bytes]:
    """Put one message in the place of another of its type: nodes, tensors, attributes, types."""
    model = _copied(path)
    messages: dict[str, list[Any]] = {}
    for message in _messages(model):
        messages.setdefault(message.DESCRIPTOR.name, []).append(message)
    name = mutations.pick(random, [name for name, found in messages.items() if len(found) > 1])
    first, second = (mutations.pick(random, messages[name]) for _ in range(2))
    copied = type(second)()
    copied.CopyFrom(second)
    first.CopyFrom(copied)
    return name, model.SerializeToString()


def _repeated(random: Generator, path: Path) -> tuple[str, bytes]:
    """Repeat, drop or reverse the items of a list: nodes, inputs, dimensions."""
    model = _copied(path)
    message, field = mutations.pick(random, [found for found in _fields(model) if found[1].is_repeated])
    items = list(getattr(message, field.name))
    way = mutations.pick(random, ("repeat", "drop", "reverse", "many"))
    place = int(random.integers(len(items)))
    changed = {
        "repeat": [*items, items[place]],
        "drop": items[:place] + items[place + 1 :],
        "reverse": items[::-1],
        "many": items + items[place : place + 1] * 500,
    }[way]
    copies = [_copy_of(item) for item in changed]
    message.ClearField(field.name)
    getattr(message, field.name).extend(copies)
    return f"{way} {message.DESCRIPTOR.name}.{field.name}", model.SerializeToString()


def _renamed(random: Generator, path: Path) -> tuple[str, bytes]:
    """Give an operator, an edge or an attribute another name; some are of operators that want other inputs."""
    model = _copied(path)
    node = mutations.pick(random, model.graph.node)
    what = mutations.pick(random, ("op_type", "input", "output", "attribute", "domain"))
    if what in ("op_type", "domain"):
        value = mutations.pick(
            random, OPERATORS if what == "op_type" else ("", "ai.onnx.ml", "com.microsoft", "nobody")
        )
        setattr(node, what, value)
    elif what == "attribute" and node.attribute:
        value = mutations.pick(random, ("kernel_shape", "axis", "to", "body", "value", "group", ""))
        mutations.pick(random, node.attribute).name = value
    else:
        edges = node.output if what == "output" else node.input
        value = mutations.pick(random, [*(name for other in model.graph.node for name in other.output), "", "nowhere"])
        if edges:
            edges[int(random.integers(len(edges)))] = value
    return f"{what} of a {node.op_type} -> {value!r}", model.SerializeToString()


OPERATORS = ("Loop", "If", "Scan", "Conv", "Constant", "Reshape", "NonZero", "Resize", "Nobody", "", "LSTM", "Identity")

WAYS: dict[str, Callable[[Generator, Path], tuple[str, bytes]]] = {
    "bytes": _damaged,
    "field": _field,
    "cleared": _cleared,
    "swapped": _swapped,
    "list": _repeated,
    "renamed": _renamed,
}


def _copied(path: Path) -> onnx.ModelProto:
    model = onnx.ModelProto()
    model.CopyFrom(model_of(path))
    return model


def _copy_of(item: Any) -> Any:
    if not hasattr(item, "DESCRIPTOR"):
        return item
    copied = type(item)()
    copied.CopyFrom(item)
    return copied


def _messages(message: Any) -> Iterator[Any]:
    """Yield a protobuf message and all that are set inside it."""
    yield message
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for inner in value if field.is_repeated else [value]:
                yield from _messages(inner)


def _fields(message: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every field that is set, with its message."""
    for inner in _messages(message):
        for field, value in inner.ListFields():
            if not isinstance(value, np.ndarray):
                yield inner, field


KIND = Kind(NAME, 320, (6, 8, 10, 16, 28, 100, 200), attempt)
