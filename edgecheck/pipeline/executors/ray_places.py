"""Which nodes of a Ray cluster may compute a stage."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

from attrs import frozen

from edgecheck.config.plan import Compute
from edgecheck.device.runtime import environment
from edgecheck.errors import UsageError
from edgecheck.pipeline.executors.ray_nodes import BOARD, Node, only
from edgecheck.pipeline.stage import Stage


@frozen
class Places:
    """The nodes of a run.

    `threads` is how many a stage uses unless it says otherwise. Readings belong to the CPU of this machine: where not
    all nodes have such a CPU, they are taken on the node `own` alone. Time is measured on the node `timing`, None if
    any.
    """

    nodes: tuple[Node, ...]
    threads: int
    own: Node | None
    timing: Node | None

    @property
    def slots(self) -> int:
        """How many stages can be computed at once."""
        return max(1, sum(int(node.cpus // self.threads) for node in self.nodes))

    def options(self, ray: ModuleType, stage: Stage[Any]) -> dict[str, Any]:
        """Return the resources that the task of a stage asks for."""
        timed = stage.alone and self.timing is not None
        node = self.timing if timed else self.own if getattr(stage, "machine", None) else None
        asked: dict[str, Any] = {"scheduling_strategy": only(ray, node)} if node else {}
        if timed and node and node.boards:
            return {**asked, "num_cpus": 0, "resources": {BOARD: 1}}
        compute = compute_of(stage)
        return {**asked, "num_cpus": compute.threads or self.threads, "num_gpus": self.gpus(compute)}

    def gpus(self, compute: Compute) -> int:
        """Return how many GPUs are asked for: with `auto` as many as training uses, if there are so many."""
        there = any(node.gpus >= compute.processes for node in self.nodes)
        return compute.processes if compute.device == "cuda" or (compute.device == "auto" and there) else 0

    def lacking(self, options: dict[str, Any]) -> str:
        """Return what no node offers of what a task asks for, such as `2 GPUs`; "" if one offers all."""
        cpus, gpus = options["num_cpus"], options.get("num_gpus", 0)
        if any(node.cpus >= cpus and node.gpus >= gpus for node in self.nodes):
            return ""
        return " and ".join(
            f"{number} {what}{'s' * (number > 1)}" for number, what in ((cpus, "CPU"), (gpus, "GPU")) if number
        )


def arranged(nodes: Sequence[Node], threads: int, name: str) -> Places:
    """Choose the nodes that take readings and measure time.

    Args:
        nodes: the nodes of a cluster, that of this process first.
        threads: how many a stage uses.
        name: of the executor, for messages.

    Raises:
        UsageError: no node has enough CPUs, or those that should measure have another CPU than this machine.
    """
    machine = environment.machine()
    alike = [node for node in nodes if node.machine == machine]
    measuring = [node for node in alike if node.cpus >= threads]
    boards = [node for node in nodes if node.boards >= 1]
    if not any(node.cpus >= threads for node in nodes):
        most = max((node.cpus for node in nodes), default=0)
        raise UsageError(
            f"--executor {name}: a stage needs {threads} CPUs on one node, but no node offers more than {most:g}; set "
            "OMP_NUM_THREADS, or start Ray with more"
        )
    if boards and not (boards := [node for node in boards if node in alike]):
        raise UsageError(f"--executor {name}: the nodes that offer `{BOARD}` have {_OTHER}")
    if not measuring:
        raise UsageError(
            f"--executor {name}: no node with CPUs to offer has the CPU of this machine, and all have {_OTHER}"
        )
    own = None if len(alike) == len(nodes) else measuring[0]
    return Places(tuple(nodes), threads, own, boards[0] if boards else measuring[0] if len(nodes) > 1 else None)


_OTHER = "another CPU than this machine, which readings are recorded for; start edgecheck on a node that may measure"


def compute_of(stage: Stage[Any]) -> Compute:
    """Return where PyTorch computes in a stage. Fields of these names mean the same in all stages."""
    given = {name: getattr(stage, name) for name in ("device", "threads", "processes") if hasattr(stage, name)}
    return Compute(**{"device": "cpu", **given})
