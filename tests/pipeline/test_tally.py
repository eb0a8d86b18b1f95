"""How far a run is, by a store and a clock made here."""

import pytest

from edgecheck.config.plan import VariantSpec
from edgecheck.pipeline.tally import Tally
from edgecheck.steps import FineTuneStep, PruneStep, QuantizeStep, Recipe

PRUNED = (PruneStep("l1", "filters", "global", 0.4), FineTuneStep(Recipe(), 0))
SPECS = [VariantSpec("control", (FineTuneStep(Recipe(), 0),)), *(VariantSpec(name, PRUNED) for name in "abcd")]


class Folder:
    """A store whose stages took so many seconds, one after the other or beside each other."""

    def __init__(self):
        self.now, self.spans, self.seconds = 0.0, [], {}

    def seconds_in(self, variant):
        return self.seconds.get(variant, 0.0)

    def compute(self, *variants, seconds):
        """Compute a stage of each variant, all at once."""
        self.spans += [(self.now, self.now + seconds) for _ in variants]
        self.keep(*variants, seconds=seconds)
        self.now += seconds

    def keep(self, *variants, seconds):
        """Take over a stage of each variant from an earlier run."""
        for variant in variants:
            self.seconds[variant] = self.seconds_in(variant) + seconds


@pytest.fixture
def folder():
    return Folder()


@pytest.fixture
def tally(folder):
    return Tally(folder, SPECS, clock=lambda: folder.now)


def test_nothing_is_said_of_the_time_before_a_variant_is_finished(folder, tally):
    assert tally.line() == "[0/5 variants]"
    folder.compute("control", seconds=20)
    assert tally.line() == "[0/5 variants]"
    tally.give_up("control")
    assert tally.line() == "[1/5 variants, about 1:20 left]"


def test_time_left_is_what_the_others_took(folder, tally):
    folder.compute("control", seconds=20)
    tally.give_up("control")
    folder.compute("a", seconds=60)
    assert tally.left_s() == 60  # three times 20; `a` itself has taken longer already
    tally.give_up("a")
    assert tally.left_s() == 180  # pruned variants are like `a`, not like the control
    folder.compute("b", seconds=30)
    assert tally.left_s() == 150


def test_time_goes_on_within_a_stage_and_does_not_run_below_nothing(folder, tally):
    folder.compute("control", "a", seconds=60)
    tally.give_up("control")
    tally.give_up("a")
    assert tally.left_s() == 90
    folder.now += 40
    assert tally.left_s() == 50
    folder.now += 1000
    assert tally.left_s() == 0


def test_stages_that_run_at_once_take_less_time(folder, tally):
    folder.compute("control", "a", "b", seconds=60)
    for name in ("control", "a", "b"):
        tally.give_up(name)
    assert tally.left_s() == 40  # two of 60 s, three at once


def test_stages_of_an_earlier_run_do_not_distort(folder, tally):
    folder.keep("control", "a", "b", seconds=60)
    for name in ("control", "a", "b"):
        tally.give_up(name)
    assert tally.left_s() is None  # this run has computed nothing yet
    folder.keep("c", seconds=50)
    folder.now += 3  # looking them up takes time as well
    folder.compute("c", seconds=10)
    assert tally.left_s() == 60


def test_a_resumed_run_says_nothing_while_it_may_still_find_the_rest(folder, tally):
    folder.compute("d", seconds=0.5)
    folder.keep("control", "a", seconds=60)
    tally.give_up("control")
    tally.give_up("a")
    assert tally.left_s() is None
    folder.compute("b", seconds=20)
    assert tally.left_s() == 40 + 60 + 59.5


def test_equal_variants_are_counted_once(folder, tally):
    tally.expect(SPECS[:3])
    assert tally.line() == "[0/3 variants]"
    folder.compute("control", seconds=9)
    for spec in SPECS[:3]:
        tally.give_up(spec.name)
    assert tally.line() == "[3/3 variants]"


def test_latency_at_the_end_is_part_of_the_time(folder):
    tally = Tally(folder, SPECS, timing_s=25, clock=lambda: folder.now)
    folder.compute("control", "a", seconds=60)
    tally.give_up("a")
    assert tally.left_s() == pytest.approx(180 / 2 + 25)


def test_a_float_network_that_is_no_variant_counts_for_the_quantized_one(folder):
    quantized = [VariantSpec(f"{name}-int8", (*PRUNED, QuantizeStep("int8")), network=name) for name in "ab"]
    tally = Tally(folder, quantized, clock=lambda: folder.now)
    folder.compute("a", seconds=60)
    folder.compute("a-int8", seconds=5)
    tally.give_up("a-int8")
    assert tally.left_s() == 65
    folder.compute("b", seconds=50)
    assert tally.left_s() == 15
