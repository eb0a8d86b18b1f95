"""Cuts a page of blocks to a length, and says what was cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from attrs import field, frozen

_SHARE = 0.5  # of the room that is left for a block: a long one leaves room for those behind it


def _lines(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(lines)


@frozen
class Block:
    """Lines of which any number may be cut from the end, between lines that stay.

    Attributes:
        items: what may be cut, such as the rows of a table.
        noun: what the items are, for `... and 12 more rows`.
        before: such as the heading of a table.
        after: such as the end of a section.
    """

    items: tuple[str, ...] = field(converter=_lines)
    noun: str = "lines"
    before: tuple[str, ...] = field(default=(), converter=_lines)
    after: tuple[str, ...] = field(default=(), converter=_lines)


def fitted(blocks: Sequence[Block], most_bytes: int) -> list[str]:
    """Return the lines of blocks in at most `most_bytes` of UTF-8, each with its line feed.

    Each block but the last may take half of the room that is left.
    """
    lines: list[str] = []
    for place, block in enumerate(blocks):
        left = most_bytes - _size(lines)
        lines += _cut(block, left if place == len(blocks) - 1 else int(left * _SHARE))
    return lines


def _cut(block: Block, most_bytes: int) -> list[str]:
    whole = [*block.before, *block.items, *block.after]
    if _size(whole) <= most_bytes:
        return whole
    room = most_bytes - _size([*block.before, *_rest(len(block.items), block.noun), *block.after])
    kept = list(_first(block.items, room))
    lines = [*block.before, *kept, *_rest(len(block.items) - len(kept), block.noun), *block.after]
    return lines if _size(lines) <= most_bytes else []


def _first(items: Iterable[str], room: int) -> Iterator[str]:
    for item in items:
        room -= _size([item])
        if room < 0:
            return
        yield item


def _rest(count: int, noun: str) -> tuple[str, str]:
    return "", f"... and {count:,} more {noun}: too long for this page, `--format json` has all."


def _size(lines: Iterable[str]) -> int:
    return sum(len(line.encode()) + 1 for line in lines)
