"""Variants that should be faster than the baseline and are not. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from edgecheck.records import Diagnostic, Reading, Variant

Readings = Mapping[tuple[str, str], Reading]

FEWER_MACS = 0.95  # share of the baseline's MACs; a smaller reduction does not promise a gain
INTEGERS = ("int8", "uint8", "int4", "uint4")


def slowdowns(variants: Sequence[Variant], readings: Readings) -> Iterator[Diagnostic]:
    """Yield a warning about candidates with fewer MACs, and one about integer ones, that are slower than the baseline.

    Args:
        variants: of the run.
        readings: by variant and metric.
    """
    slower = {}
    for variant in variants:
        ratio = readings.get((variant.name, "latency.ratio"))
        if variant.role == "candidate" and ratio and (ratio.low or 0) > 1:
            slower[variant.name] = {"name": variant.name, "ratio": ratio.value}
    for baseline in (variant.name for variant in variants if variant.role == "baseline"):
        lighter = [fact for name, fact in slower.items() if _macs_share(name, baseline, readings) < FEWER_MACS]
        if lighter:
            yield Diagnostic("gate-fewer-macs-slower", {"ratios": lighter})
    integer = [slower[variant.name] for variant in variants if variant.name in slower and _is_integer(variant)]
    if integer:
        yield Diagnostic("gate-int8-slower", {"ratios": integer})


def _macs_share(name: str, baseline: str, readings: Readings) -> float:
    """Return the MACs of a variant over those of the baseline; 1 where either is unknown."""
    macs, whole = (readings.get((variant, "macs")) for variant in (name, baseline))
    return macs.value / whole.value if macs and whole and whole.value and macs.value is not None else 1.0


def _is_integer(variant: Variant) -> bool:
    """Whether most bytes of the weights are of an integer type."""
    integers = sum(size for kind, size in variant.weight_bytes.items() if kind in INTEGERS)
    return integers > sum(variant.weight_bytes.values()) / 2
