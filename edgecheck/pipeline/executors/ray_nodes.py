"""The nodes of a Ray cluster: what each offers, what is installed there, and which files it sees."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from attrs import evolve, field, frozen

from edgecheck import versions
from edgecheck.atomic import TEMPORARY
from edgecheck.errors import UsageError
from edgecheck.pipeline.executors import ray_entry
from edgecheck.text import error_line, listed

BOARD = "board"  # the resource of a node that may measure time
LOOK_S = 120.0  # a worker starts within 6 s on an idle node
_KINDS = (versions.PACKAGES, versions.IMAGES, versions.TRAINING, versions.EXPORT, versions.FILES)
PACKAGES = sorted({package for kind in _KINDS for package in kind})


@frozen
class Node:
    """A node and what it offers. `described` is the result of `ray_entry.look`."""

    id: str
    address: str
    cpus: float
    gpus: float
    boards: float
    described: Mapping[str, Any] = field(factory=dict)

    @property
    def machine(self) -> object:
        """The properties of its CPU that results depend on."""
        return self.described["machine"]


def usable(ray: ModuleType) -> list[Node]:
    """Return the nodes that live and offer something, that of this process first."""
    own = ray.get_runtime_context().get_node_id()
    nodes = [
        Node(
            one["NodeID"], one["NodeManagerAddress"], *(one["Resources"].get(name, 0) for name in ("CPU", "GPU", BOARD))
        )
        for one in ray.nodes()
        if one["Alive"]
    ]
    offering = [node for node in nodes if node.cpus >= 1 or node.boards >= 1]
    return sorted(offering, key=lambda node: (node.id != own, node.id))


def looked_at(ray: ModuleType, nodes: Sequence[Node], files: Sequence[Path], name: str) -> list[Node]:
    """Return the nodes with their descriptions.

    Args:
        ray: the module, connected.
        nodes: those to look at.
        files: absolute paths of files that are needed there.
        name: of the executor, for messages.

    Raises:
        UsageError: a node does not answer.
    """
    task = ray.remote(num_cpus=0, max_retries=0)(ray_entry.look)
    paths = [str(file) for file in files]
    asked = [task.options(scheduling_strategy=only(ray, node)).remote(modules(), PACKAGES, paths) for node in nodes]
    ray.wait(asked, num_returns=len(asked), timeout=LOOK_S)
    return [evolve(node, described=_answer(ray, one, node, name)) for node, one in zip(nodes, asked, strict=True)]


def only(ray: ModuleType, node: Node) -> object:
    """Return the strategy that schedules a task on a node and nowhere else."""
    return ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node.id, soft=False)


def modules() -> tuple[list[str], str]:
    """Return the search path of this process, and the folder that relative paths start from."""
    return [entry for entry in sys.path if os.path.isabs(entry)], os.getcwd()


@contextmanager
def probe(run_folder: Path) -> Iterator[Path]:
    """Yield a file in the run folder which exists within this block: a node that sees it sees the run folder."""
    path = Path(os.path.abspath(run_folder)) / f"{TEMPORARY}{secrets.token_hex(8)}"
    try:
        path.write_bytes(secrets.token_bytes(1 + secrets.randbelow(4096)))
        yield path
    finally:
        path.unlink(missing_ok=True)


def check_versions(nodes: Sequence[Node], name: str) -> None:
    """Check that all nodes have what is installed here: the key of a result names the versions of this process.

    Raises:
        UsageError: one does not.
    """
    own = versions.depended_on(PACKAGES)
    for node in nodes:
        theirs = node.described["versions"]
        others = [
            f"{package} {theirs[package] or 'missing'} (here {own[package] or 'missing'})"
            for package in ("python", "edgecheck", *PACKAGES)
            if theirs[package] != own[package]
        ]
        if others:
            raise UsageError(
                f"--executor {name}: node {node.address} has {listed(dict.fromkeys(others))}; install the same "
                "versions there"
            )
        if node.described["error"]:
            raise UsageError(
                f"--executor {name}: node {node.address}: {node.described['error']}; install edgecheck there"
            )


def check_files(nodes: Sequence[Node], files: Mapping[Path, str], name: str) -> None:
    """Check that all nodes see the files that are not sent to them.

    Args:
        nodes: the nodes.
        files: what the configuration calls each of them.
        name: of the executor, for messages.

    Raises:
        UsageError: one does not.
    """
    for node in nodes:
        for path, key in files.items():
            if not same_size(node, path):
                raise UsageError(
                    f"--executor {name}: {key}: node {node.address} does not see {path}; put it on a shared file "
                    "system, or copy it to the same path there"
                )


def same_size(node: Node, path: Path) -> bool:
    """Return whether a node sees a file of the same size, or a folder where there is one here."""
    size = node.described["sizes"].get(str(path))
    return size is not None and size == (-1 if path.is_dir() else path.stat().st_size)


def _answer(ray: ModuleType, reference: object, node: Node, name: str) -> Mapping[str, Any]:
    try:
        answer: Mapping[str, Any] = ray.get(reference, timeout=0)
    except ray.exceptions.GetTimeoutError:
        raise UsageError(f"--executor {name}: node {node.address} starts no worker within {LOOK_S:.0f} s") from None
    except ray.exceptions.RayError as error:
        raise UsageError(f"--executor {name}: node {node.address} starts no worker: {error_line(error)}") from error
    return answer
