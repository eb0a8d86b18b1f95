"""SIGKILL at a random moment of a run or a sweep; the same command again must end in the same report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgecheck.report.sentences import latency
from tests.benchmarks.faults.cases import Kind
from tests.benchmarks.faults.copies import leftovers, report_of
from tests.benchmarks.faults.material import Material
from tests.benchmarks.faults.outcomes import DIFFERENT, SAME, Outcome, generator, shown
from tests.benchmarks.faults.processes import RUN_LIMIT_S, Ended, Surroundings, Watch, console, end_session, fork

NAME = "kills"

SWEEP = ("--criterion", "l1", "--structure", "filters", "--rate", "0.5")
SWEEP_EVERY = 3  # so many trials, one is of a sweep
PROGRAM_EVERY = 10  # so many trials, one is of the installed command; its imports are killed too, the others' are not
PROGRAM_MORE = 1.5  # times as long as a fork it takes
SECOND_KILL_SHARE = 0.25
MOST_ATTEMPTS = 6  # a command that has ended before its kill is started afresh, to be killed earlier
# What a clock decides, in whatever part of the report.
CLOCKED_KEYS = frozenset(
    {
        "seconds",
        "timings",
        "seal",
        "digest",
        "recommendation",
        "load",
        "arena_bytes",
        "elapsed_s",
        "created",
        "command",
        "duration_s",
    }
)
CLOCKED_FILES = ".json"  # every record holds the seconds that its stage took, so its digest tells nothing
CLOCKED_METRICS = ("latency.", "memory.rss")
CLOCKED_DIAGNOSTICS = frozenset({*latency.SENTENCES, "gate-fewer-macs-slower", "gate-int8-slower", "subnormal-weights"})
CLOCKED_WORDS = ("vector units", "outliers", "kept busy", "clock", "slower", "latency", "machine's cores", "seconds")


def attempt(number: int, material: Material, folder: Path) -> Outcome:
    """Kill a run, start it again until it completes, and compare its report with that of a run left in peace."""
    random = generator(NAME, number)
    swept = _swept(number)
    start = console if number % PROGRAM_EVERY == PROGRAM_EVERY - 1 else fork
    reference, seconds = _reference(material, swept)
    seconds *= PROGRAM_MORE if start is console else 1
    run, share = folder / "run", random.random()
    kills = [_killed(start, _command(material, swept, run), folder, seconds * share)]
    for _ in range(MOST_ATTEMPTS):
        if kills[0].stopped == "killed":
            break
        share *= 0.8
        run = folder / f"run{share:.3f}"
        kills = [_killed(start, _command(material, swept, run), folder, seconds * share)]
    if random.random() < SECOND_KILL_SHARE:
        kills.append(_killed(start, _command(material, swept, run), folder, seconds * random.random() * (1 - share)))
    ended = start(_command(material, swept, run), Surroundings(folder, Watch(RUN_LIMIT_S)))
    for kill in kills:
        end_session(kill.pid)
    name = (
        f"{'sweep' if swept else 'run'}, killed {len(kills)} times, at {share:.0%}{' (program)' * (start is console)}"
    )
    problem = _problem(ended, run, reference) if kills[0].stopped == "killed" else "was never killed"
    return Outcome(NAME, number, name, DIFFERENT if problem else SAME, problem, ended.seconds)


def prepare(material: Material, numbers: Sequence[int]) -> None:
    """Make what the killed sweeps are compared with, before the cases, if there are any."""
    if any(_swept(number) for number in numbers):
        _reference(material, swept=True)


def _swept(number: int) -> bool:
    return number % SWEEP_EVERY == SWEEP_EVERY - 1


def _killed(start: Any, command: list[object], folder: Path, after_s: float) -> Ended:
    return start(command, Surroundings(folder, Watch(RUN_LIMIT_S, after_s, leave_orphans=True)))


def _command(material: Material, swept: bool, run: Path) -> list[object]:
    if swept:
        return ["sweep", material.sweep_config, *SWEEP, "--out", run]
    return ["run", material.config, "--out", run]


def _reference(material: Material, swept: bool) -> tuple[Path, float]:
    """Return a run folder nobody disturbed, and how long it took."""
    if not swept:
        return material.run, material.seconds(material.run)
    folder = material.folder / "sweep"
    if not folder.exists():
        material.make_run(_command(material, swept, folder), folder)
    return folder, material.seconds(folder)


def _problem(ended: Ended, run: Path, reference: Path) -> str:
    """Return what is wrong with a resumed run, "" for nothing."""
    if ended.code != 0:
        return f"the resumed command failed: {shown(ended)}"
    if left := leftovers(run):
        return f"left behind: {', '.join(left)}"
    files = [{path.name for path in folder.iterdir()} for folder in (run, reference)]
    if files[0] != files[1]:
        return f"other files: {sorted(files[0] ^ files[1])}"
    judged = fork(["gate", run], Surroundings(run.parent))
    if judged.code not in (0, 1):
        return f"the resumed folder is not judged as a whole one: {shown(judged)}"
    return difference(timeless(report_of(run)), timeless(report_of(reference)))


def timeless(report: Any) -> Any:
    """Return a report without what a clock decides, and what follows from that."""
    if isinstance(report, dict):
        kept = {key for key in report if key not in CLOCKED_KEYS and not str(key).endswith(CLOCKED_FILES)}
        return {key: timeless(value) for key, value in report.items() if key in kept}
    if isinstance(report, list):
        return [timeless(item) for item in report if not _clocked(item)]
    return report


def _clocked(item: Any) -> bool:
    if isinstance(item, str):
        return any(word in item for word in CLOCKED_WORDS)
    if not isinstance(item, dict):
        return False
    return str(item.get("metric", "")).startswith(CLOCKED_METRICS) or item.get("id") in CLOCKED_DIAGNOSTICS


def difference(found: Any, expected: Any, where: str = "report") -> str:
    """Return where two documents differ first, "" where they do not."""
    if type(found) is type(expected) and isinstance(found, dict | list):
        if isinstance(found, list):
            if len(found) != len(expected):
                return f"{where}: {len(found)} items in the place of {len(expected)}"
            found, expected = (dict(enumerate(items)) for items in (found, expected))
        if set(found) != set(expected):
            return f"{where}: other keys {sorted(map(str, set(found) ^ set(expected)))}"
        differences = (difference(found[key], expected[key], f"{where}.{key}") for key in found)
        return next(filter(None, differences), "")
    return (
        "" if found == expected else f"{where}: {json.dumps(found)[:100]} in the place of {json.dumps(expected)[:100]}"
    )


KIND = Kind(NAME, 100, (0,), attempt)
