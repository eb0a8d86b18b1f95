"""`ray` and `ray:ADDRESS`: stages as tasks of Ray, on this machine or on an existing cluster.

A task that loses its worker is started once more; then its stage fails. Nodes that see the run folder read and write
there; if one does not, files are sent to it and back.
"""

from __future__ import annotations

import itertools
import os
import pickle
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread
from types import ModuleType, TracebackType
from typing import Any

from attrs import frozen

from edgecheck.atomic import write_bytes
from edgecheck.config.plan import Plan
from edgecheck.config.reader import is_file_factory
from edgecheck.errors import EdgecheckError, MeasurementError, UsageError
from edgecheck.pipeline.executors import ray_cluster, ray_entry, ray_nodes, ray_places
from edgecheck.pipeline.executors.processes import THREADS
from edgecheck.pipeline.executors.ray_parcel import Answered, Parcel, pack
from edgecheck.pipeline.executors.relay import Board
from edgecheck.pipeline.work import Computed, Job
from edgecheck.progress import Watcher
from edgecheck.text import error_line

LOOKED_S = 0.5  # between two looks whether a task has said something, and whether the run has ended
PATIENCE_S = 60.0  # a node that was lost may come back within this time
RETRIES = 1


@frozen(eq=False)
class _Task:
    """A job on its way: its number on the board, and the options and arguments of its task."""

    number: int
    name: str
    options: Mapping[str, Any]
    parcel: Parcel
    contents: Sequence[object]


class Ray:
    """Computes jobs on the nodes of a cluster, which is started or connected to when the executor is entered."""

    slots = 1  # until the cluster is known

    def __init__(self, address: str, progress: Watcher) -> None:
        self._address, self._progress = address, progress
        self._board = Board(progress)
        self._stack = ExitStack()
        self._ending = Event()
        self._followers: list[Thread] = []
        self._numbers = itertools.count()
        self._sent: dict[tuple[str, int, int], object] = {}  # files in the object store, by path, size and time
        self._ray: ModuleType
        self._places: ray_places.Places | None = None
        self._seen = True  # all nodes see the run folder

    @classmethod
    def of(cls, argument: str, progress: Watcher) -> Ray:
        """Return the executor; the argument is the address of a cluster, "" to start one on this machine.

        Raises:
            UsageError: the address is invalid.
            DependencyError: Ray is not installed.
        """
        ray_cluster.check_address(argument)
        ray_cluster.require()
        return cls(argument, progress)

    @property
    def _name(self) -> str:
        return ray_cluster.named(self._address)

    @property
    def _threads(self) -> int:
        given = os.environ.get(THREADS, "")
        return max(1, int(given)) if given.isdecimal() else 1

    def __enter__(self) -> Ray:
        """Start or connect to the cluster.

        Raises:
            UsageError: nothing answers at the address, or Ray refuses the connection.
        """
        with self._progress.busy(f"{'connecting to' if self._address else 'starting'} Ray"):
            self._ray = self._stack.enter_context(ray_cluster.connected(self._address, str(self._threads)))
        self._board.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all tasks; unfinished stages are lost, finished ones are kept."""
        with self._stack:  # entered last, ends last
            self._ending.set()
            self._board.close()
            for follower in self._followers:  # Ray must not end while one waits for it
                follower.join()

    def check(self, plan: Plan, run_folder: Path) -> None:
        """Check that the stages of a plan can be computed on the nodes.

        Raises:
            UsageError: they cannot.
        """
        places = self._look(run_folder, _outside(plan))
        options = {"num_cpus": plan.compute.threads or places.threads, "num_gpus": places.gpus(plan.compute)}
        if lacking := places.lacking(options):
            raise UsageError(
                f"--executor {self._name}: compute: a stage needs {lacking} on one node, which no node offers; change "
                "compute in the configuration, or add such a node"
            )

    def submit(self, job: Job[Any]) -> Future[Computed[Any]]:
        """Start a job as a task."""
        places = self._places or self._look(job.run_folder, {})
        work, parcel = job.work, pack(job, self._seen)
        name = f"{work.variant}: {work.stage.name}" if work.variant else work.stage.name
        contents = [self._content(Path(os.path.abspath(job.run_folder)) / file) for file in parcel.needed]
        task = _Task(next(self._numbers), name, places.options(self._ray, work.stage), parcel, contents)
        future: Future[Computed[Any]] = Future()
        self._board.begin(task.number, name)
        follower = Thread(target=self._follow, args=(task, job.run_folder, future), daemon=True)
        self._followers = [thread for thread in self._followers if thread.is_alive()] + [follower]
        follower.start()
        return future

    def _look(self, run_folder: Path, files: Mapping[Path, str]) -> ray_places.Places:
        """Look at all nodes and check what is there."""
        with ray_nodes.probe(run_folder) as probe, self._progress.busy("looking at the nodes of Ray"):
            found = ray_nodes.usable(self._ray)
            nodes = ray_nodes.looked_at(self._ray, found, [probe, *files], self._name)
            blind = [node.address for node in nodes if not ray_nodes.same_size(node, probe)]
        ray_nodes.check_versions(nodes, self._name)
        ray_nodes.check_files(nodes, files, self._name)
        if blind:
            self._progress.note(f"{blind[0]} does not see {run_folder}: files are sent to all nodes and back")
        self._seen = not blind
        self._places = ray_places.arranged(nodes, self._threads, self._name)
        self.slots = self._places.slots
        return self._places

    def _content(self, path: Path) -> object:
        """Return a reference to the content of a file, which is put into the object store once."""
        about = path.stat()
        known = str(path), about.st_size, about.st_mtime_ns
        if known not in self._sent:
            self._sent[known] = self._ray.put(path.read_bytes())
        return self._sent[known]

    def _follow(self, task: _Task, run_folder: Path, future: Future[Computed[Any]]) -> None:
        """Show the progress of a task until it answers; start it once more if its worker is lost."""
        try:
            answer = self._retried(task, run_folder)
        except Exception as error:  # nobody else would hear of it
            answer = error if isinstance(error, EdgecheckError) else MeasurementError(f"Ray: {error_line(error)}")
        self._board.end(task.number)
        if isinstance(answer, BaseException):
            future.set_exception(answer)
        else:
            future.set_result(answer)

    def _retried(self, task: _Task, run_folder: Path) -> Any:
        for attempt in range(1 + RETRIES):
            try:
                answered = self._watched(task)
            except self._losses() as error:
                if attempt == RETRIES:
                    raise MeasurementError(f"its worker {_how(error)}, twice") from error
                self._progress.note(f"{task.name}: its worker {_how(error)}; it is started again")
            else:
                for name, content in answered.files.items():
                    write_bytes(run_folder / name, content)
                return answered.answer

    def _watched(self, task: _Task) -> Answered:
        """Start a task and show its messages until it answers."""
        ray = self._ray
        # Ray's own retries count a lack of memory separately, without a limit, and cannot replay what was said.
        remote = ray.remote(num_returns="streaming", max_retries=0, **task.options)(ray_entry.work)
        stream = remote.remote(ray_nodes.modules(), pickle.dumps(task.parcel), *task.contents)
        idle_s = 0.0
        while not self._ending.is_set():
            ready, _ = ray.wait([stream], timeout=LOOKED_S)
            if not ready:
                idle_s = 0.0 if self._has_room(task) else idle_s + LOOKED_S
                if idle_s > PATIENCE_S:
                    raise MeasurementError("no node of the cluster is left that could compute it")
                continue
            for message in ray.get(next(stream)):
                if isinstance(message, Answered):
                    return message
                self._board.show(task.number, message)
        ray.cancel(stream, force=True)
        raise MeasurementError("the run was ended")

    def _has_room(self, task: _Task) -> bool:
        """Return whether a node is left that offers what a task asks for."""
        places = ray_places.Places(tuple(ray_nodes.usable(self._ray)), 1, None, None)
        return not places.lacking({"num_cpus": 0, **task.options})

    def _losses(self) -> tuple[type[Exception], ...]:
        errors = self._ray.exceptions
        return errors.WorkerCrashedError, errors.NodeDiedError, errors.LocalRayletDiedError, errors.OutOfMemoryError


def _how(error: Exception) -> str:
    kind = type(error).__name__
    told = {"OutOfMemoryError": "was ended because memory ran out", "WorkerCrashedError": "died"}
    return told.get(kind, "was lost with its node")


def _outside(plan: Plan) -> dict[Path, str]:
    """Return the files outside the run folder that stages read, with their keys in the configuration."""
    named: list[tuple[str, Path | None]] = [("data.root", plan.data.root)]
    if plan.model is not None:
        named.append(("model.weights", plan.model.weights))
        if is_file_factory(plan.model.factory):
            named.append(("model.factory", Path(plan.model.factory.rpartition(":")[0])))
    named += [("plugins", path) for path in plan.plugins]
    return {Path(os.path.abspath(path)): key for key, path in named if path is not None and path.exists()}
