"""What the readings beside Sp2PS and accuracy cost: their share of the time of measuring a variant.

python -m tests.benchmarks.readings BASELINE.onnx VARIANT.onnx OTHER.onnx DATA.npz [--images N] [--json]

Checks one variant, then two, without latency: the difference is what a variant costs. In it, times the functions that
make the readings: rank correlation, top-20 % IoU and pointing of the maps; flips, errors, confidence and divergence of
the predictions. Chance and the copies with random parameters are measured once per run, and are listed apart.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edgecheck.config import reader
from edgecheck.pipeline.check import Given, check
from edgecheck.pipeline.store import Store
from edgecheck.progress import Silent
from edgecheck.score import compare, shifts

CONFIG = """
data: {{dataset: npz, root: '{data}', limit: {images}}}
measure: {{latency_budget_s: 0, rss: false}}
explain: {{pictures: 0}}
"""
# The functions that make the new readings, where the pipeline looks them up.
WATCHED = ((compare, "native_scores"), (compare, "_further"), (shifts, "readings"), (shifts, "newly_wrong"))
ONCE = ("chance", "anchors")  # stages of the baseline alone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("baseline", "variant", "other", "data"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--images", type=int, default=2000, help="(%(default)s)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    clock: dict[str, float] = {}
    for module, name in WATCHED:
        setattr(module, name, _timed(getattr(module, name), clock, name))
    one = _measured(options, [options.variant], clock)
    both = _measured(options, [options.variant, options.other], clock)
    of_variant = sum(both["stages"].values()) - sum(one["stages"].values())
    new = sum(both["new"].values()) - sum(one["new"].values())
    result = {
        "images": options.images,
        "variant_s": of_variant,
        "new_readings_s": new,
        "added_share": new / (of_variant - new),
        "once_s": both["once"],
    }
    text = "a variant takes {variant_s:.2f} s, of which new readings {new_readings_s:.2f} s: {added_share:+.1%}"
    print(json.dumps(result, indent=2) if options.json else text.format(**result))


def _timed(function: Callable[..., Any], clock: dict[str, float], name: str) -> Callable[..., Any]:
    def timed(*arguments: Any, **named: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*arguments, **named)
        finally:
            clock[name] = clock.get(name, 0.0) + time.perf_counter() - start

    return timed


def _measured(options: argparse.Namespace, variants: Sequence[Path], clock: dict[str, float]) -> dict[str, Any]:
    """Check the variants in an empty run folder, and return the seconds of stages and of new readings."""
    clock.clear()
    plan = reader.parse(CONFIG.format(data=options.data, images=options.images), Path("readings.yaml"), {})
    given = [Given("baseline", "baseline", options.baseline)]
    given += [Given(f"variant-{number}", "candidate", file) for number, file in enumerate(variants)]
    with tempfile.TemporaryDirectory() as folder:
        seconds = check(plan, given, Store(Path(folder)), Silent()).seconds
    once = {stage: seconds.pop(stage) for stage in ONCE if stage in seconds}
    return {"stages": seconds, "once": once, "new": dict(clock)}


if __name__ == "__main__":
    main()
