"""What a watcher sees who has no terminal, by a clock that only moves when it is told to."""

import contextlib
import io
import threading
from types import SimpleNamespace

import pytest
from rich.console import Console

from edgecheck.cli.lines import LEAST_S, MOST_S, Lines
from edgecheck.cli.screen import Screen, say_kept
from edgecheck.progress import Named
from edgecheck.report.format import format_duration


class Log:
    """A screen whose lines go to a list, and its clock."""

    def __init__(self):
        self.now, self.said = 0.0, []
        self.console = Console(file=io.StringIO())
        self.screen = Screen(self.console, Lines(self.said.append, lambda: self.now))

    def work(self, batches, seconds, **options):
        """Go through batches that take so many seconds each."""
        for _ in self.screen.track(batches, **options):
            self.now += seconds


class Terminal(io.StringIO):
    def isatty(self):
        return True


def epochs(count, batches):
    return [(epoch, 32) for epoch in range(1, count + 1) for _ in range(batches)]


def training(batches):
    return {
        "text": lambda batch: f"training, epoch {batch[0]}/{batches[-1][0]}",
        "total": sum(images for _, images in batches),
        "images": lambda batch: batch[1],
    }


@pytest.mark.parametrize(
    ("kept", "text"), [(0, ""), (1, "1 finished stage was reused\n"), (2, "2 finished stages were reused\n")]
)
def test_how_many_stages_were_kept(capsys, kept, text):
    say_kept(SimpleNamespace(kept=kept))
    assert capsys.readouterr().err == text


def test_a_line_an_epoch():
    log, batches = Log(), epochs(3, 4)
    log.work(batches, 4, **training(batches))  # an epoch takes 16 s, all take 48 s, 32 images 4 s
    assert log.said == [
        "training, epoch 1/3, 33 %, 8.0 images/s, 0:32 left",
        "training, epoch 2/3, 67 %, 8.0 images/s, 0:16 left",
        "training, epoch 3/3, 8.0 images/s, took 0:48",
    ]


@pytest.mark.parametrize("batch_s", [0.1, 1, 7, 29])
@pytest.mark.parametrize("batches", [1, 5, 400])
def test_neither_silent_nor_a_flood(batch_s, batches):
    log = Log()
    times = []
    log.screen = Screen(Console(file=io.StringIO()), Lines(lambda _: times.append(log.now), lambda: log.now))
    work = epochs(8, batches)
    log.work(work, batch_s, **training(work))
    gaps = [after - before for before, after in zip([0.0, *times], times, strict=False)]
    assert all(gap >= LEAST_S - 1e-6 for gap in gaps[:-1])  # the last line comes whenever the work ends
    assert all(gap <= MOST_S + batch_s for gap in gaps)
    assert bool(times) == (log.now >= LEAST_S)


def test_quick_work_is_not_told():
    log = Log()
    log.work(range(100), 0.09, text="predicting", total=100)
    assert log.said == []


def test_work_of_unknown_length():
    log = Log()
    log.work(range(40), 2, text="latency")
    assert log.said == ["latency, 0:30 so far", "latency, 1:00 so far", "latency, took 1:20"]


def test_work_left_early_keeps_quiet():
    log = Log()
    for number in log.screen.track(range(100), "training", 100):
        log.now += 8
        if number == 4:
            break
    assert log.said == ["training, 4 %, 12:48 left"]


def test_names_of_models():
    log = Log()
    named = Named(log.screen, "l1-0.40")
    for _ in named.track(epochs(2, 1), lambda batch: f"epoch {batch[0]}", 64, lambda batch: batch[1]):
        log.now += 16
    for _ in named.track([0], "predicting", 1):
        log.now += 10
    with named.busy("exporting"):
        log.now += 5
    named.note("done")
    assert log.said == [
        "l1-0.40: epoch 1, 50 %, 2.0 images/s, 0:16 left",
        "l1-0.40: epoch 2, 2.0 images/s, took 0:32",
        "l1-0.40: predicting, took 0:10",
        "l1-0.40: exporting",
        "l1-0.40: exporting, took 0:05",
    ]
    assert log.console.file.getvalue() == "l1-0.40: done\n"


def test_busy_says_that_it_goes_on(monkeypatch):
    log, twice = Log(), threading.Event()

    class Over(threading.Event):
        """Lets two periods pass at once, then waits to be set."""

        periods = 0

        def wait(self, seconds):
            self.periods += 1
            if self.periods <= 2:
                log.now += seconds
                return False
            twice.set()
            return super().wait()

    monkeypatch.setattr("edgecheck.cli.lines.Event", Over)
    with log.screen.busy("exporting"):
        assert twice.wait(timeout=60)
    assert log.said == [
        "exporting",
        "exporting, 0:30 so far",
        "exporting, 1:00 so far",
        "exporting, took 1:00",
    ]


def test_a_line_that_changes_is_told_when_it_has_and_now_and_then(monkeypatch):
    log = Log()
    texts, told = iter(["", "a", "a", "a", "b", "b", ""]), threading.Event()

    class Over(threading.Event):
        """Lets seven periods pass at once, then waits to be set."""

        periods = 0

        def wait(self, seconds):
            self.periods += 1
            if self.periods <= 7:
                log.now += seconds
                return False
            told.set()
            return super().wait()

    monkeypatch.setattr("edgecheck.cli.lines.Event", Over)
    with log.screen.follow(lambda: next(texts)):
        assert told.wait(timeout=60)
    assert log.said == ["a", "b"]


@pytest.mark.parametrize("columns", [40, 80])
def test_a_terminal_gets_the_line_cut_to_its_width(columns):
    console = Console(file=Terminal(), width=columns, _environ={"TERM": "xterm"})
    with Screen(console).follow(lambda: f"stages done: 3 | {'x' * 200}"):
        shown = console.file.getvalue()
    assert "stages done: 3 | xxx" in shown
    assert f"{'x' * (columns - 18)}…" in shown
    assert f"{'x' * (columns - 17)}" not in shown


def test_busy_ends_with_an_error():
    log, before = Log(), set(threading.enumerate())  # one left by another test may end meanwhile
    with pytest.raises(ValueError, match="wrong"), log.screen.busy("exporting"):
        raise ValueError("wrong")
    assert log.said == ["exporting"]
    assert set(threading.enumerate()) <= before


def test_lines_are_printed_while_others_are_silenced(capsys):
    screen = Screen()
    with contextlib.redirect_stderr(io.StringIO()), screen.busy("exporting [l1]"):
        pass
    assert capsys.readouterr() == ("", "exporting [l1]\n")


@pytest.mark.parametrize("options", [{}, {"NO_COLOR": "1"}])
def test_a_terminal_gets_a_bar_that_goes_away(options):
    console = Console(file=Terminal(), width=80, _environ={"TERM": "xterm", **options})
    screen = Screen(console)
    for _ in screen.track([3, 5], lambda size: f"size [{size}]", 8, lambda size: size):
        assert "size [" in console.file.getvalue()
    with screen.busy("exporting [l1]"):
        pass
    written = console.file.getvalue()
    assert "8/8" in written
    assert "exporting [l1]" in written
    assert written.endswith("\x1b[?25h\r\x1b[1A\x1b[2K")  # the cursor shown again, the last line erased
    assert ("\x1b[32m" in written) == (not options)  # the numbers are green


@pytest.mark.parametrize(
    ("file", "environment"),
    [(Terminal(), {"TERM": "dumb"}), (Terminal(), {"TERM": "unknown"}), (io.StringIO(), {"FORCE_COLOR": "1"})],
)
def test_plain_lines_where_nothing_can_be_redrawn(file, environment):
    screen = Screen(Console(file=file, width=80, _environ=environment))
    assert list(screen.track([1, 2], "predicting", 2)) == [1, 2]
    with screen.busy("exporting"):
        pass
    said = file.getvalue()
    assert "exporting" in said
    assert said.count("\n") == 1
    assert not any(code in said for code in ("\r", "\x1b[2K", "\x1b[?25l"))


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0:00"), (59.6, "1:00"), (754, "12:34"), (3599.7, "1:00:00"), (7265, "2:01:05")]
)
def test_durations(seconds, text):
    assert format_duration(seconds) == text
