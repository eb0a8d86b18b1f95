"""Text and tables as GitHub-flavoured Markdown: what text of any origin needs, so that it is shown as it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from edgecheck.report.cutting import Block
from edgecheck.text import plain, shortened

MOST_CHARACTERS = 500  # of a sentence or a name in a report; of a longer one both ends are shown

# Characters that are markup in Markdown or in HTML inside it. GitHub turns @name into a notification, and #1 and
# addresses into links, even if the sign is escaped; only an empty comment inside prevents that.
_MARKUP = re.compile(r"://|(?<=www)\.|[\\`*_\[\]<>|~$&@#]", re.IGNORECASE)
_REPLACED = {"<": "&lt;", ">": "&gt;", "&": "&amp;", "|": "&#124;", "$": "&#36;", "@": "@<!-- -->", "#": "#<!-- -->"}
_REPLACED |= {"://": ":<!-- -->//", ".": "<!-- -->."}
# Characters that start a list or a heading at the beginning of a line.
_LINE_START = re.compile(r"^(\d*)([-+=.)])(?=[\s=-]|$)")


def escape(text: str) -> str:
    """Escape text so that Markdown shows it unchanged."""
    inline = _MARKUP.sub(lambda sign: _REPLACED.get(sign[0], "\\" + sign[0]), plain(text))
    return _LINE_START.sub(r"\1\\\2", inline)


def told(text: str) -> str:
    """Escape text, of which the middle is left out if it is very long."""
    return escape(shortened(plain(text), MOST_CHARACTERS))


def table_row(cells: Iterable[str]) -> str:
    """Return cells as a row of a table."""
    return f"| {' | '.join(cells)} |"


def heading(titles: Sequence[str], texts: int = 1) -> tuple[str, str]:
    """Return the heading of a table whose first columns hold text and the others numbers."""
    rule = ["---" if place < texts else "---:" for place in range(len(titles))]
    return table_row(map(told, titles)), table_row(rule)


def details(title: str, block: Block, opened: bool = False) -> Block:
    """Return a block as a section that unfolds."""
    begin = ("", f"<details{' open' if opened else ''}><summary>{escape(title)}</summary>", "")
    return Block(block.items, block.noun, (*begin, *block.before), (*block.after, "", "</details>"))
