"""The page: header, table, why variants fail, warnings, what to try next, the decision. It fits a screen."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.text import Text

from edgecheck.records import Report, Withheld
from edgecheck.report import diagnostics, reasons
from edgecheck.report.decision import decide
from edgecheck.report.format import format_count
from edgecheck.report.terminal import header
from edgecheck.report.terminal.grid import Grid, fitted, footnote
from edgecheck.report.terminal.misses import Miss, misses
from edgecheck.report.terminal.names import cut, fold
from edgecheck.report.terminal.styles import QUIET, style
from edgecheck.text import plain

LINES = 40  # what a screen shows at once
ROWS = 15  # of the table for which that is enough: 13 variants, their baseline and a control
LINES_OF_MORE = 2  # for a further variant: its row, and why it fails
FOOTNOTE = 2  # lines below the table
LEAST_TOLD = 4  # lines of warnings and advice; with fewer, empty lines give way
ADVICE = 3
NAMED = 2  # variants that a warning names before it counts the others
LEAST_ROOM = 24  # for why a variant fails; with less, it is on a line of its own
_INDENT = "  "


def lines(report: Report, width: int) -> list[Text]:
    """Return the page, none of its lines wider than `width`.

    It has at most 40 lines for 13 variants at 100 columns: warnings and advice share what the rest leaves.
    """
    further = len(report.variants) - ROWS
    most = LINES + (LEAST_TOLD + LINES_OF_MORE * further if further > 0 else 0)
    grid = fitted(report, width)
    head, table, end = _header(report, width), grid.lines(), ending(report, width)
    why = _why(misses(report, grid.names), width)
    end = [*_unverified(report, width), *end]
    taken = len(head) + len(table) + len(why) + len(end)
    note = footnote(grid, width, FOOTNOTE if taken + FOOTNOTE < most else 1)
    left = most - taken - len(note)
    told = _told(report, grid, width, max(left - len((head, why, end, note)), min(left, LEAST_TOLD), 1))
    blocks = [head, [*table, *(Text(line, QUIET) for line in note)], why, told, end]
    return _joined([block for block in blocks if block], most)


def ending(report: Report, width: int) -> list[Text]:
    """Return whether the gate holds, and the decision, whole."""
    decided = decide(report)
    gate = [Text(line, style(reasons.outcome(report))) for line in fold(decided.gate, width)]
    return [*gate, *(Text(line, "bold") for line in fold(decided.headline, width))]


def _unverified(report: Report, width: int) -> list[Text]:
    """Return what does not match its digest, whole: nobody may overlook it."""
    return [Text(line, style("FAIL")) for text in reasons.unverified(report) for line in fold(text, width)]


def _header(report: Report, width: int) -> list[Text]:
    names = ("subject", "gate", "machine")
    indent = max(map(len, names)) + len(_INDENT)
    facts = header.short(report, width - indent)
    return [Text.assemble((name.ljust(indent), QUIET), facts[name]) for name in names]


def _why(found: Sequence[Miss], width: int) -> list[Text]:
    """Return a line for each miss, with its columns aligned; two where the terminal is narrow.

    What a waiver says is never cut.
    """
    status = max((len(miss.status) for miss in found), default=0)
    name = max((cell_len(miss.variant) for miss in found), default=0)
    room = width - status - name - 2 * len(_INDENT)
    texts = []
    for miss in found:
        word = (miss.status.ljust(status), style(miss.status))
        aligned = room >= LEAST_ROOM
        first, *rest = _reason(miss, room if aligned else width - len(_INDENT))
        if aligned:
            space = _INDENT + " " * (name - cell_len(miss.variant))
            texts.append(Text.assemble(word, _INDENT, miss.variant, space, first))
        else:
            texts += [Text.assemble(word, _INDENT, miss.variant), Text(_INDENT + first)]
        texts += [Text(" " * (width - room if aligned else len(_INDENT)) + line) for line in rest]
    return texts


def _reason(miss: Miss, room: int) -> list[str]:
    if miss.status == "WAIVED":
        return fold(miss.told + miss.more, room)
    return [cut(miss.told, room - len(miss.more)) + miss.more]


def _told(report: Report, grid: Grid, width: int, room: int) -> list[Text]:
    """Return warnings and what to try next, a line each, in at most `room` lines."""
    warnings, advice = _warnings(report, grid), reasons.advice(report)[:ADVICE]
    if room == 1 and len(warnings) + len(advice) > 1:
        return [_marked("more", QUIET, f"{format_count(len(warnings), 'warning')} and advice in report.html", width)]
    for_advice = min(len(advice), max(1, room - len(warnings)))
    return [
        *(_marked("warning", "yellow", text, width) for text in _at_most(warnings, room - for_advice)),
        *(_marked("try", QUIET, text, width) for text in advice[:for_advice]),
    ]


def _marked(word: str, word_style: str, text: str, width: int) -> Text:
    return Text.assemble((f"{word}: ", word_style), cut(text, width - len(word) - len(": ")))


def _at_most(warnings: Sequence[str], most: int) -> list[str]:
    if len(warnings) <= most:
        return list(warnings)
    shown = list(warnings[: most - 1])
    return [*shown, f"{len(warnings) - len(shown)}{' more' if shown else ''} in report.html"]


def _warnings(report: Report, grid: Grid) -> list[str]:
    """Return the warnings of the run, then those of variants, equal ones once."""
    kept_back: list[tuple[str, str]] = [(one.variant, _withheld(one)) for one in report.withheld]
    of_variants = [*diagnostics.grouped(kept_back), *diagnostics.groups(report, "warning")]
    return [
        *diagnostics.of_run(report, "warning"),
        *(f"{_owners(owners, grid)}: {text}" for owners, text in of_variants),
    ]


def _withheld(one: Withheld) -> str:
    return plain(reasons.withheld(one))


def _owners(owners: Sequence[str], grid: Grid) -> str:
    """Return `a, b`, or `a and 3 others`, with the names of the table."""
    shown = [grid.names.get(name, plain(name)) for name in owners]
    return ", ".join(shown) if len(shown) <= NAMED else f"{shown[0]} and {len(shown) - 1} others"


def _joined(blocks: Sequence[Sequence[Text]], most: int) -> list[Text]:
    """Return the lines of all blocks, with empty lines between them as far as there is room, the last ones first."""
    blanks = min(len(blocks) - 1, max(0, most - sum(map(len, blocks))))
    page = list(blocks[0])
    for place, block in enumerate(blocks[1:], start=1):
        page += [*([Text()] if place >= len(blocks) - blanks else []), *block]
    return page
