"""What must hold before anything is judged: twins that are those of their files, a baseline that is no guess."""

from edgecheck.records import Reading, Variant, reading

CHANCE = 0.1


def parity(*names: str) -> list[Reading]:
    """Readings of files that compute what their twins do."""
    return [
        found
        for name in names
        for found in (reading(name, "parity.max_abs", 2e-6, n=1000), reading(name, "parity.agreement", 1.0, n=1000))
    ]


def grounds(variants: list[Variant]) -> list[Reading]:
    """Those of all variants, and of a baseline that is far better than chance."""
    baselines = [variant.name for variant in variants if variant.role == "baseline"]
    return [
        *parity(*(variant.name for variant in variants)),
        *(reading(name, "accuracy", 0.9, n=1000) for name in baselines),
    ]
