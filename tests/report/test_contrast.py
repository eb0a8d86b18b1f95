"""The colours of the pages have the contrast that WCAG 2.2 asks for at level AA, in both themes and on paper."""

import re

import pytest

from edgecheck.report.html import environment, source

TEXT, GRAPHICS = 4.5, 3.0  # success criteria 1.4.3 and 1.4.11
TONES = ("pass", "fail", "warn", "open", "link")
TEXTS = [
    *((text, ground) for text in ("ink", "soft", "link") for ground in ("page", "card")),
    *((tone, f"{tone}-tint") for tone in TONES),
    *((tone, "card") for tone in TONES),
    *((text, f"{tone}-tint") for text in ("ink", "soft") for tone in TONES),
    ("card", "pass"),  # the badge
]
DRAWN = [(colour, "card") for colour in ("blue", "vermilion", "green", "yellow", "sky", "purple")]


def themes():
    templates = environment()
    style, paper = source(templates, "style.css"), source(templates, "print.css")
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    light = variables(blocks[0])
    return {"light": light, "dark": light | variables(blocks[1]), "paper": light | variables(paper)}


def variables(block):
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block))


def luminance(colour):
    """WCAG 2.2, relative luminance of an sRGB colour."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_formula_by_hand():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", ["light", "dark", "paper"])
@pytest.mark.parametrize(("pairs", "least"), [(TEXTS, TEXT), (DRAWN, GRAPHICS)], ids=["text", "graphics"])
def test_contrast(theme, pairs, least):
    colours = themes()[theme]
    low = {pair: contrast(colours[pair[0]], colours[pair[1]]) for pair in pairs}
    assert {pair: round(ratio, 2) for pair, ratio in low.items() if ratio < least} == {}
