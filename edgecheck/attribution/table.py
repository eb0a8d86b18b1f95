"""The table of attribution methods: name, needs, default threshold, and style in charts.

This table is the only place that names the methods. Metrics, the default gate, reports and charts are derived from it.
It imports neither NumPy nor PyTorch, so that configurations and reports can be read without them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal, get_args

from attrs import field, frozen

from edgecheck.registry import Reference, lookup

Need = Literal["activations", "gradients", "drops", "masks", "input-gradients", "own-head", "positions"]
"""A part of the evidence. `masks`: logits of masked inputs. `own-head`: logits of feature maps the method makes.
`positions`: logits of each position kept alone."""

Needs = frozenset[Need]

Colour = Literal["blue", "green", "vermilion", "yellow", "sky", "purple"]


@frozen
class Look:
    """How charts and tables show a method.

    Attributes:
        colour: the name of a colour in `report.svg`.
        marker: a matplotlib marker, so that methods differ not only by colour.
        importance: 0 to 100; if a table is too wide, the column of least importance is omitted first.
    """

    colour: Colour = "yellow"
    marker: str = "h"
    importance: int = 25


def _needs(needs: Iterable[Need]) -> Needs:
    if unknown := set(needs) - set(get_args(Need)):
        raise ValueError(f"unknown need {', '.join(map(repr, unknown))}; known: {', '.join(get_args(Need))}")
    return frozenset(needs)


@frozen
class Method:
    """A method that computes one map per image.

    Attributes:
        name: the name in configurations and metrics, such as `grad-cam`.
        title: the name in prose.
        needs: the parts of the evidence that the method uses.
        source: the paper that defines it.
        on_by_default: whether it is used if `explain.methods` is not set.
        threshold: the default limit for its Sp2PS, from the literature; None if there is none.
        look: how charts and tables show it.
        implementation: `module:function` of a built-in method, imported when the method is first used, or the function
            itself (set by `register_method`).
    """

    name: str
    title: str
    needs: Needs = field(converter=_needs)
    source: str
    on_by_default: bool = False
    threshold: float | None = None
    look: Look = field(factory=Look)
    implementation: Reference = ""


_HERE = "edgecheck.attribution.methods"

# Thresholds: Renza & Ballesteros, Informatics 2023, 10(3), 72.
METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method(
            "grad-cam",
            "Grad-CAM",
            {"activations", "gradients"},
            "Selvaraju et al. 2017, Eq. 1",
            on_by_default=True,
            threshold=0.95,
            look=Look("blue", "s", 80),
            implementation=f"{_HERE}.grad_cam:grad_cam",
        ),
        Method(
            "grad-cam++",
            "Grad-CAM++",
            {"activations", "gradients"},
            "Chattopadhay et al. 2018, Eqs 7 and 19",
            on_by_default=True,
            look=Look("green", "^", 30),
            implementation=f"{_HERE}.grad_cam_plusplus:grad_cam_plusplus",
        ),
        Method(
            "ablation-cam",
            "Ablation-CAM",
            {"activations", "drops"},
            "Desai & Ramaswamy 2020, Eq. 3",
            on_by_default=True,
            threshold=0.9,
            look=Look("vermilion", "D", 70),
            implementation=f"{_HERE}.ablation_cam:ablation_cam",
        ),
        Method(
            "layer-cam",
            "LayerCAM",
            {"activations", "gradients"},
            "Jiang et al. 2021",
            look=Look("yellow", "v", 28),
            implementation=f"{_HERE}.layer_cam:layer_cam",
        ),
        Method(
            "xgrad-cam",
            "XGrad-CAM",
            {"activations", "gradients"},
            "Fu et al. 2020",
            look=Look("purple", "P", 27),
            implementation=f"{_HERE}.xgrad_cam:xgrad_cam",
        ),
        Method(
            "hires-cam",
            "HiResCAM",
            {"activations", "gradients"},
            "Draelos & Carin 2020",
            look=Look("sky", "X", 26),
            implementation=f"{_HERE}.hires_cam:hires_cam",
        ),
        Method(
            "score-cam",
            "Score-CAM",
            {"activations", "masks"},
            "Wang et al. 2020",
            look=Look("purple", "p", 29),
            implementation=f"{_HERE}.score_cam:score_cam",
        ),
        Method(
            "recipro-cam",
            "ReciproCAM",
            {"positions"},
            "Byun & Lee 2024",
            look=Look("sky", "8", 31),
            implementation=f"{_HERE}.recipro_cam:recipro_cam",
        ),
    )
}


def default_methods() -> list[str]:
    """Return the names of the methods that are used by default."""
    return [method.name for method in METHODS.values() if method.on_by_default]


def default_criteria(methods: Iterable[str]) -> list[str]:
    """Return a gate sentence, such as `sp2ps.grad-cam >= 0.95`, for each method with a threshold."""
    return [
        f"sp2ps.{METHODS[name].name} >= {METHODS[name].threshold:.2f}"
        for name in methods
        if METHODS[name].threshold is not None
    ]


def needs_of(methods: Iterable[str]) -> Needs:
    """Return all parts of the evidence that the methods use.

    Raises:
        ConfigError: unknown method.
    """
    return frozenset(need for name in methods for need in lookup(METHODS, name, "CAM method").needs)


def satisfied_by(parts: Collection[Need]) -> list[str]:
    """Return the names of the methods that need nothing beyond these parts of the evidence."""
    return [method.name for method in METHODS.values() if method.needs <= frozenset(parts)]


def trainable() -> list[str]:
    """Return the names of the methods whose maps a loss can keep: they need feature maps and gradients alone."""
    return satisfied_by({"activations", "gradients"})


def independent() -> list[str]:
    """Return the names of the methods that tell something else than a trained map.

    They change channels or inputs and watch the logits. The others are made from the same feature maps and gradients as
    a trainable map. On a pooling and linear head HiResCAM, XGrad-CAM and ReciproCAM even are Grad-CAM.
    """
    return [method.name for method in METHODS.values() if method.needs & {"drops", "masks"}]


def in_order(methods: Iterable[str]) -> list[str]:
    """Return the methods in the order of the table; unknown ones come last, by name."""
    given = set(methods)
    return [name for name in METHODS if name in given] + sorted(given - set(METHODS))


def look_of(method: str) -> Look:
    """Return the style of a method; the default style for an unknown method."""
    return METHODS[method].look if method in METHODS else Look()
