"""What a case is: a kind, a number, and a place to work in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from attrs import field, frozen

from tests.benchmarks.faults import processes
from tests.benchmarks.faults.copies import copied_run
from tests.benchmarks.faults.material import Material
from tests.benchmarks.faults.outcomes import Outcome
from tests.benchmarks.faults.processes import RUN_LIMIT_S, Ended, Surroundings, Watch


@frozen
class Place:
    """The folder of a case, the material it copies from, and how it starts commands there."""

    folder: Path
    material: Material
    number: int = 0
    run: Path = field()

    @run.default
    def _run_folder(self) -> Path:
        return self.folder / "run"

    def fork(self, *arguments: object, watch: Watch | None = None, patch: Callable[[], object] | None = None) -> Ended:
        """Run a command of edgecheck in a fork."""
        return processes.fork(arguments, Surroundings(self.folder, watch or Watch(RUN_LIMIT_S), patch))

    def console(self, *arguments: object, watch: Watch | None = None, **env: str) -> Ended:
        """Run the installed command."""
        return processes.console(arguments, Surroundings(self.folder, watch or Watch(RUN_LIMIT_S), env=env))

    def copy_run(self) -> Path:
        """Copy the finished run into the folder of the case."""
        return copied_run(self.material.run, self.run)


Attempt = Callable[[int, Material, Path], Outcome]
Case = Callable[[Place], tuple[str, str]]


@frozen
class Kind:
    """Cases that are numbered from 0: how many, which of them the tests run, and what carries one out."""

    name: str
    count: int
    short: Sequence[int]
    attempt: Attempt


def named(kind: str, cases: Mapping[str, Case], short: Sequence[str], in_copy: bool = False) -> Kind:
    """Return a kind whose cases each have a name; where they are `in_copy`, of the finished run, it is copied first."""
    names = list(cases)

    def attempt(number: int, material: Material, folder: Path) -> Outcome:
        name, place = names[number], Place(folder, material, number)
        if in_copy:
            place.copy_run()
        return Outcome(kind, number, name, *cases[name](place))

    return Kind(kind, len(names), [names.index(name) for name in short], attempt)
