"""What a watcher sees who has no terminal, by a clock that only moves when it is told to."""

import contextlib
import io
import re
import threading
from types import SimpleNamespace

import pytest
from rich.cells import cell_len
from rich.console import Console

from edgecheck.cli.lines import LEAST_S, MOST_S, Lines
from edgecheck.cli.screen import Screen, say_kept
from edgecheck.pipeline.executors.relay import Relay
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


def test_plain_lines_say_first_how_far_all_is():
    log = Log()
    with log.screen.overall(lambda: f"[{log.now:.0f} s]"):
        log.work(epochs(2, 4), 4, text=lambda batch: f"epoch {batch[0]}", total=8)
        with log.screen.busy("exporting"):
            pass
        log.screen.note("a: done")
    log.work(range(40), 1, text="latency", total=40)
    assert log.said == [
        "[16 s] epoch 1, 50 %, 0:16 left",
        "[32 s] epoch 2, took 0:32",
        "[32 s] exporting",
        "latency, 75 %, 0:10 left",
        "latency, took 0:40",
    ]
    assert log.console.file.getvalue() == "a: done\n"


def test_what_changes_all_the_time_does_not_make_more_lines():
    log = Log()
    with log.screen.overall(lambda: f"[{log.now:.0f} s]"):
        log.work(range(40), 2, text="latency")
    assert log.said == ["[30 s] latency, 0:30 so far", "[60 s] latency, 1:00 so far", "[80 s] latency, took 1:20"]


def test_work_within_work_shows_its_own_line_for_a_while():
    log = Log()
    with log.screen.overall(lambda: "[outer]"):
        with log.screen.overall(lambda: "[inner]"), pytest.raises(KeyError), log.screen.busy("a"):
            raise KeyError
        with log.screen.busy("b"):
            pass
    assert log.said == ["[inner] a", "[outer] b"]


def test_names_leave_the_line_on_all_alone():
    log = Log()
    with Named(log.screen, "l1").overall(lambda: "[1/2]"), Named(log.screen, "l1").busy("exporting"):
        pass
    assert log.said == ["[1/2] l1: exporting"]


@pytest.mark.parametrize("columns", [40, 80, 140])
def test_a_terminal_shows_how_far_all_is_above_bars_and_spinners(columns):
    console = Console(file=Terminal(), width=columns, _environ={"TERM": "xterm"})
    screen = Screen(console)
    name = "a variant of a long name, which is cut on a narrow terminal: training, epoch 3/10"
    with screen.overall(lambda: "[5/13 variants, about 2:10 left]"):
        for _ in screen.track([3, 5], name, 8, lambda size: size):
            pass
        with screen.busy(name):
            pass
        with screen.follow(lambda: name):
            pass
    frames = re.split(r"\x1b\[\?25[lh]|\x1b\[2K", console.file.getvalue())
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for frame in frames for line in frame.splitlines() if line.strip()]
    assert sum(line.startswith("[5/13 variants, about 2:10 left]") for line in lines) >= 3
    assert max(map(cell_len, lines)) <= columns
    assert any("8/8" in line for line in lines)
    assert console.file.getvalue().endswith("\x1b[?25h\r\x1b[1A\x1b[2K\x1b[1A\x1b[2K")  # both lines are erased


def test_a_line_that_is_followed_already_gets_the_one_on_all_above_it():
    console = Console(file=Terminal(), width=80, _environ={"TERM": "xterm"})
    screen = Screen(console)
    with screen.follow(lambda: "stages done: 3"), screen.overall(lambda: "[1/2]"):
        screen.note("a: done")  # redraws what stands below it
        shown = console.file.getvalue()
    assert re.search(r"a: done.*\n\[1/2\]\s+stages done: 3", re.sub(r"\x1b\[[0-9;]*[mK]", "", shown))


def test_an_interrupt_leaves_a_clean_terminal():
    console = Console(file=Terminal(), width=80, _environ={"TERM": "xterm"})
    screen = Screen(console)
    with contextlib.suppress(KeyboardInterrupt), screen.overall(lambda: "[1/2]"):
        for _ in screen.track([1, 2], "training", 2):
            raise KeyboardInterrupt
    assert console.file.getvalue().endswith("\x1b[?25h\r\x1b[1A\x1b[2K\x1b[1A\x1b[2K")


def test_a_worker_leaves_the_line_to_the_main_process():
    sent = []
    with Relay(sent.append).overall(lambda: "[1/2]"):
        pass
    assert sent == []


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
