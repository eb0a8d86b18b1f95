"""Timings made by hand."""

import attrs

from edgecheck.device.latency.timings import FileTimes, LatencySamples


def blocks(**files):
    """Return blocks of files, each given as a list of blocks of bursts."""
    count = len(next(iter(files.values())))
    return [
        {name: FileTimes(bursts=each[i], warmup_runs=10, open_s=0.01, first_s=0.002) for name, each in files.items()}
        for i in range(count)
    ]


def calm(**changes):
    """Return samples that nothing is wrong with: the variant takes half the baseline's second."""
    samples = LatencySamples(
        baseline="baseline",
        threads=1,
        cores=4,
        seed=0,
        images=1,
        batch={"baseline": 1, "half": 1},
        budget_s=30.0,
        elapsed_s=2.0,
        decided=True,
        blocks=blocks(baseline=[[[1.0, 1.0, 1.0]]] * 30, half=[[[0.5, 0.5, 0.5]]] * 30),
        other_load=0.01,
        stolen=0.0,
        clock_s=1e-7,
    )
    return attrs.evolve(samples, **changes)
