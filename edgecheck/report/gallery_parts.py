"""What the template of the gallery shows: text, and the ids of pictures that the page holds once."""

from __future__ import annotations

from attrs import frozen

from edgecheck.records import Gallery, Side


@frozen
class Row:
    """One image: what is said of it, and the ids of its pictures, None for a picture that is not there.

    `answers` and `wrong` are by side; `scores` has method and Sp2PS; `alt` has the text that stands for each of the
    four pictures; `maps` are by side, then by method in the order of `Page.methods`.
    """

    index: str
    label: int
    label_name: str
    answers: dict[Side, str]
    wrong: dict[Side, bool]
    scores: list[tuple[str, str]]
    alt: dict[str, str]
    image: str | None
    maps: dict[Side, list[str | None]]


@frozen
class Rows:
    """One group of images: its heading, what it means, and its rows, or why there are none."""

    title: str
    meaning: str
    empty: str
    rows: list[Row]


@frozen
class Section:
    """One variant: its verdict, its number in the report, what sums it up, and its groups.

    `missing` says why pictures are not there; "" where they are.
    """

    variant: str
    word: str
    number: int
    summary: str
    gallery: Gallery
    groups: list[Rows]
    missing: str


@frozen
class Page:
    """Everything that the gallery shows.

    `classes` are the labels of the images; `stored` has id and data URI of every picture; `missing` says why there is
    nothing to show.
    """

    methods: list[str]
    classes: list[tuple[int, str]]
    explained: str
    sections: list[Section]
    stored: list[tuple[str, str]]
    missing: str
