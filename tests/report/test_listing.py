"""Tables of text at the widths of terminals: no word is broken."""

import re

import pytest

from edgecheck.pipeline.inspect import reference
from edgecheck.report.listing import Listing, render

LISTINGS = {"metrics": reference.metrics, "criteria": reference.criteria, "one": lambda: reference.metrics("accuracy")}


@pytest.mark.parametrize("width", [60, 80, 100, 120, 140])
@pytest.mark.parametrize("name", LISTINGS)
def test_no_word_is_broken(name, width):
    listing = LISTINGS[name]()
    text = render(listing, width)
    assert max(map(len, text.splitlines())) <= width
    texts = [listing.title, *listing.columns, *listing.notes, *(cell for row in listing.rows for cell in row)]
    whole = set(_parts(texts))
    assert set(_parts(text.partition("Omitted")[0].splitlines())) - {"─" * len(_rule(text))} <= whole


def _parts(texts):
    """Yield what a line break may not divide: words, and of names what lies between separators."""
    return [part for text in texts for part in re.split(r"[-\s./_]+", text) if part]


def _rule(text):
    return next(line for line in text.splitlines() if line.startswith("─"))


def test_the_source_of_metrics_gives_way_to_their_names():
    narrow = render(reference.metrics(), 80)
    assert "Omitted at 80 columns: source." in narrow
    assert "\naccuracy_drop_pp.worst_class " in narrow
    assert "Omitted" not in render(reference.metrics(), 120)


def test_headings_are_wrapped_with_their_column():
    heading = render(reference.criteria(), 60).partition("──")[0].splitlines()[2:]
    assert [line for line in heading if not line.strip()] == []
    assert len(heading) == 2
    assert {"meaning", "of", "the", "score"} <= set(" ".join(heading).split())


def test_a_column_is_wrapped_between_words_beside_one_that_is_not():
    listing = Listing("t", ["name", "text", "n"], [["a", "one two three four five", "1"]], {}, [], 2, wrapped=("text",))
    assert render(listing, 24).splitlines()[4:] == ["a     one two three  1", "      four five"]


def test_without_rows_there_are_no_headings():
    assert render(Listing("nothing changed", ["variant", "metric"], [], {}, ["63 readings equal"])) == (
        "nothing changed\n\n63 readings equal\n"
    )
