"""How much faster is a sweep in 2 processes, and on Ray with 2 workers of which one is killed half-way?

python -m tests.benchmarks.executors [--json] [--epochs N] [--rates RATE ...]

The same sweep runs three times, on two cores, with one thread per stage. All readings must be equal, except those of
latency and memory. Times count from when the workers have imported PyTorch to the end of the last stage that does not
measure time; those that do are left out. The killed worker is one that trains; what it costs to replace it counts.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read by PyTorch when it is imported

import argparse
import json
import signal
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from importlib import resources
from pathlib import Path
from threading import Timer
from typing import Any

from edgecheck.config import reader
from edgecheck.pipeline.executors import executor
from edgecheck.pipeline.run import run
from edgecheck.pipeline.store import Store
from edgecheck.pipeline.work import Job, Work
from edgecheck.progress import Silent
from edgecheck.records import Report
from tests.benchmarks.warm import Warm

WORKERS = 2
GOALS = {"processes": 0.65, "ray": 0.75}
LONGEST = 4  # stages listed
NOT_COMPARED = ("latency.", "memory.rss")
CONFIG = """
model: {{factory: 'edgecheck:digits_cnn', weights: {weights}}}
data: {{dataset: digits}}
explain: {{methods: [grad-cam], pictures: 0}}
finetune: {{epochs: {epochs}}}
variants:
  - {{criterion: [l1, random], structure: unstructured, rate: {rates}}}
measure: {{latency_budget_s: 0, rss: false}}
gate: {{require: any, criteria: [sp2ps.grad-cam >= 0.95]}}
"""


class Notes(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


class Clocked:
    """Passes jobs to another executor, with its workers warm, and keeps the time.

    Args:
        inner: the executor.
        workers: how many jobs it computes at once.
        began: called when the first training begins.
    """

    def __init__(self, inner: Any, workers: int, began: Callable[[], None]) -> None:
        self.inner, self.workers, self._began = inner, workers, began
        self.trained = False
        self.started_s = self.ended_s = self._alone_s = self._excluded_s = 0.0

    @property
    def slots(self) -> int:
        return self.workers

    @property
    def seconds(self) -> float:
        return self.ended_s - self.started_s - self._excluded_s

    def __enter__(self) -> Clocked:
        self.inner.__enter__()
        with tempfile.TemporaryDirectory() as folder:
            meeting = Path(folder) / "meeting"
            meeting.mkdir()
            jobs = [Job(Work("", Warm(n, meeting, self.workers)), Path(folder)) for n in range(self.workers)]
            for future in wait([self.inner.submit(job) for job in jobs]).done:
                future.result()
        self.started_s = time.perf_counter()
        return self

    def __exit__(self, *error: Any) -> None:
        self.inner.__exit__(*error)

    def submit(self, job: Job[Any]) -> Future[Any]:
        if job.work.stage.kind == "finetune" and not self.trained:
            self.trained = True
            self._began()
        submitted = time.perf_counter()
        future: Future[Any] = self.inner.submit(job)
        future.add_done_callback(lambda _: self._done(job.work.stage.alone, submitted))
        return future

    def _done(self, alone: bool, submitted: float) -> None:
        now = time.perf_counter()
        if alone:
            self._alone_s += now - submitted
        else:
            self.ended_s, self._excluded_s = now, self._alone_s


def swept(
    folder: Path, config: Path, name: str, workers: int, began: Callable[[], None]
) -> tuple[Report, float, Notes]:
    """Run the sweep with an executor; return the report, its seconds and its notes."""
    notes = Notes()
    clocked = Clocked(executor(name, notes), workers, began)
    store = Store(folder)
    with store.attempt():
        report = run(reader.load(config), store, notes, clocked)
    return report, clocked.seconds, notes


def kill_a_worker(after_s: float) -> Callable[[], None]:
    """Return a function that kills a worker of Ray that computes, that many seconds later."""
    return Timer(after_s, lambda: os.kill(busy_workers(os.getpid())[0], signal.SIGKILL)).start


def busy_workers(ancestor: int) -> list[int]:
    """Return the descendants of a process that compute a task; Ray titles them by its function."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has just ended
            continue
    family = {ancestor}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return [pid for pid in sorted(family) if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ray::work")]


def readings(report: Report) -> dict[tuple[str, str], Any]:
    return {(r.variant, r.metric): r for r in report.readings if not r.metric.startswith(NOT_COMPARED)}


def measure(folder: Path, epochs: int, rates: list[float]) -> dict[str, Any]:
    """Run the three sweeps and compare them.

    Raises:
        AssertionError: their readings differ, or no worker was killed.
    """
    config = folder / "sweep.yaml"
    weights = resources.files("edgecheck.models") / "digits_cnn.safetensors"
    config.write_text(CONFIG.format(weights=weights, epochs=epochs, rates=rates))
    serial, serial_s, _ = swept(folder / "serial", config, "serial", 1, lambda: None)
    training_s = serial.seconds["finetune"] / (1 + 2 * len(rates))
    processes, processes_s, _ = swept(folder / "processes", config, f"processes:{WORKERS}", WORKERS, lambda: None)
    on_ray, ray_s, notes = swept(folder / "ray", config, "ray", WORKERS, kill_a_worker(training_s / 2))
    replaced = [line for line in notes.lines if line.endswith("its worker died; it is started again")]
    assert len(replaced) == 1, f"one worker is killed, not {len(replaced)}"
    assert readings(processes) == readings(serial), "other readings in processes"
    assert readings(on_ray) == readings(serial), "other readings on Ray"
    ratios = {"processes": processes_s / serial_s, "ray": ray_s / serial_s}
    return {
        "readings": len(readings(serial)),
        "equal": True,
        "killed": replaced[0],
        "seconds": {"serial": serial_s, "processes": processes_s, "ray": ray_s},
        "seconds_of_stages": {
            name: dict(list(report.seconds.items())[:LONGEST])
            for name, report in (("serial", serial), ("processes", processes), ("ray", on_ray))
        },
        "ratios": ratios,
        "goals": GOALS,
        "met": {name: ratio <= GOALS[name] for name, ratio in ratios.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON only")
    parser.add_argument("--epochs", type=int, default=10, help="of fine-tuning, per variant (%(default)s)")
    parser.add_argument("--rates", type=float, nargs="+", default=[0.2, 0.4, 0.6], help="pruning rates (%(default)s)")
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:WORKERS])
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), options.epochs, options.rates)
    print(json.dumps(result, indent=2) if options.json else "\n".join(f"{name}: {of}" for name, of in result.items()))


if __name__ == "__main__":
    main()
