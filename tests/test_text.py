import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecheck.text import plain, visible

# Surrogates too, which st.text() leaves out.
ANYTHING = st.text(st.characters())
STEERING = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("l1-filters-0.20", "l1-filters-0.20"),
        ("Größe 猫 Δ — µs", "Größe 猫 Δ — µs"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("\x9b31m\x85", r"\x9b31m"),  # CSI and NEL of C1; the second is whitespace
        ("a\nb\r\nc\td\u2028e", "a b c d e"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("a\u200bb\u200dc\ufeffd\u00ade", r"a\u200bb\u200dc\ufeffd\xade"),
        ("\ud800", r"\ud800"),
        ("caf\udce9.onnx", r"caf\xe9.onnx"),  # a byte of a file name that is not UTF-8
        ("\U000e0041\uffff", r"\U000e0041\uffff"),
    ],
)
def test_what_cannot_be_printed_is_seen(text, shown):
    assert plain(text) == shown


@settings(deadline=None)
@given(ANYTHING)
def test_plain_text_is_one_line_without_a_character_that_steers(text):
    line = plain(text)
    line.encode("utf-8")
    assert not {unicodedata.category(character) for character in line} & STEERING
    assert len(line.splitlines()) <= 1
    assert line == line.strip()
    assert plain(line) == line


@settings(deadline=None)
@given(ANYTHING)
def test_visible_text_can_be_read_back(text):
    """Nothing is lost but the difference between a byte and its escape: what was printable stands as it was."""
    back = re.sub(r"\\(?:x(..)|u(....)|U(........))", lambda m: chr(int(m[1] or m[2] or m[3], 16)), visible(text))
    as_bytes = re.sub("[\udc80-\udcff]", lambda m: chr(ord(m[0]) - 0xDC00), text)
    assert back == as_bytes or "\\" in text


def test_indentation_stays_where_it_may():
    assert visible("    raise \x1b") == r"    raise \x1b"
