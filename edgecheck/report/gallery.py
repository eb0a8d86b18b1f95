"""The gallery: for a few images of each variant, what both models answer and where they look, as the page shows it.

A page holds every picture once, as an SVG image to which each row refers. Heatmaps are grey; filters of the page colour
them and subtract one from the other.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import get_args

from attrs import frozen

from edgecheck.attribution.table import in_order
from edgecheck.gate.margins import nearest
from edgecheck.records import Gallery, Group, Report, Shown, Side, Variant
from edgecheck.report import reasons, table
from edgecheck.report.class_names import class_name
from edgecheck.report.format import format_integer, format_value
from edgecheck.report.gallery_parts import Page, Row, Rows, Section

Pictures = Mapping[str, Mapping[str, bytes]]
"""The content of the pictures, by variant and name."""

TITLES: dict[Group, str] = {"moved": "Same class, moved most", "changed": "Prediction changed", "typical": "Typical"}
MEANINGS: dict[Group, str] = {
    "moved": "Of the images on which both models predict the same class, those with the lowest Sp2PS by {method}.",
    "changed": "The models predict different classes. Images that the baseline had right come first, the surest first.",
    "typical": "Their Sp2PS by {method} is nearest to the median of all images, {median}.",
}
EMPTY: dict[Group, str] = {
    "moved": "There is no image on which both models predict the same class.",
    "changed": "Both models predict the same class on every image.",
    "typical": "No image is left: the other groups show all of them.",
}
EXPLAINED = {
    "predicted": "A heatmap explains the class that its own model predicts.",
    "baseline": "Both heatmaps explain the class that the baseline predicts.",
    "label": "Both heatmaps explain the label.",
}
NOT_COMPARED = "No heatmaps were compared in this run."
NOT_MADE = (
    "This run made no pictures. They need explain.pictures above 0 and PyTorch and OpenCV on the machine of the run: "
    'pip install "edgecheck[lab]".'
)
OLDER = "An older version of edgecheck made the pictures of this run. Run it again to see them here."
NOT_HERE = "The pictures are not shown: they were left out, or {files} is missing or damaged."


def content(report: Report, pictures: Pictures) -> Page:
    """Return what the gallery shows: the recommended or nearest variant first.

    Args:
        report: the report.
        pictures: those that could be read; without them, the text is shown alone.
    """
    album, methods = _Album(), _methods(report)
    views = [
        _View(report, variant, variant.gallery, methods, album.of(pictures.get(variant.name, {})))
        for variant in ordered(report)
        if variant.gallery
    ]
    sections = [_section(view) for view in views]
    labels = sorted({row.label for section in sections for group in section.groups for row in group.rows})
    return Page(
        methods=methods,
        classes=[(label, class_name(report, label)) for label in labels],
        explained=EXPLAINED.get(report.subject.class_explained, ""),
        sections=sections,
        stored=album.stored(),
        missing="" if sections else _reason(report),
    )


def ordered(report: Report) -> list[Variant]:
    """Return the recommended variant, the one nearest to passing, the other candidates, then the controls."""
    near = nearest(report)
    first = [report.recommendation.variant, near.name if near else None]
    judged = [*table.candidates(report), *table.controls(report)]
    return sorted(judged, key=lambda variant: first.index(variant.name) if variant.name in first else len(first))


def _reason(report: Report) -> str:
    """Return why no variant has anything to show."""
    if any(variant.pictures for variant in report.variants):
        return OLDER
    return NOT_MADE if report.similarities else NOT_COMPARED


Find = Callable[[str], str | None]


class _Album:
    """The pictures of a page by content, so that equal ones are stored once."""

    def __init__(self) -> None:
        self._ids: dict[bytes, str] = {}

    def of(self, pictures: Mapping[str, bytes]) -> Find:
        """Return what finds the id of a picture of one variant by its name."""

        def find(name: str) -> str | None:
            if name not in pictures:
                return None
            return self._ids.setdefault(pictures[name], f"picture-{len(self._ids)}")

        return find

    def stored(self) -> list[tuple[str, str]]:
        """Return id and data URI of each."""
        return [(name, f"data:image/webp;base64,{b64encode(webp).decode()}") for webp, name in self._ids.items()]


@frozen(eq=False)
class _View:
    """What the rows of one variant are made from."""

    report: Report
    variant: Variant
    gallery: Gallery
    methods: list[str]
    find: Find


def _methods(report: Report) -> list[str]:
    shown = (one for variant in report.variants if variant.gallery for one in variant.gallery.shown)
    return in_order(method for one in shown for method in one.sp2ps)


def _section(view: _View) -> Section:
    report, variant = view.report, view.variant
    withheld = next((reasons.withheld(one) for one in report.withheld if one.variant == variant.name), "")
    groups = [] if withheld else [_rows(view, group) for group in get_args(Group)]
    absent = any(row.image is None for group in groups for row in group.rows)
    return Section(
        variant=variant.name,
        word=table.verdict_word(report, variant),
        number=report.variants.index(variant),
        summary="" if withheld else _summary(view),
        gallery=view.gallery,
        groups=groups,
        missing=withheld or (NOT_HERE.format(files=", ".join(variant.pictures)) if absent else ""),
    )


def _summary(view: _View) -> str:
    """Return `grad-cam Sp2PS 0.834`, of all images."""
    method = view.gallery.method
    reading = view.report.value(view.variant.name, f"sp2ps.{method}")
    return f"{method} Sp2PS {format_value(reading.value, 'score')}" if reading else ""


def _rows(view: _View, group: Group) -> Rows:
    rows = [_row(view, one) for one in view.gallery.shown if one.group == group]
    method, median = view.gallery.method, format_value(view.gallery.median, "score")
    meaning = MEANINGS[group].format(method=method, median=median)
    return Rows(TITLES[group], meaning, EMPTY[group], rows)


def _row(view: _View, one: Shown) -> Row:
    sides: tuple[Side, ...] = get_args(Side)
    answers: dict[Side, str] = {
        "baseline": _answer(view, one.baseline_class, one.baseline_confidence),
        "variant": _answer(view, one.variant_class, one.variant_confidence),
    }
    return Row(
        index=format_integer(one.index),
        label=one.label,
        label_name=class_name(view.report, one.label),
        answers=answers,
        wrong={"baseline": one.baseline_class != one.label, "variant": one.variant_class != one.label},
        scores=[(method, format_value(one.sp2ps.get(method), "score")) for method in view.methods],
        alt=_alt(view, one, answers),
        image=view.find(one.picture),
        maps={side: [view.find(one.heatmap(method, side)) for method in view.methods] for side in sides},
    )


def _answer(view: _View, predicted: int, confidence: float) -> str:
    """Return `"cat" 0.98`."""
    return f'"{class_name(view.report, predicted)}" {confidence:.2f}'


def _alt(view: _View, one: Shown, answers: Mapping[Side, str]) -> dict[str, str]:
    """Return the text that stands for the image, both heatmaps, and their difference."""
    image = f"image {format_integer(one.index)}, label {class_name(view.report, one.label)}"
    before, after = view.report.variants[0].name, view.variant.name
    return {
        "image": image,
        "baseline": f"Heatmap of {before} over {image}: it predicts {answers['baseline']}",
        "variant": f"Heatmap of {after} over {image}: it predicts {answers['variant']}",
        "difference": f"Heatmap of {after} minus that of {before}, over {image}",
    }
