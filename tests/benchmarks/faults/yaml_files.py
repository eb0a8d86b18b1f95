"""Malformed configurations: damaged text, damaged structure, and YAML at its worst."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

from numpy.random import Generator
from ruamel.yaml import YAML

from tests.benchmarks.faults import mutations
from tests.benchmarks.faults.cases import Kind
from tests.benchmarks.faults.material import VARIANTS, Material, config
from tests.benchmarks.faults.npz_files import checked
from tests.benchmarks.faults.outcomes import Outcome, generator, judge_refusal
from tests.benchmarks.faults.processes import Surroundings, fork

NAME = "yaml"

ALIASES, WIDTH = 30, 10
DEPTH = 20_000


def attempt(number: int, material: Material, folder: Path) -> Outcome:
    """Damage a configuration and have a command read it."""
    random = generator(NAME, number)
    text = config(material.weights).replace("limit: 40", "limit: 4").replace("train_limit: 64", "train_limit: 4")
    text = text.replace("methods: [grad-cam]", "methods: []").replace("images: 16", "images: 4")
    path = folder / "edgecheck.yaml"
    if number < len(HOSTILE):  # each of them once; they are not drawn
        way, name = "hostile", list(HOSTILE)[number]
        content = HOSTILE[name](text, folder).encode("utf-8", "surrogatepass")
        command: list[object] = ["run", path, "--out", folder / "out"]
    else:
        way = mutations.pick(random, ("text", "text", "structure", "structure", "structure"))
        name, content = (_damaged_text if way == "text" else _damaged_structure)(random, text)
        command = _command(random, material, path, folder)
    path.write_bytes(content)
    ended = fork(command, Surroundings(folder))
    return Outcome(NAME, number, f"{way}: {name} ({command[0]})", *judge_refusal(ended), ended.seconds)


def _command(random: Generator, material: Material, path: Path, folder: Path) -> list[object]:
    chosen = mutations.pick(random, ("run", "check", "check", "gate", "sweep", "export"))
    if chosen == "check":
        command = checked(material, material.board / "data.npz", memory=True)
        return [*command[:-4], "--config", path, "--out", folder / "out"]  # the gate and the time are the file's
    if chosen == "gate":
        return ["gate", material.run, "--config", path]
    return [chosen, path, "--out", folder / ("out.onnx" if chosen == "export" else "out")]


def _damaged_text(random: Generator, text: str) -> tuple[str, bytes]:
    if random.random() < 0.5:
        return mutations.damaged(random, text.encode())
    lines = text.splitlines()
    place = int(random.integers(len(lines)))
    name = mutations.pick(random, LINES)
    return f"{name}, line {place + 1}", "\n".join(LINES[name](lines, place)).encode("utf-8", "surrogatepass")


LINES: dict[str, Callable[[list[str], int], list[str]]] = {
    "twice": lambda lines, at: [*lines[: at + 1], *lines[at:]],
    "gone": lambda lines, at: lines[:at] + lines[at + 1 :],
    "indented": lambda lines, at: [*lines[:at], f"   {lines[at]}", *lines[at + 1 :]],
    "tab": lambda lines, at: [*lines[:at], f"\t{lines[at]}", *lines[at + 1 :]],
    "outdented": lambda lines, at: [*lines[:at], lines[at].strip(), *lines[at + 1 :]],
    "no value": lambda lines, at: [*lines[:at], lines[at].partition(":")[0] + ":", *lines[at + 1 :]],
    "no colon": lambda lines, at: [*lines[:at], lines[at].replace(":", ""), *lines[at + 1 :]],
    "tagged": lambda lines, at: [
        *lines[:at],
        lines[at].replace(": ", ": !!python/object/apply:os.system "),
        *lines[at + 1 :],
    ],
    "aliased": lambda lines, at: [*lines[:at], lines[at].replace(": ", ": *nobody "), *lines[at + 1 :]],
    "letters": lambda lines, at: [*lines[:at], lines[at].swapcase(), *lines[at + 1 :]],
}


def _damaged_structure(random: Generator, text: str) -> tuple[str, bytes]:
    document = YAML(typ="safe", pure=True).load(text)
    done = [mutations.operated_on(random, document) for _ in range(int(random.integers(1, 3)))]
    buffer = io.StringIO()
    try:
        YAML(typ="safe", pure=True).dump(document, buffer)
        return "; ".join(done), buffer.getvalue().encode("utf-8", "surrogatepass")
    except Exception:  # not every value has a form in YAML; this one is damage enough
        return "; ".join(done), repr(document).encode("utf-8", "backslashreplace")


def _with(section: str, line: str) -> Callable[[str, Path], str]:
    """Return the configuration with a line put first into a section."""
    return lambda text, _folder: text.replace(f"{section}:\n", f"{section}:\n  {line}\n", 1)


def _set(old: str, new: str) -> Callable[[str, Path], str]:
    """Return the configuration with one line replaced, found by how it begins."""

    def change(text: str, _folder: Path) -> str:
        lines = [new if line.strip().startswith(old) else line for line in text.splitlines()]
        return "\n".join(lines) + "\n"

    return change


def _bomb(text: str, _folder: Path) -> str:
    """Lists of lists of the same list: 10**30 items in a few lines."""
    levels = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}' if i else 'x'] * WIDTH)}]" for i in range(ALIASES)]
    return "\n".join(levels) + "\n" + text.replace("name: faults", f"name: *a{ALIASES - 1}")


def _arguments_bomb(text: str, _folder: Path) -> str:
    """The same where anything may stand."""
    levels = [f"    a{i}: &a{i} [{', '.join([f'*a{i - 1}' if i else 'x'] * WIDTH)}]" for i in range(ALIASES)]
    return text.replace("model:\n", "model:\n  arguments:\n" + "\n".join(levels) + "\n", 1)


def _fifo(text: str, folder: Path) -> str:
    os.mkfifo(folder / "pipe.safetensors")
    return _set("weights:", f"  weights: {folder}/pipe.safetensors")(text, folder)


def _data_pipe(text: str, folder: Path) -> str:
    os.mkfifo(folder / "pipe.npz")
    return _set("dataset:", f"  dataset: npz\n  root: {folder}/pipe.npz")(text, folder)


def _long(text: str, _folder: Path) -> str:
    return _set("name:", f"name: {'n' * 1_000_000}")(text, _folder)


HOSTILE: dict[str, Callable[[str, Path], str]] = {
    "nothing": lambda text, _: "",
    "a comment": lambda text, _: "# nothing\n",
    "a list": lambda text, _: "- a\n- b\n",
    "a text": lambda text, _: "hello\n",
    "two documents": lambda text, _: f"{text}---\n{text}",
    "an alias bomb": _bomb,
    "an alias bomb of arguments": _arguments_bomb,
    "a list of itself": _with("model", "arguments: &me {a: *me}"),
    "a merge of itself": lambda text, _: f"x: &x\n  <<: *x\n{text}",
    "deep lists": lambda text, _: f"name: {'[' * DEPTH}",
    "deep mappings": lambda text, _: f"name: {'{a: ' * DEPTH}",
    "weights of a device": _set("weights:", "  weights: /dev/zero"),
    "weights of a device, by suffix": _set("weights:", "  weights: /dev/zero.safetensors"),
    "weights of a pipe": _fifo,
    "data of a pipe": _data_pipe,
    "data of a device": _set("dataset:", "  dataset: npz\n  root: /dev/zero"),
    "data of a folder of devices": _set("dataset:", "  dataset: folder\n  root: /dev"),
    "dates as arguments": _with("model", "arguments: {classes: 2026-11-24}"),
    "times as arguments": _with("model", "arguments: {classes: 2026-11-24T10:00:00Z}"),
    "a set as arguments": _with("model", "arguments: {classes: !!set {a, b}}"),
    "bytes as arguments": _with("model", "arguments: {classes: !!binary aGVsbG8=}"),
    "an ordered map as arguments": _with("model", "arguments: {classes: !!omap [a: 1]}"),
    "nan as arguments": _with("model", "arguments: {classes: .nan}"),
    "a huge number as arguments": _with("model", f"arguments: {{classes: {'9' * 5000}}}"),
    "a number of classes too large": _with("model", "arguments: {classes: 1000000000000}"),
    "keys that are no text": _with("model", "arguments: {1: 2, null: 3, [a]: 4}"),
    "a tag that runs code": _set("name:", "name: !!python/object/apply:os.system ['touch ran']"),
    "a tag of nobody": _set("name:", "name: !nobody x"),
    "a duplicate key": lambda text, _: f"{text}name: again\n",
    "a directive": lambda text, _: f"%YAML 9.9\n---\n{text}",
    "a byte order mark": lambda text, _: f"\ufeff{text}",
    "a surrogate": _set("name:", 'name: "\\ud800"'),
    "controls": _set("name:", 'name: "\\e[31mred\\a"'),
    "a key that acts": lambda text, _: f'"\\e[31mkey\\nedgecheck: all is well": 1\n{text}',
    "a null byte": _set("weights:", '  weights: "a\\0b.safetensors"'),
    "a long name": _long,
    "train_limit 0": _set("train_limit:", "  train_limit: 0"),
    "limit 0": _set("limit:", "  limit: 0"),
    "limit -1": _set("limit:", "  limit: -1"),
    "a seed of 2**64": lambda text, _: f"{text}seed: {2**64}\n",
    "a seed of 1e3": lambda text, _: f"{text}seed: 1e3\n",
    "images of 16384x16384": lambda text, _: f"{text}preprocessing: {{size: [16384, 16384]}}\n",
    "images of 1x1": lambda text, _: f"{text}preprocessing: {{size: [1, 1]}}\n",
    "10**6 epochs of 0": _set("epochs:", "  epochs: 0"),
    "a rate of .nan": lambda text, _: text.replace("rate: 0.5", "rate: .nan"),
    "a rate of 1e-300": lambda text, _: text.replace("rate: 0.5", "rate: 1e-300"),
    "no variants": lambda text, _: text.replace(VARIANTS, ""),
    "a gate of 10**5 characters": lambda text, _: text.replace(
        "size.bytes <= 1 MB", f"size.bytes <= {'1' * 100_000} MB"
    ),
    "a gate of spaces": lambda text, _: text.replace("size.bytes <= 1 MB", f"accuracy {' ' * 50_000}x"),
    "more images to calibrate than there are": lambda text, _: text.replace("  images: 4", "  images: 100000"),
    "a factory of a folder": _set("factory:", "  factory: /tmp:build"),
    "a factory of a device": _set("factory:", "  factory: /dev/zero:build"),
    "a factory of no module": _set("factory:", "  factory: 'edgecheck:__class__'"),
}


KIND = Kind(NAME, 170, (0, 3, 5, 11, 16, 19), attempt)
