"""Does the latency gate fail what it should, and nothing else? A network against itself, and against a slower copy.

python -m tests.benchmarks.latency_gate [--json] [--runs N] [--budget SECONDS]

The same file twice has a ratio of 1: against a limit of 1.02 it must not fail, though half of the runs have a process
beside them that keeps a core busy. The planted file does the same and 5 % more: it must fail. Both go through the
sampling, the stopping rule and the verdict that `edgecheck check` uses. Two more figures come out of it: how often the
95 % interval holds the ratio pooled over 20 measurements, and how far the median is from that of a plain loop.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgecheck.device.latency import sampler, timings
from edgecheck.device.latency.stopping import Stopping
from edgecheck.device.latency.timings import LatencySamples
from edgecheck.device.runtime import session
from edgecheck.gate import judge, sentence
from edgecheck.records import Policy, Variant

LIMIT = "latency.ratio <= 1.02"
SELF_RUNS, PLANTED_RUNS, REPEATS = 50, 20, 20
BUDGET_S = 20.0
SIDE, CHANNELS, LAYERS, MORE = 32, 32, 61, 64  # the stem costs next to nothing: 60 and 63 layers of equal work
WORK = "while True: pass"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON only")
    parser.add_argument("--runs", type=int, default=SELF_RUNS, help="of the self comparison; others in proportion")
    parser.add_argument("--budget", type=float, default=BUDGET_S, help="seconds a measurement may take")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), options.runs, options.budget)
    print(json.dumps(result, indent=2) if options.json else page(result))


def page(result: dict) -> str:
    return "\n".join(f"{name}: {value}" for name, value in result.items())


def measure(folder: Path, runs: int, budget_s: float) -> dict:
    """Make the files and count verdicts."""
    plain, slower = folder / "plain.onnx", folder / "slower.onnx"
    onnx.save(network(LAYERS), plain)
    onnx.save(network(MORE), slower)
    part = runs / SELF_RUNS
    calm = [verdict(plain, plain, budget_s, seed) for seed in range(runs - runs // 2)]
    with busy_core():
        loaded = [verdict(plain, plain, budget_s, seed) for seed in range(runs // 2)]
    planted = [verdict(plain, slower, budget_s, seed) for seed in range(round(PLANTED_RUNS * part))]
    repeated = [taken(plain, slower, budget_s, seed) for seed in range(round(REPEATS * part))]
    return {
        "self": tally(calm + loaded),
        "self_calm": tally(calm),
        "self_loaded": tally(loaded),
        "planted": tally(planted),
        "coverage": coverage(repeated),
        "median_over_plain_loop": against_plain_loop(plain, budget_s),
        "budget_s": budget_s,
        "seconds_a_run": statistics.mean(seconds for _, seconds in calm + loaded + planted),
    }


def network(layers: int) -> onnx.ModelProto:
    """A chain of equal 3x3 convolutions between a stem and a head: work can be added in known shares."""
    random, nodes, weights, value = np.random.default_rng(0), [], [], "image"
    for layer in range(layers):
        shape = (CHANNELS, 3 if layer == 0 else CHANNELS, 3, 3)
        weights.append(numpy_helper.from_array(random.normal(0, 0.05, shape).astype(np.float32), f"w{layer}"))
        steps = {"strides": [2, 2]} if layer == 0 else {}
        nodes.append(helper.make_node("Conv", [value, f"w{layer}"], [f"c{layer}"], pads=[1, 1, 1, 1], **steps))
        nodes.append(helper.make_node("Relu", [f"c{layer}"], [f"r{layer}"]))
        value = f"r{layer}"
    nodes.append(helper.make_node("GlobalAveragePool", [value], ["mean"]))
    nodes.append(helper.make_node("Flatten", ["mean"], ["logits"]))
    image = helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, ["N", 3, SIDE, SIDE])
    logits = helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["N", CHANNELS])
    graph = helper.make_graph(nodes, "chain", [image], [logits], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def policy() -> Policy:
    return Policy("all", None, "fail", "fail", [sentence.parse(LIMIT)])


def taken(baseline: Path, candidate: Path, budget_s: float, seed: int) -> LatencySamples:
    """Measure a pair as `edgecheck check` does."""
    files = {"baseline": baseline, "candidate": candidate}
    openers = {name: functools.partial(session.open_classifier, path) for name, path in files.items()}
    pixels = np.random.default_rng(0).random((sampler.FEEDS, 3, SIDE, SIDE), np.float32)
    return sampler.sample(openers, pixels, sampler.Sampling(budget_s, seed), Stopping.of(policy(), ["candidate"]))


def verdict(baseline: Path, candidate: Path, budget_s: float, seed: int) -> tuple[str, float]:
    """Return the gate's verdict and the seconds it took to come to it."""
    samples = taken(baseline, candidate, budget_s, seed)
    variants = [Variant("baseline", "baseline"), Variant("candidate", "candidate")]
    judged = judge.judge(policy(), variants, timings.readings(samples))
    return judged.statuses["candidate"], samples.elapsed_s


def tally(verdicts: list[tuple[str, float]]) -> dict[str, int]:
    counts = Counter(status for status, _ in verdicts)
    return {status: counts[status] for status in ("PASS", "FAIL", "INCONCLUSIVE")}


def coverage(repeated: list[LatencySamples]) -> dict:
    """How many of the measurements have an interval that holds the ratio of them all."""
    pooled = float(np.median(np.concatenate([samples.ratios("candidate", "baseline") for samples in repeated])))
    ratios = [r for samples in repeated for r in timings.readings(samples) if r.metric == "latency.ratio"]
    held = sum(r.low is not None and r.high is not None and r.low <= pooled <= r.high for r in ratios)
    return {"held": held, "of": len(ratios), "pooled_ratio": pooled}


def against_plain_loop(path: Path, budget_s: float) -> float:
    """Our median over that of a loop that runs the file again and again, taking turns with us."""
    classifier = session.open_classifier(path)
    feed = classifier.feed(np.random.default_rng(0).random((1, 3, SIDE, SIDE), np.float32))
    ours, plain = [], []
    for turn in range(REPEATS // 2):
        times = []
        for _ in range(1000):
            began = time.perf_counter()
            classifier.run_once(feed)
            times.append(time.perf_counter() - began)
        plain.append(statistics.median(times))
        readings = timings.readings(taken(path, path, min(budget_s, 2.0), turn))
        ours.append(next(r.value for r in readings if r.metric == "latency.p50_s"))
    return statistics.median(ours) / statistics.median(plain)


@contextmanager
def busy_core() -> Iterator[None]:
    """Keep one core busy with another process."""
    worker = subprocess.Popen([sys.executable, "-c", WORK])
    try:
        yield
    finally:
        worker.kill()
        worker.wait()


if __name__ == "__main__":
    main()
