"""The colours of heatmaps in pages, as tables that a filter interpolates between: equal steps from the lowest value up.

Both suit readers who are colour-blind. Heatmaps have Inferno, which is perceptually uniform (N. Smith and S. van der
Walt, 2015), at every 16th of its 256 colours. Differences have RdBu (C. Brewer, ColorBrewer 2.0), blue to red around a
light neutral.
"""

from __future__ import annotations

from attrs import frozen


@frozen
class Palette:
    """Colours in equal steps, as `#rrggbb`."""

    colours: tuple[str, ...]

    def channel(self, place: int) -> str:
        """Return the levels 0..1 of red (0), green (1) or blue (2), as the table of an SVG filter."""
        levels = (int(colour[1 + 2 * place : 3 + 2 * place], 16) / 255 for colour in self.colours)
        return " ".join(f"{level:.4g}" for level in levels)

    def stops(self) -> list[tuple[str, str]]:
        """Return offset and colour of each step, for a gradient."""
        last = len(self.colours) - 1
        return [(f"{place / last:.4g}", colour) for place, colour in enumerate(self.colours)]


HEATMAP = Palette(
    (
        *("#000004", "#0b0724", "#210c4a", "#3d0965", "#57106e", "#71196e", "#8a226a", "#a32c61", "#bc3754"),
        *("#d04545", "#e35933", "#f1711f", "#f98c0a", "#fcaa0f", "#f9c932", "#f2e865", "#fcffa4"),
    )
)
DIFFERENCE = Palette(
    (
        *("#053061", "#2166ac", "#4393c3", "#92c5de", "#d1e5f0", "#f7f7f7"),
        *("#fddbc7", "#f4a582", "#d6604d", "#b2182b", "#67001f"),
    )
)
