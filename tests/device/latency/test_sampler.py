import functools
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecheck.device.latency import sampler, stability, stopwatch, timings
from edgecheck.device.latency.sampler import Sampling
from edgecheck.device.runtime.session import open_classifier
from edgecheck.records import from_dict, to_dict, to_json
from tests.device.small_files import pictures, write

IMAGES = np.zeros((3, 3, 8, 8), dtype=np.float32)
OPENING_S = 0.001


class FakeClock:
    """Time that passes only when a fake runs."""

    def __init__(self):
        self.seconds = 100.0

    def now(self):
        return self.seconds

    def sleep(self, seconds):
        self.seconds += seconds


class FakeRunner:
    """Takes the seconds that `cost(run number, time)` says."""

    threads = 1

    def __init__(self, clock, cost, batch=None, log=None, name="", opening_s=OPENING_S):
        self.clock, self.cost, self.batch, self.log, self.name = clock, cost, batch, log, name
        self.runs, self.fed, self.opened, self.opening_s = 0, [], 0, opening_s

    def open(self):
        self.clock.seconds += self.opening_s
        self.opened, self.runs = self.opened + 1, 0
        return self

    def feed(self, images):
        self.fed.append(len(images))
        return {"x": images}

    def run_once(self, feed):
        if self.log is not None:
            self.log.append((self.name, self.clock.seconds))
        self.clock.seconds += self.cost(self.runs, self.clock.seconds)
        self.runs += 1


def steady(seconds):
    return lambda _run, _now: seconds


def noisy(seconds, seed=0, spread=0.05):
    """A cost with a tail to the right, as real latencies have."""
    random = np.random.default_rng(seed)
    return lambda _run, _now: seconds * math.exp(spread * abs(random.normal()))


def fakes(costs, **arguments):
    clock = FakeClock()
    return clock, {name: FakeRunner(clock, cost, name=name, **arguments) for name, cost in costs.items()}


def take(costs, budget_s=1.0, seed=0, decided=sampler.never, **arguments):
    clock, runners = fakes(costs, **arguments)
    files = {name: runner.open for name, runner in runners.items()}
    return sampler.sample(files, IMAGES, Sampling(budget_s, seed), decided, clock)


def reading_of(samples, variant, metric):
    return next(r for r in timings.readings(samples) if (r.variant, r.metric) == (variant, metric))


@pytest.mark.parametrize("planted", [0.25, 0.9, 1.0, 3.0])
def test_planted_ratio_is_recovered(planted):
    samples = take({"baseline": noisy(0.002, seed=1), "variant": noisy(0.002 * planted, seed=2)})

    ratio = reading_of(samples, "variant", "latency.ratio")

    assert ratio.value == pytest.approx(planted, rel=0.02)
    assert ratio.low <= planted * 1.01
    assert ratio.high >= planted * 0.99


def test_ratio_is_free_of_drift_that_doubles_both():
    def slowing(seconds, seed):
        cost = noisy(seconds, seed)
        return lambda run, now: cost(run, now) * (1 + (now - 100) / 4)

    samples = take({"baseline": slowing(0.002, 1), "variant": slowing(0.001, 2)}, budget_s=4.0)

    assert reading_of(samples, "variant", "latency.ratio").value == pytest.approx(0.5, rel=0.02)
    (drift,) = [warning for warning in stability.warnings(samples) if warning.id == "latency-drift"]
    assert drift.fields["change"] > 0


def test_what_lasts_for_a_block_widens_the_interval():
    """Each opening finds memory laid out anew, here at 1 % for better or worse: rounds within a block never see it."""
    random, layout = np.random.default_rng(3), [1.0]

    def cost(run, _now):
        if run == 0:
            layout[0] = 1 + 0.01 * random.normal()
        return 0.002 * layout[0]

    samples = take({"baseline": steady(0.002), "variant": cost}, budget_s=4.0)
    ratio = reading_of(samples, "variant", "latency.ratio")

    assert ratio.low < 1 < ratio.high
    assert ratio.high - ratio.low > 0.001


def test_a_machine_that_switches_for_seconds_widens_the_interval():
    """Two states, a dozen blocks each: blocks in a row are no independent evidence."""

    def cost(_run, now):
        return 0.002 * (1.2 if int(now - 100) % 2 else 1.0)

    switching = take({"baseline": steady(0.002), "variant": cost}, budget_s=10.0)
    ratio = reading_of(switching, "variant", "latency.ratio")

    assert ratio.high - ratio.low > 0.15
    (unsteady,) = [warning for warning in stability.warnings(switching) if warning.id == "latency-ratio-unsteady"]
    assert unsteady.fields["ratios"] == [
        {"name": "variant", "low": pytest.approx(1.0, abs=0.005), "high": pytest.approx(1.2, abs=0.005)}
    ]


@settings(deadline=None, max_examples=30)
@given(seconds=st.floats(1e-5, 0.05), others=st.floats(1e-5, 0.05), budget=st.floats(0.01, 3))
def test_every_file_gets_its_samples_in_as_many_rounds(seconds, others, budget):
    samples = take({"baseline": steady(seconds), "variant": steady(others)}, budget)

    assert sampler.LEAST_BLOCKS <= len(samples.blocks) <= 2 * sampler.MOST_BLOCKS
    for block in samples.blocks:
        rounds = {len(times.bursts) for times in block.values()}
        assert len(rounds) == 1
        assert rounds.pop() >= sampler.LEAST_ROUNDS
    for name in samples.names:
        assert len(samples.runs(name)) >= timings.LEAST_SAMPLES


def test_budget_is_for_all_files_but_the_first():
    clock, runners = fakes({name: steady(0.004) for name in ("baseline", "a", "b")})

    samples = sampler.sample({n: r.open for n, r in runners.items()}, IMAGES, Sampling(2.0), clock=clock)

    assert clock.seconds - 100 == pytest.approx(2 * 2.0, abs=0.5)
    assert samples.elapsed_s == pytest.approx(clock.seconds - 100, abs=0.01)
    assert not samples.decided


def test_sampling_ends_when_it_is_told_that_enough_is_known():
    seen = []

    def after_nine(samples):
        seen.append(len(samples.blocks))
        return len(samples.blocks) == 9

    samples = take({"baseline": steady(0.001), "variant": steady(0.001)}, 30.0, decided=after_nine)

    assert samples.decided
    assert seen == list(range(2, 10))
    assert len(samples.blocks) == 9


def test_hopelessly_slow_file_ends_and_claims_no_p90():
    samples = take({"baseline": steady(5.0)}, budget_s=1.0)

    assert 1 <= len(samples.blocks) < sampler.LEAST_BLOCKS
    assert reading_of(samples, "baseline", "latency.p50_s").value == 5.0
    assert reading_of(samples, "baseline", "latency.p50_s").low is None
    assert reading_of(samples, "baseline", "latency.p90_s").value is None


def test_slow_first_runs_are_not_among_the_samples():
    samples = take({"baseline": lambda run, _now: 0.002 * (1 + 20 * 0.5**run)})

    assert samples.blocks[0]["baseline"].warmup_runs >= 10
    assert samples.runs("baseline").max() < 0.0022


def test_cold_start_is_opening_and_first_run():
    samples = take({"baseline": lambda run, _now: 0.5 if run == 0 else 0.002}, budget_s=60.0, opening_s=0.25)

    assert reading_of(samples, "baseline", "latency.cold_s").value == pytest.approx(0.75)


def test_files_are_opened_anew_for_each_block_where_that_is_cheap():
    def openings(opening_s):
        clock, runners = fakes({"baseline": steady(0.002), "variant": steady(0.002)}, opening_s=opening_s)
        samples = sampler.sample({n: r.open for n, r in runners.items()}, IMAGES, Sampling(10.0), clock=clock)
        opened = [block["variant"].open_s is not None for block in samples.blocks]
        assert runners["variant"].opened == 1 + sum(opened)
        return sum(opened), len(opened)

    cheap, dear = openings(0.01), openings(1.0)

    assert cheap[0] == cheap[1] > sampler.LEAST_OPENINGS
    assert dear[0] == 1 < dear[1]


def test_first_run_after_another_file_is_not_among_the_samples():
    last = [""]

    def cold_after_another(name):
        def cost(_run, _now):
            cold, last[0] = last[0] != name, name
            return 0.02 if cold else 0.01

        return cost

    samples = take({name: cold_after_another(name) for name in ("baseline", "variant")}, 0.5)

    assert max(samples.runs(name).max() for name in samples.names) == pytest.approx(0.01)


def test_warm_up_ends_on_a_machine_that_never_settles():
    samples = take({"baseline": lambda run, _now: 0.0001 * (1 + run % 50)})
    slow = take({"baseline": lambda run, _now: 0.3 * (1 + run % 50)})

    assert all(block["baseline"].warmup_runs <= stopwatch.WARMUP_RUNS for block in samples.blocks)
    assert slow.blocks[0]["baseline"].warmup_runs <= 4


def test_bursts_are_interleaved_in_an_order_that_the_seed_decides():
    def orders(seed):
        clock, log = FakeClock(), []
        runners = {n: FakeRunner(clock, steady(0.01), log=log, name=n) for n in ("a", "b", "c")}
        sampler.sample({n: r.open for n, r in runners.items()}, IMAGES, Sampling(1.0, seed), clock=clock)
        return [name for name, _ in itertools.groupby(name for name, _ in log)]

    first = orders(seed=1)

    assert len({tuple(first[index : index + 3]) for index in range(0, len(first) - 2, 3)}) > 3
    assert first == orders(seed=1)
    assert first != orders(seed=2)


@pytest.mark.parametrize(("batch", "fixed", "fed"), [(1, None, 1), (4, None, 4), (1, 4, 1), (8, 4, 4)])
def test_each_run_gets_the_images_asked_for_prepared_before(batch, fixed, fed):
    clock = FakeClock()
    runner = FakeRunner(clock, steady(0.01), batch=fixed)
    images = np.zeros((40, 3, 8, 8), np.float32)

    samples = sampler.sample({"baseline": runner.open}, images, Sampling(0.5, batch=batch), clock=clock)

    assert set(runner.fed) == {fed}
    assert samples.images == min(40, sampler.FEEDS * batch)
    assert samples.batch == {"baseline": fixed or batch}


def test_fewer_images_than_a_batch_are_used_again():
    clock = FakeClock()
    runner = FakeRunner(clock, steady(0.01))

    sampler.sample({"baseline": runner.open}, IMAGES, Sampling(0.1, batch=7), clock=clock)

    assert set(runner.fed) == {7}


def test_pace_leaves_gaps_between_runs():
    log = []
    clock = FakeClock()
    runner = FakeRunner(clock, steady(0.002), log=log, opening_s=10.0)  # too dear to be opened again

    samples = sampler.sample({"baseline": runner.open}, IMAGES, Sampling(5.0, pace_hz=50), clock=clock)

    np.testing.assert_allclose(np.diff([moment for _, moment in log]), 0.02)
    assert reading_of(samples, "baseline", "latency.p50_s").value == pytest.approx(0.002)


def test_samples_survive_json():
    samples = take({"baseline": noisy(0.01), "variant": noisy(0.02)}, budget_s=0.1)

    assert from_dict(to_dict(samples), timings.LatencySamples) == samples
    assert to_json(samples)


def test_progress_is_told():
    told = []

    class Listening:
        def track(self, items, text, total=None):
            told.append(text)
            yield from items

        def note(self, text):
            raise AssertionError(text)

    clock = FakeClock()
    runner = FakeRunner(clock, steady(0.01))
    sampler.sample({"baseline": runner.open}, IMAGES, Sampling(0.1), clock=clock, progress=Listening())

    assert told == ["latency"]


class Timed:
    """A real file on a clock of its own: each run takes so many seconds, whatever else the machine does."""

    def __init__(self, path, clock, seconds):
        self.classifier, self.clock, self.seconds = open_classifier(path), clock, seconds
        self.threads, self.batch, self.feed = self.classifier.threads, self.classifier.batch, self.classifier.feed

    def run_once(self, feed):
        self.clock.seconds += self.seconds
        return self.classifier.run_once(feed)


def test_real_files_take_their_own_time(tmp_path):
    path, clock = write(tmp_path / "model.onnx", shape=("N", 3, 16, 16)), FakeClock()
    seconds = {"baseline": 0.01, "again": 0.01, "twice": 0.02}
    files = {name: functools.partial(Timed, path, clock, each) for name, each in seconds.items()}

    samples = sampler.sample(files, pictures(4, (3, 16, 16)), Sampling(20), clock=clock)

    for name, each in seconds.items():
        assert reading_of(samples, name, "latency.p50_s").value == pytest.approx(each)
    assert reading_of(samples, "again", "latency.ratio").value == pytest.approx(1)
    assert reading_of(samples, "twice", "latency.ratio").value == pytest.approx(2)
