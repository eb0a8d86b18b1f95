"""Places the names of points in a chart where they cover neither each other, nor points, nor lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from attrs import field, frozen

CHARACTER = 5.4  # width in pixels of a character of `SIZE_POINTS`, at matplotlib's 100 dots per inch
HEIGHT = 12.0  # pixels
SIZE_POINTS = 8
MARK = 9.0  # of a point in pixels, with some air
MOST_COVERED = 25.0  # square pixels: a corner of a mark, or a line
AIR = 3.0  # pixels between a name and the frame
PIXELS_PER_POINT = 100 / 72
GAP_POINTS = 7

Box = tuple[float, float, float, float]


@frozen
class Obstacles:
    """What a name should not cover, in pixels: boxes, and the places of horizontal and vertical lines."""

    boxes: Sequence[Box] = ()
    horizontal: Sequence[float] = field(factory=list)
    vertical: Sequence[float] = field(factory=list)

    def overlap(self, box: Box) -> float:
        """Return how much a box covers: the area of boxes, and a fixed cost for each line."""
        left, bottom, right, top = box
        crossed = sum(bottom < y < top for y in self.horizontal) + sum(left < x < right for x in self.vertical)
        return sum(_common(box, other) for other in self.boxes) + 20.0 * crossed


def name_points(axes: Any, named: Sequence[tuple[str, float, float]], obstacles: Obstacles) -> None:
    """Write names (name, x, y) beside their points, those given first at the best places.

    A name that would cover another name, much of a point, or leave the axes is left out; the first one is written even
    over points.
    """
    points = [axes.transData.transform((x, y)) for _, x, y in named]
    frame = axes.bbox.extents
    written: list[Box] = []
    for (name, x, y), point in zip(named, points, strict=True):
        seen = Obstacles(
            [*obstacles.boxes, *marks(axes, ((x, y) for _, x, y in named))], obstacles.horizontal, obstacles.vertical
        )
        free = [
            (seen.overlap(box), number, look, box)
            for number, (look, box) in enumerate(_places(point, CHARACTER * len(name)))
            if _inside(box, frame) and not any(_common(box, other) for other in written)
        ]
        if free and (not written or min(free)[0] <= MOST_COVERED):
            _, _, (shift, side, up), box = min(free, key=lambda one: one[:2])
            written.append(box)
            axes.annotate(
                name,
                (x, y),
                shift,
                textcoords="offset points",
                fontsize=SIZE_POINTS,
                ha=side,
                va=up,
                annotation_clip=False,
            )


def marks(axes: Any, points: Iterable[tuple[float, float]]) -> list[Box]:
    """Return the boxes of points (x, y) in pixels."""
    at = [axes.transData.transform(point) for point in points]
    return [(x - MARK / 2, y - MARK / 2, x + MARK / 2, y + MARK / 2) for x, y in at]


def _places(point: Sequence[float], width: float) -> Iterator[tuple[tuple[tuple[float, float], str, str], Box]]:
    """Yield (shift in points, alignments) and the box of each place for a name, the preferred one first."""
    x, y = point
    gap, half = GAP_POINTS * PIXELS_PER_POINT, HEIGHT / 2
    yield ((GAP_POINTS, 0), "left", "center"), (x + gap, y - half, x + gap + width, y + half)
    yield ((-GAP_POINTS, 0), "right", "center"), (x - gap - width, y - half, x - gap, y + half)
    yield ((0, GAP_POINTS), "center", "bottom"), (x - width / 2, y + gap, x + width / 2, y + gap + HEIGHT)
    yield ((0, -GAP_POINTS), "center", "top"), (x - width / 2, y - gap - HEIGHT, x + width / 2, y - gap)
    yield ((GAP_POINTS, GAP_POINTS), "left", "bottom"), (x + gap, y + gap, x + gap + width, y + gap + HEIGHT)
    yield ((GAP_POINTS, -GAP_POINTS), "left", "top"), (x + gap, y - gap - HEIGHT, x + gap + width, y - gap)
    yield ((-GAP_POINTS, GAP_POINTS), "right", "bottom"), (x - gap - width, y + gap, x - gap, y + gap + HEIGHT)
    yield ((-GAP_POINTS, -GAP_POINTS), "right", "top"), (x - gap - width, y - gap - HEIGHT, x - gap, y - gap)


def _inside(box: Box, frame: Sequence[float]) -> bool:
    left, bottom, right, top = frame
    return box[0] >= left + AIR and box[1] >= bottom + AIR and box[2] <= right - AIR and box[3] <= top - AIR


def _common(one: Box, other: Box) -> float:
    """Return the common area of two boxes."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return wide * high if wide > 0 and high > 0 else 0.0
