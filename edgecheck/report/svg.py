"""Converts a matplotlib figure to SVG for an HTML page, with colours that follow the theme of the page.

Figures are drawn in hexadecimal colours. Each colour is then replaced by a CSS variable with the colour as fallback,
and ink by `currentColor`, so that the page sets them for light and dark themes. matplotlib is imported on first use.
"""

from __future__ import annotations

import importlib.util
import re
import warnings
from collections.abc import Callable
from io import StringIO
from typing import Any
from xml.sax.saxutils import escape

INK = "#010203"  # an otherwise unused colour; matplotlib omits pure black from the SVG, because it is the default

# Okabe & Ito's palette, which colour-blind readers can distinguish; markers and hatches carry the same information.
BLUE, VERMILION, GREEN, YELLOW, SKY, PURPLE = "#0072b2", "#d55e00", "#009e73", "#e69f00", "#56b4e9", "#cc79a7"
COLOURS = {
    "blue": BLUE,
    "vermilion": VERMILION,
    "green": GREEN,
    "yellow": YELLOW,
    "sky": SKY,
    "purple": PURPLE,
}
_VARIABLES = {colour: f"--{name}" for name, colour in COLOURS.items()}

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": INK,
    "grid.alpha": 0.12,
    "xtick.color": INK,
    "ytick.color": INK,
    "hatch.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
    "lines.markersize": 6,
    "axes.unicode_minus": False,  # as in the text of the page
}
_NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))


def installed() -> bool:
    """Return whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def draw(name: str, title: str, description: str, size: tuple[float, float], paint: Callable[[Any, Any], None]) -> str:
    """Return the SVG of one figure of `size` inches; `paint(figure, axes)` draws it.

    `name` makes ids unique on the page. Equal drawings give equal text.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    page = StringIO()
    with matplotlib.rc_context(), warnings.catch_warnings():
        # Ignore warnings about characters missing from matplotlib's font: the browser draws the text with its own.
        warnings.simplefilter("ignore", UserWarning)
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE | {"svg.hashsalt": name})
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        paint(figure, figure.add_subplot())
        # Laid out here, once: with a layout engine, matplotlib draws each figure twice.
        layout = figure.get_layout_engine()
        assert layout is not None
        layout.execute(figure)
        figure.set_layout_engine("none")
        figure.savefig(page, format="svg", transparent=True, metadata=_NO_METADATA)
    return _themed(page.getvalue(), name, title, description)


def standalone(svg: str) -> str:
    """Return an SVG from `draw` as a standalone file, with a size; ink and background follow the reader's theme.

    Other colours are hexadecimal, because few programs except browsers support CSS variables.
    """
    plain = re.sub(r"var\(--\w+, (#\w+)\)", r"\1", svg)
    sized = re.sub(r'viewBox="0 0 (\S+) (\S+)"', r'width="\1pt" height="\2pt" \g<0>', plain, count=1)
    ink = "svg{color:#1c2126;background:#fff}@media(prefers-color-scheme:dark){svg{color:#e7eaee;background:#1b1f24}}"
    return f"{sized.removesuffix('</svg>')}<style>{ink}</style></svg>\n"


def _themed(svg: str, name: str, title: str, description: str) -> str:
    body = svg[svg.index("<svg") :].strip()
    for colour, variable in _VARIABLES.items():
        body = body.replace(colour, f"var({variable}, {colour})")
    # matplotlib's style sheet has the selector `*`, which would apply to the whole page.
    body = body.replace(INK, "currentColor").replace(">*{", ">svg *{")
    body = re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{name}-", body)
    opening, _, rest = body.partition(">")
    opening = re.sub(r' (width|height)="[^"]*"', "", opening)
    return (
        f'{opening} role="img" aria-labelledby="{name}-title {name}-description">'
        f'<title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-description">{escape(description)}</desc>{rest}'
    )
