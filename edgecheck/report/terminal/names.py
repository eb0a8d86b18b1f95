"""Shortens text to a width, between words where it has any.

A name consists of words, each with the separators `-`, `_`, `/` or space behind it. Names are shortened alike: words
that several of them have are replaced by `…`, the most frequent first, such as those of a common front.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import count

from rich.cells import cell_len

GAP = "…"
LEAST_WIDTH = 8  # room for one character, the gap and a number that keeps the name unique
_WORD = re.compile(r"[^-_/ ]*[-_/ ]+|[^-_/ ]+$")
_CUT = " ..."

Words = tuple[str, ...]


def shorten(names: Iterable[str], width: int) -> dict[str, str]:
    """Return each name in at most `width` columns, at least 8; different names stay different.

    Names that fit are unchanged. The others all lose the same words. A word is cut only if it alone is too wide.
    """
    words = {name: _words(name) for name in names}
    wide = [name for name, own in words.items() if not _fits(own, width)]
    for common in _by_frequency(list(words.values())):
        needed = any(common in words[name] and not _fits(words[name], width) for name in wide)
        shorter = {**words, **{name: _without(words[name], common) for name in wide}}
        if needed and len(set(shorter.values())) == len(words):
            words = shorter
    return _told_apart({name: _squeezed(own, width) for name, own in words.items()}, width)


def cut(text: str, width: int) -> str:
    """Return text that fits `width` columns: of a longer one, the first words and `...`."""
    if cell_len(text) <= width:
        return text
    kept = ""
    for word in text.split(" "):
        longer = f"{kept} {word}" if kept else word
        if cell_len(longer) + len(_CUT) > width:
            break
        kept = longer
    return kept.rstrip(",;:") + _CUT if kept else _head(text, width)


def fold(text: str, width: int) -> list[str]:
    """Return all of a text in lines of at most `width` columns, broken between words that fit a line."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if cell_len(longer) <= width:
            lines[-1] = longer
            continue
        lines += [] if lines[-1] else [""]
        *full, rest = _slices(word, width)
        lines = [*(lines if lines[-1] else lines[:-1]), *full, rest]
    return lines


def _slices(word: str, width: int) -> list[str]:
    slices = [""]
    for character in word:
        if cell_len(slices[-1] + character) > width:
            slices.append("")
        slices[-1] += character
    return slices


def _words(name: str) -> Words:
    return tuple(_WORD.findall(name)) or (name,)


def _fits(words: Words, width: int) -> bool:
    return cell_len("".join(words)) <= width


def _by_frequency(names: Sequence[Words]) -> list[str]:
    """Return the words that several names have before their last one, the most frequent first, then from the front."""
    names_with = Counter(word for own in names for word in dict.fromkeys(own[:-1]))
    places = {word: place for own in names for place, word in reversed(list(enumerate(own)))}
    several = [word for word, number in names_with.items() if number > 1]
    return sorted(several, key=lambda word: (-names_with[word], places[word]))


def _without(words: Words, common: str) -> Words:
    """Return the words of a name with a gap for one of them; the last word stays."""
    *front, last = (GAP if word == common and place < len(words) - 1 else word for place, word in enumerate(words))
    merged = [word for before, word in zip(["", *front], front, strict=False) if (before, word) != (GAP, GAP)]
    return (*merged, last)


def _squeezed(words: Words, width: int) -> str:
    """Return a name without words of its middle, or the start of its last word if that alone is too wide."""
    if _fits(words, width):
        return "".join(words)
    for kept in range(len(words) - 1, 0, -1):
        front, back = words[: kept // 2], words[len(words) - (kept - kept // 2) :]
        shorter = [word for word in (*front, *back) if word != GAP]
        shorter.insert(min(len(front), len(shorter) - 1), GAP)
        if _fits(tuple(shorter), width):
            return "".join(shorter)
    return _head("".join(words), width)


def _head(text: str, width: int) -> str:
    kept = ""
    for character in text:
        if cell_len(kept + character) + 1 > width:
            break
        kept += character
    return kept + GAP


def _told_apart(short: dict[str, str], width: int) -> dict[str, str]:
    """Return unique names: one that is taken ends in `…` and a number."""
    # A name that is unchanged keeps itself, whatever others were shortened to.
    taken = {name for name, text in short.items() if name == text}
    unique = {}
    for name, text in short.items():
        choice = text
        for number in count(2):
            if choice == name or choice not in taken:
                break
            choice = _head(text, width - len(str(number))) + str(number)
        taken.add(choice)
        unique[name] = choice
    return unique
