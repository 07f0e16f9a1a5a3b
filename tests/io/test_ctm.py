"""CTM: rows of one file and channel are one line; what is no row is named."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble_htr.errors import InputError
from ensemble_htr.io.ctm import read_ctm
from ensemble_htr.io.records import Record

WORD = st.text("aéçq0'", min_size=1, max_size=5)
SURE = st.floats(0, 1).map(lambda p: round(p, 4))


def rows(text: str) -> Iterator[tuple[str, str]]:
    return ((f"x.ctm:{i}", row) for i, row in enumerate(text.splitlines(), 1))


def read(text: str) -> list[Record]:
    return list(read_ctm(rows(text)))


@given(st.lists(st.lists(st.tuples(WORD, SURE), min_size=1, max_size=4), max_size=3))
def test_words_and_what_is_said_of_them_come_back(lines: list[list[tuple[str, float]]]) -> None:
    text = "".join(
        f"l{i} 1 {j}.0 0.5 {word} {p}\n" for i, line in enumerate(lines)
        for j, (word, p) in enumerate(line)
    )  # fmt: skip
    found = read(text)
    assert [r.text for r in found] == [" ".join(w for w, _ in line) for line in lines]
    for record, line in zip(found, lines, strict=True):
        assert record.confidences is not None
        start = 0
        for word, p in line:  # the product of a word's characters is what was said of the word
            assert math.prod(record.confidences[start : start + len(word)]) == pytest.approx(p)
            start += len(word) + 1


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (";; a comment\n\na 1 0 1 le\na 1 1 1 roi\n", [("a", "le roi")]),
        ("a A 0 1 le\na B 0 1 roi\n", [("a", "le"), ("a-B", "roi")]),  # a channel of its own
        ("a 1 0 1 le 0.5\na 1 1 1 roi NA\n", [("a", "le roi")]),
        ("a 1 0 1 le 0.5 lex spk\n", [("a", "le")]),  # further columns
        ("a 1 0 1 @\n", [("a", "")]),
        ("a 1 0 1 l\na 1 1 1 e\na 1 2 1 <space>\na 1 3 1 e\u0301\n", [("a", "le é")]),
    ],
)
def test_rows(text: str, wanted: list[tuple[str, str]]) -> None:
    assert [(r.id, r.text) for r in read(text)] == wanted


def test_alternatives_are_an_n_best_list() -> None:
    text = """a 1 0 1 le 0.9
a 1 * * <ALT_BEGIN>
a 1 1 1 roi 0.3
a 1 * * <ALT>
a 1 1 1 roy 0.6
a 1 * * <ALT>
a 1 1 1 @ 0.1
a 1 * * <ALT_END>
"""
    (record,) = read(text)
    assert record.text == "le roy" and record.confidences is not None
    assert [t for t, _ in record.nbest] == ["le roy", "le roi", "le"]
    assert record.nbest[0][1] == pytest.approx(math.log(0.54))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a 1 0 1\n", "wanted file, channel"),
        ("a 1 x 1 le\n", "a time in seconds"),
        ("a 1 0 nan le\n", "a time in seconds"),
        ("a 1 -1 1 le\n", "a time in seconds"),
        ("a 1 0 1 le nan\n", "not a number in [0, 1]"),
        ("a 1 0 1 le 97\n", "not a number in [0, 1]"),
        ("a 1 0 1 le sure\n", "not a number in [0, 1]"),
        ("a 1 * * <ALT>\n", "without <ALT_BEGIN>"),
        ("a 1 * * <ALT_BEGIN>\na 1 * * <ALT_BEGIN>\n", "within <ALT_BEGIN>"),
        ("a 1 * * <ALT_BEGIN>\na 1 0 1 le\n", "before its <ALT_END>"),
        ("a 1 0 1 le\n" * 50_001, "more than 50000 rows"),
    ],
)
def test_what_is_no_row_is_named(text: str, said: str) -> None:
    with pytest.raises(InputError) as error:
        read(text)
    assert str(error.value).startswith("x.ctm:") and said in str(error.value)
    assert len(str(error.value)) < 300
