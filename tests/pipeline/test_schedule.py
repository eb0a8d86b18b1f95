"""Lines of stages under both executors: order, sharing, failures, and what must be alone."""

import os
from itertools import combinations

import pytest

from edgecheck.errors import MeasurementError, ModelError
from edgecheck.pipeline.executors import executor
from edgecheck.pipeline.executors.relay import Board, Said
from edgecheck.pipeline.schedule import Schedule
from edgecheck.pipeline.store import Store
from edgecheck.pipeline.work import Work
from edgecheck.progress import Silent
from tests.pipeline.toys import Alone, Die, Interval, Loud, Refuse, Square

BOTH = pytest.mark.parametrize("name", ["serial", "processes:2"])


class Notes(Silent):
    def __init__(self):
        self.lines = []

    def note(self, text):
        self.lines.append(text)


def finish(folder, name, *lines, progress=None):
    store = Store(folder)
    with executor(name, progress or Silent()) as place:
        schedule = Schedule(store, place)
        return schedule.finish(schedule.start(lines)), store


def chain(variant, number):
    """Square a number twice."""
    first = yield Work(variant, Square(number))
    second = yield Work(f"{variant}-again", Square(first.outputs.value))
    return second.outputs.value


@BOTH
def test_results_come_in_the_order_of_the_lines_and_progress_reaches_the_watcher(tmp_path, name):
    notes = Notes()
    results, _ = finish(tmp_path, name, chain("a", 2.0), chain("b", 3.0), progress=notes)
    assert results == [16.0, 81.0]
    assert sorted(notes.lines)[:2] == ["a-again: squared 4.0", "a: squared 2.0"]


@BOTH
def test_equal_content_is_computed_once_and_copied(tmp_path, name):
    notes = Notes()
    finish(tmp_path, name, chain("a", 2.0), chain("b", 2.0), progress=notes)
    assert sorted(line.partition(" ")[2] for line in notes.lines) == ["squared 2.0", "squared 4.0"]
    assert (tmp_path / "b" / "square.txt").read_text() == "4.0"


@BOTH
def test_several_at_once(tmp_path, name):
    def line():
        first, second = yield Work("a", Square(2.0)), Work("b", Square(3.0))
        return first.outputs.value + second.outputs.value

    assert finish(tmp_path, name, line())[0] == [13.0]


@BOTH
def test_what_fails_is_raised_at_the_yield_and_the_other_lines_go_on(tmp_path, name):
    def careful():
        try:
            yield Work("a", Refuse())
        except ModelError as error:
            return str(error)

    assert finish(tmp_path, name, careful(), chain("b", 2.0))[0] == ["cannot be made", 16.0]
    with pytest.raises(ModelError, match="cannot be made"):
        finish(tmp_path, name, chain("b", 2.0), iter_refuse())


def iter_refuse():
    yield Work("a", Refuse())


def test_a_line_waits_for_another(tmp_path):
    with executor("serial", Silent()) as place:
        schedule = Schedule(Store(tmp_path), place)
        (first,) = schedule.start([chain("a", 2.0)])

        def second():
            return 1 + (yield first)

        assert schedule.finish(schedule.start([second()])) == [17.0]


def test_a_process_that_dies_takes_its_own_stage_with_it(tmp_path):
    def line():
        try:
            yield Work("a", Die())
        except MeasurementError as error:
            return str(error)

    results, _ = finish(tmp_path, "processes:2", line(), chain("b", 2.0), chain("c", 3.0))
    assert results == ["its worker process ended with exit code 3", 16.0, 81.0]


def test_what_is_alone_never_runs_beside_another_stage(tmp_path, tmp_path_factory):
    def line(name, *stages):
        for place, stage in enumerate(stages):
            yield Work(f"{name}{place}", stage)

    slots, meeting = 3, tmp_path_factory.mktemp("meeting")
    # These wait for each other: then all processes have started, and would begin another stage at once.
    first = [line(f"m{number}", Interval(number, meeting, slots)) for number in range(slots)]
    lines = [
        line("a", Alone(11), Interval(12)),
        line("b", Interval(13), Interval(14), Alone(15)),
        line("c", Interval(16), Alone(17), Interval(18)),
    ]
    with executor(f"processes:{slots}", Silent()) as place:
        schedule = Schedule(Store(tmp_path), place)
        schedule.finish(schedule.start(first))
        schedule.finish(schedule.start(lines))
    spans = {path.parent.name: tuple(map(float, path.read_text().split())) for path in tmp_path.glob("*/interval.txt")}
    assert len(spans) == 8 + slots
    alone = {path.parent.name for path in tmp_path.glob("*/alone.json")}
    assert len(alone) == 3
    overlaps = [(a, b) for a, b in combinations(spans, 2) if spans[a][0] < spans[b][1] and spans[b][0] < spans[a][1]]
    assert overlaps, "processes ran side by side"
    assert not [pair for pair in overlaps if alone & set(pair)]


def test_what_a_stage_prints_in_another_process_is_shown(tmp_path, capsys):
    def line():
        return (yield Work("a", Loud())).outputs.value

    assert finish(tmp_path, "processes:1", line())[0] == [1]
    assert capsys.readouterr() == ("first\nsecond \ufffd", "wrong\n")


def test_the_line_of_all_processes():
    board = Board(Silent())
    assert board.line() == ""
    board.begin(1, "b: prune-0")
    board.begin(0, "a: export")
    board.show(1, Said("b: pruning 50%"))
    assert board.line() == "stages done: 0 | a: export | b: pruning 50%"
    board.end(0)
    assert board.line() == "stages done: 1 | b: pruning 50%"
    board.end(1)
    assert board.line() == ""


def test_a_second_run_computes_nothing(tmp_path):
    finish(tmp_path, "serial", chain("a", 2.0))
    notes = Notes()
    _, store = finish(tmp_path, "processes:2", chain("a", 2.0), progress=notes)
    assert notes.lines == []
    assert store.kept == 2


def test_the_environment_of_this_process_stays_as_it_is(tmp_path, monkeypatch):
    for threads in ("3", None):
        if threads:
            monkeypatch.setenv("OMP_NUM_THREADS", threads)
        else:
            monkeypatch.delenv("OMP_NUM_THREADS")
        finish(tmp_path / str(threads), "processes:2", chain("a", 2.0), chain("b", 3.0))
        assert os.environ.get("OMP_NUM_THREADS") == threads
