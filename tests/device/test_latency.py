import math
import re
import time

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecheck.device import latency, stopwatch
from edgecheck.device.session import open_classifier
from edgecheck.records import from_dict, to_dict, to_json
from tests.device.small_files import pictures, write

IMAGES = np.zeros((3, 3, 8, 8), dtype=np.float32)


class FakeClock:
    """Time that passes only when a fake runs."""

    def __init__(self):
        self.seconds = 100.0

    def now(self):
        return self.seconds


class FakeRunner:
    """Takes the seconds that `cost(run number, time)` says."""

    threads = 1

    def __init__(self, clock, cost, batch=None, log=None, name=""):
        self.clock, self.cost, self.batch, self.runs, self.log, self.name = clock, cost, batch, 0, log, name
        self.fed = []

    def feed(self, images):
        self.fed.append(len(images))
        return {"x": images}

    def run_once(self, feed):
        if self.log is not None:
            self.log.append((self.name, self.clock.seconds))
        self.clock.seconds += self.cost(self.runs, self.clock.seconds)
        self.runs += 1


def noisy(seconds, seed=0, spread=0.05):
    """A cost with a tail to the right, as real latencies have."""
    random = np.random.default_rng(seed)
    return lambda _run, _now: seconds * math.exp(spread * abs(random.normal()))


def take(costs, budget_s=1.0, seed=0, **arguments):
    clock = FakeClock()
    runners = {name: FakeRunner(clock, cost, **arguments) for name, cost in costs.items()}
    return latency.sample(runners, IMAGES, budget_s, seed, clock)


def reading_of(samples, variant, metric):
    return next(r for r in latency.readings(samples) if (r.variant, r.metric) == (variant, metric))


def calm(**changes):
    blocks = {"baseline": [[1.0, 1.0, 1.0]] * 30, "half": [[0.5, 0.5, 0.5]] * 30}
    samples = latency.LatencySamples(
        baseline="baseline",
        threads=1,
        cores=4,
        seed=0,
        images=1,
        batch={"baseline": 1, "half": 1},
        warmup_runs={"baseline": 10, "half": 10},
        blocks=blocks,
        other_load=0.01,
    )
    return attrs.evolve(samples, **changes)


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

    samples = take({"baseline": slowing(0.002, 1), "variant": slowing(0.001, 2)}, budget_s=2.0)

    assert reading_of(samples, "variant", "latency.ratio").value == pytest.approx(0.5, rel=0.02)
    assert any("changed by +" in warning for warning in latency.warnings(samples))


def test_baseline_has_no_ratio():
    metrics = [(r.variant, r.metric) for r in latency.readings(take({"baseline": noisy(0.01), "v": noisy(0.01)}))]

    assert ("v", "latency.ratio") in metrics
    assert ("baseline", "latency.ratio") not in metrics


def test_another_baseline_can_be_named():
    taken = latency.readings(calm(), baseline="half")

    assert [(r.variant, r.value) for r in taken if r.metric == "latency.ratio"] == [("baseline", 2.0)]


def test_readings_by_hand():
    first, second = [1.0, 3.0, 2.0], [5.0, 4.0, 6.0]
    samples = calm(blocks={"baseline": [first, second] * 11, "half": [[0.5, 1.0, 1.5], [10.0, 10.0, 10.0]] * 11})

    p50 = reading_of(samples, "baseline", "latency.p50_s")
    p90 = reading_of(samples, "baseline", "latency.p90_s")
    ratio = reading_of(samples, "half", "latency.ratio")

    assert (p50.value, p50.low, p50.high, p50.n) == (3.5, 2.0, 5.0, 66)
    assert (p90.value, p90.n) == (6.0, 66)
    assert (ratio.value, ratio.n) == ((0.5 + 2.0) / 2, 22)


def test_no_p90_below_64_samples():
    few, enough = calm(blocks={"baseline": [[1.0] * 3] * 21}), calm(blocks={"baseline": [[1.0] * 4] * 16})

    missing = reading_of(few, "baseline", "latency.p90_s")

    assert missing.value is None
    assert "63 samples, but a 90th percentile needs 64" in missing.note
    assert reading_of(enough, "baseline", "latency.p90_s").value == 1.0


@settings(deadline=None, max_examples=40)
@given(seconds=st.floats(1e-6, 0.1), others=st.floats(1e-6, 0.1), budget=st.floats(0.01, 3))
def test_every_file_gets_its_samples_in_as_many_rounds(seconds, others, budget):
    samples = take({"baseline": lambda _r, _n: seconds, "variant": lambda _r, _n: others}, budget)

    rounds = {len(blocks) for blocks in samples.blocks.values()}

    assert len(rounds) == 1
    assert latency.LEAST_ROUNDS <= rounds.pop() <= latency.MOST_ROUNDS
    for blocks in samples.blocks.values():
        assert sum(map(len, blocks)) >= latency.LEAST_SAMPLES
        assert {len(block) for block in blocks} <= set(range(stopwatch.LEAST_BLOCK, stopwatch.LARGEST_BLOCK + 1))


def test_budget_is_kept_within_a_round():
    clock = FakeClock()
    runners = {name: FakeRunner(clock, lambda _r, _n: 0.004) for name in ("baseline", "variant")}

    latency.sample(runners, IMAGES, 1.5, 0, clock)

    assert clock.seconds - 100 == pytest.approx(2 * 1.5, abs=0.3)


def test_hopelessly_slow_file_ends_and_claims_no_p90():
    samples = take({"baseline": lambda _r, _n: 5.0}, budget_s=1.0)

    assert 1 <= len(samples.blocks["baseline"]) < latency.LEAST_ROUNDS
    assert reading_of(samples, "baseline", "latency.p50_s").value == 5.0
    assert reading_of(samples, "baseline", "latency.p50_s").low is None
    assert reading_of(samples, "baseline", "latency.p90_s").value is None


def test_slow_first_runs_are_not_among_the_samples():
    samples = take({"baseline": lambda run, _now: 0.002 * (1 + 20 * 0.5**run)})

    assert samples.warmup_runs["baseline"] >= 10
    assert max(max(block) for block in samples.blocks["baseline"]) < 0.0022


def test_first_run_after_another_file_is_not_among_the_samples():
    clock, last = FakeClock(), [""]

    def cold_after_another(name):
        def cost(_run, _now):
            cold, last[0] = last[0] != name, name
            return 0.02 if cold else 0.01

        return cost

    runners = {name: FakeRunner(clock, cold_after_another(name)) for name in ("baseline", "variant")}
    samples = latency.sample(runners, IMAGES, 0.5, 0, clock)

    assert max(max(block) for blocks in samples.blocks.values() for block in blocks) == pytest.approx(0.01)


def test_warm_up_ends_on_a_machine_that_never_settles():
    samples = take({"baseline": lambda run, _now: 0.0001 * (1 + run % 50)})
    slow = take({"baseline": lambda run, _now: 0.3 * (1 + run % 50)})

    assert samples.warmup_runs["baseline"] <= stopwatch.WARMUP_RUNS
    assert slow.warmup_runs["baseline"] <= 4


def test_blocks_are_interleaved_in_an_order_that_the_seed_decides():
    def orders(seed):
        clock, log = FakeClock(), []
        runners = {n: FakeRunner(clock, lambda _r, _n: 0.01, log=log, name=n) for n in ("a", "b", "c")}
        latency.sample(runners, IMAGES, 1.0, seed, clock)
        names = [name for name, _ in log[3 * 2 * stopwatch.WARMUP_GROUP :]]
        block = stopwatch.REFILL_RUNS + stopwatch.LEAST_BLOCK
        return [tuple(names[index : index + 3 * block : block]) for index in range(0, len(names), 3 * block)]

    first = orders(seed=1)

    assert all(set(order) == {"a", "b", "c"} for order in first)
    assert len(set(first)) > 2
    assert first == orders(seed=1)
    assert first != orders(seed=2)


def test_each_run_gets_one_image_prepared_before():
    clock = FakeClock()
    runner = FakeRunner(clock, lambda _r, _n: 0.01)

    samples = latency.sample({"baseline": runner}, np.zeros((40, 3, 8, 8), np.float32), 0.5, 0, clock)

    assert runner.fed == [1] * latency.FEEDS
    assert samples.images == latency.FEEDS


def test_samples_survive_json():
    samples = take({"baseline": noisy(0.01), "variant": noisy(0.02)}, budget_s=0.1)

    assert from_dict(to_dict(samples), latency.LatencySamples) == samples
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
    latency.sample({"baseline": FakeRunner(clock, lambda _r, _n: 0.01)}, IMAGES, 0.1, 0, clock, Listening())

    assert told == ["warm-up", "latency"]


def test_no_warning_where_all_is_well():
    assert latency.warnings(calm()) == []
    assert latency.warnings(calm(other_load=None)) == []


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ({"threads": 8}, "8 threads on 4 cores .* set measure.intra_op_threads to 4 or fewer"),
        ({"other_load": 0.6}, "other processes kept 60% of the machine's cores busy"),
        ({"batch": {"baseline": 1, "half": 8}}, "half takes 8 images at once"),
        (
            {"blocks": {"baseline": [[1.0]] * 30, "half": [[1.0]] * 15 + [[1.5]] * 15}},
            r"the latency of half changed by \+50% .* let the device cool",
        ),
    ],
)
def test_each_doubt_comes_with_advice(changes, warning):
    (told,) = latency.warnings(calm(**changes))

    assert "\n" not in told
    assert re.search(warning, told)


def test_median_agrees_with_a_plain_loop(tmp_path):
    """On a real file; half as long and twice as long is far more than noise moves a median."""
    path = write(tmp_path / "model.onnx", shape=("N", 3, 64, 64), repeat=20)
    classifiers = {"baseline": open_classifier(path), "again": open_classifier(path)}
    images = pictures(4, (3, 64, 64))

    samples = latency.sample(classifiers, images, budget_s=0.5, seed=0)

    feed, times = classifiers["baseline"].feed(images[:1]), []
    for _ in range(300):
        began = time.perf_counter()
        classifiers["baseline"].run_once(feed)
        times.append(time.perf_counter() - began)
    p50 = reading_of(samples, "baseline", "latency.p50_s").value
    assert np.median(times) / 2 < p50 < np.median(times) * 2
    assert reading_of(samples, "again", "latency.ratio").value == pytest.approx(1, abs=0.2)


def test_twice_the_work_takes_about_twice_the_time(tmp_path):
    once = write(tmp_path / "once.onnx", shape=("N", 3, 64, 64), repeat=20)
    twice = write(tmp_path / "twice.onnx", shape=("N", 3, 64, 64), repeat=40)
    classifiers = {"baseline": open_classifier(once), "twice": open_classifier(twice)}

    samples = latency.sample(classifiers, pictures(4, (3, 64, 64)), budget_s=0.5, seed=0)

    assert reading_of(samples, "twice", "latency.ratio").value == pytest.approx(2, rel=0.25)
