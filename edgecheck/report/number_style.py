"""How many digits and which prefix the numbers of a unit are written with."""

from __future__ import annotations

import math

from attrs import evolve, frozen

from edgecheck.metrics import Unit

SIGNIFICANT_DIGITS = 3  # the precision of a timing on a shared computer
RATIO_DECIMALS = 2
SCORE_DECIMALS = 3
PERCENT_DECIMALS = 2  # the share of one image in 10,000
EXACT_COUNT_LIMIT = 10_000  # smaller counts are printed in full

_TIME = ((1.0, " s"), (1e-3, " ms"), (1e-6, " µs"))
_ENERGY = ((1.0, " J"), (1e-3, " mJ"), (1e-6, " µJ"))
_BYTES = ((1e9, " GB"), (1e6, " MB"), (1e3, " kB"), (1.0, " B"))
_COUNT = ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k"))


@frozen
class Style:
    """How to write numbers of similar size: in multiples of `scale`, with `decimals` and a `suffix`."""

    scale: float = 1.0
    decimals: int = 0
    suffix: str = ""
    signed: bool = False
    grouped: bool = False

    def number(self, value: float) -> str:
        """Return the number without the suffix, and without a sign if it rounds to zero."""
        text = f"{value / self.scale:{',' if self.grouped else ''}.{self.decimals}f}"
        if not text.strip("-0.,"):
            return text.lstrip("-")
        return f"+{text}" if self.signed and value > 0 else text


def style(value: float, unit: Unit, noun: str = "") -> Style:
    """Return the style for a value of this size and unit; `noun` is the suffix of counts (" MACs")."""
    match unit:
        case "s":
            return _prefixed(value, _TIME)
        case "J":
            return _prefixed(value, _ENERGY)
        case "bytes":
            return _prefixed(value, _BYTES)
        case "count" if abs(value) < EXACT_COUNT_LIMIT:
            return Style(suffix=noun, grouped=True)
        case "count":
            prefixed = _prefixed(value, _COUNT)
            return evolve(prefixed, suffix=prefixed.suffix + noun)
        case "fraction":
            return Style(scale=0.01, decimals=PERCENT_DECIMALS, suffix=" %")
        case "pp":
            return Style(decimals=PERCENT_DECIMALS, suffix=" pp", signed=True)
        case "ratio":
            return Style(decimals=max(RATIO_DECIMALS, decimals_of(value, 2)), suffix="x")
        case "score":
            return Style(decimals=SCORE_DECIMALS)
        case _:
            return Style(decimals=decimals_of(value))


def _prefixed(value: float, prefixes: tuple[tuple[float, str], ...]) -> Style:
    """Return the style with the largest prefix for which the rounded number is at least 1."""
    rounded = float(f"{abs(value):.{SIGNIFICANT_DIGITS - 1}e}")
    scale, suffix = next((prefix for prefix in prefixes if rounded >= prefix[0]), prefixes[-1])
    if rounded == 0:
        return Style(scale=1.0, suffix=dict(prefixes).get(1.0, ""))
    decimals = 0 if (scale, suffix) == _BYTES[-1] else decimals_of(rounded / scale)
    return Style(scale, decimals, suffix)


def decimals_of(value: float, digits: int = SIGNIFICANT_DIGITS) -> int:
    """Return the number of decimals that shows `digits` significant digits of a value."""
    if value == 0 or not math.isfinite(value):
        return 0
    return max(0, digits - 1 - math.floor(math.log10(float(f"{abs(value):.{digits - 1}e}"))))
