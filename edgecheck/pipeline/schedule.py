"""Runs lines of work: each requests its stages in turn, and all lines share one executor.

A *line* is a generator, for example for all work on one variant. It yields the work that it needs next and receives the
result:

    def line(...) -> Line[float]:
        pruned = yield Work("l1-0.40", PruneNetwork(...))
        predicted, explained = yield Work("l1-0.40", Predict(...)), Work("l1-0.40", Explain(...))
        ...
        return accuracy

Works in a tuple may be computed in parallel. A line may also yield another started line, to wait for its result. An
error of a stage is raised at the `yield`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, Generic, TypeVar

from attrs import frozen

from edgecheck.config.plan import Plan
from edgecheck.pipeline.store import Identified, Store
from edgecheck.pipeline.work import Checking, Computed, Executor, Job, Work

Result = TypeVar("Result")
Line = Generator[Any, Any, Result]
Name = tuple[str, str]  # variant and key of a work

PENDING = object()


@frozen(eq=False)
class _Failed:
    error: BaseException


class Started(Generic[Result]):
    """A started line."""

    def __init__(self, line: Line[Result]) -> None:
        self._line = line
        self._single = True  # it yielded one work, not a tuple
        self.wanted: tuple[Any, ...] = ()
        self.begun = self.over = False
        self._result: Result | None = None
        self.error: Exception | None = None

    @property
    def result(self) -> Result:
        """The return value of the line; raises its error."""
        if self.error is not None:
            raise self.error
        return self._result  # type: ignore[return-value]

    def advance(self, answers: list[Any]) -> None:
        """Resume until the next yield, with the answers to everything that is `wanted`."""
        try:
            wanted = self._next(answers)
            self._single = not isinstance(wanted, tuple)
            self.wanted = (wanted,) if self._single else wanted
        except StopIteration as stop:
            self._result, self.over = stop.value, True
        except Exception as error:
            self.error, self.over = error, True
        self.begun = True

    def _next(self, answers: list[Any]) -> Any:
        if not self.begun:
            return next(self._line)
        failed = next((answer for answer in answers if isinstance(answer, _Failed)), None)
        if failed is not None:
            return self._line.throw(failed.error)
        return self._line.send(answers[0] if self._single else tuple(answers))


class Schedule:
    """Lines, the executor that computes their stages, and the store of the results.

    Lines started earlier have priority. A stage that is `alone` waits until nothing else runs, and blocks all others
    until it is done.
    """

    def __init__(self, store: Store, executor: Executor) -> None:
        self._store, self._executor = store, executor
        self._lines: list[Started[Any]] = []
        self._running: dict[Future[Computed[Any]], Identified[Any]] = {}
        self._absent: set[Name] = set()  # known not to be in the store
        self._failed: dict[Name, _Failed] = {}
        self._draining = False  # a stage that must run alone waits for the others to end

    def check(self, plan: Plan) -> None:
        """Check that the executor can compute the stages of a plan.

        Raises:
            EdgecheckError: it cannot.
        """
        if isinstance(self._executor, Checking):
            self._executor.check(plan, self._store.folder)

    def start(self, lines: Iterable[Line[Result]]) -> list[Started[Result]]:
        """Add lines; nothing is computed before `finish`."""
        begun = [Started(line) for line in lines]
        self._lines += begun
        return begun

    def finish(self, lines: Iterable[Started[Result]]) -> list[Result]:
        """Compute until these lines are done, and return their results.

        Raises:
            Exception: the error of one of them.
        """
        awaited = list(lines)
        while not all(line.over for line in awaited):
            self._pass()
            for line in awaited:
                if line.error is not None:
                    raise line.error
            if self._running:
                self._collect()
        return [line.result for line in awaited]

    def _pass(self) -> None:
        """Advance every line as far as possible, the earliest first."""
        self._draining = False
        for line in [line for line in self._lines if not line.over]:
            while not line.over and (line.begun or self._free):
                answers = [self._answer(wanted) for wanted in line.wanted]
                if any(answer is PENDING for answer in answers):
                    break
                line.advance(answers)
                line.wanted = () if line.over else tuple(map(self._named, line.wanted))

    @property
    def _free(self) -> bool:
        """Whether another stage may start."""
        alone = any(work.stage.alone for work in self._running.values())
        return len(self._running) < self._executor.slots and not alone and not self._draining

    def _named(self, wanted: Work[Any] | Started[Any]) -> Identified[Any] | Started[Any]:
        """Return work with its key, which is computed only once."""
        return wanted if isinstance(wanted, Started) else self._store.identify(wanted.variant, wanted.stage)

    def _answer(self, wanted: Identified[Any] | Started[Any]) -> Any:
        """Return the result of a work or a line, or PENDING; starts the work if possible."""
        if isinstance(wanted, Started):
            if not wanted.over:
                return PENDING
            return wanted.result if wanted.error is None else _Failed(wanted.error)
        name = wanted.variant, wanted.key
        if name in self._failed:
            return self._failed[name]
        # The store may have the result under another variant; then it is copied to this one.
        if any(wanted.key == running.key for running in self._running.values()):
            return PENDING
        if name not in self._absent and (done := self._store.find(wanted)):
            return done
        self._absent.add(name)
        return self._begin(wanted)

    def _begin(self, work: Identified[Any]) -> Any:
        if not self._free or (work.stage.alone and self._running):
            self._draining |= work.stage.alone
            return PENDING
        self._store.path(work.variant)  # creates the folder before another process writes to it
        future = self._executor.submit(Job(Work(work.variant, work.stage), self._store.folder))
        self._running[future] = work
        return self._take(future) if future.done() else PENDING

    def _collect(self) -> None:
        """Wait until a stage is done."""
        done, _ = wait(self._running, return_when=FIRST_COMPLETED)
        for future in done:
            self._take(future)

    def _take(self, future: Future[Computed[Any]]) -> Any:
        """Store the result of a stage, or note that it failed."""
        work = self._running.pop(future)
        self._absent = {(variant, key) for variant, key in self._absent if key != work.key}
        error = future.exception()
        if error is not None:
            failed = self._failed[work.variant, work.key] = _Failed(error)
            return failed
        computed = future.result()
        return self._store.keep(work, computed.outputs, computed.seconds)
