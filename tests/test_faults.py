"""A few cases of each kind of the campaign of faults, and whether the campaign tells a fault from a refusal."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.faults import kills, mutations, outcomes
from tests.benchmarks.faults.processes import Ended

CHECKOUT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def short():
    """The summary of the short campaign, in a process of its own: forks of this one would share its threads."""
    command = [sys.executable, "-m", "tests.benchmarks.faults", "--short", "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=600, cwd=CHECKOUT, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.thorough
def test_nothing_is_as_it_should_not_be(short):
    assert short["not_as_it_should_be"] == []
    assert short["campaign_errors"] == 0


@pytest.mark.thorough
def test_a_killed_run_ends_in_the_same_report(short):
    assert short["kills"]["same"] == short["kills"]["trials"] >= 1


@pytest.mark.thorough
def test_malformed_input_is_accepted_or_refused_in_one_line(short):
    counts = short["malformed"]
    assert counts["one_line"] + counts["accepted"] == counts["cases"]
    assert counts["one_line"] > counts["accepted"]
    assert {counts[name] for name in ("traceback", "internal_error", "hang", "over_memory")} == {0}
    for kind in ("onnx", "npz", "yaml", "reports", "pictures", "words"):
        assert short["kinds"][kind]["cases"] >= 4


@pytest.mark.thorough
def test_nothing_false_passes(short):
    counts = short["integrity"]
    assert counts["held"] == counts["cases"] >= 10
    assert counts["false_pass"] == 0


ENDINGS = [
    (Ended(2, "", "edgecheck: no such file\n", 0.1, 1), "one_line"),
    (Ended(3, "", "edgecheck: could not measure\n", 0.1, 1), "one_line"),
    (Ended(0, "PASS\n", "reading images\n", 0.1, 1), "accepted"),
    (Ended(1, "FAIL\n", "", 0.1, 1), "accepted"),
    (Ended(2, "", "Usage: edgecheck\n\nError: no\n", 0.1, 1), "untidy"),
    (Ended(2, "half a report\n", "edgecheck: no\n", 0.1, 1), "untidy"),
    (Ended(2, "", "libpng warning: no\nedgecheck: no\n", 0.1, 1), "untidy"),
    (Ended(2, "", "edgecheck: \x1b[31mred\n", 0.1, 1), "untidy"),
    (Ended(0, "\x9b31mred\n", "", 0.1, 1), "untidy"),
    (Ended(1, "", "Traceback (most recent call last):\n", 0.1, 1), "traceback"),
    (Ended(3, "", "edgecheck: internal error: KeyError\n", 0.1, 1), "internal_error"),
    (Ended(-9, "", "", 60.1, 1, "hang"), "hang"),
    (Ended(-9, "", "", 5.0, 5 << 30, "memory"), "over_memory"),
    (Ended(-11, "", "", 0.1, 1), "crash"),
    (Ended(7, "", "edgecheck: no\n", 0.1, 1), "untidy"),
]


@pytest.mark.parametrize(("ended", "verdict"), ENDINGS)
def test_how_a_command_ends_is_told(ended, verdict):
    assert outcomes.judge_refusal(ended)[0] == verdict


def test_a_case_is_the_same_whenever_it_is_run():
    def drawn(number):
        random = outcomes.generator("npz", number)
        return mutations.damaged(random, bytes(range(256)) * 4)

    assert drawn(3) == drawn(3)
    assert len({drawn(number) for number in range(50)}) > 45


def test_what_a_clock_decides_is_no_difference_and_the_rest_is():
    def report(accuracy, seconds):
        readings = [{"metric": "accuracy", "value": accuracy}, {"metric": "latency.p50_s", "value": seconds}]
        return {"readings": readings, "variants": [{"layers": [{"layer": "conv", "seconds": seconds}]}]}

    first, later, other = (kills.timeless(report(*pair)) for pair in ((0.9, 1.0), (0.9, 2.0), (0.8, 1.0)))
    assert kills.difference(later, first) == ""
    assert "report.readings.0.value" in kills.difference(other, first)


def test_every_surgery_changes_a_document():
    document = {"a": [1, {"b": "text"}, None], "c": {"d": 2.5, "e": [True]}}
    for number in range(200):
        changed = json.loads(json.dumps(document))
        done = mutations.operated_on(outcomes.generator("surgery", number), changed)
        assert " at " in done
