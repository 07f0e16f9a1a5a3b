"""Words that were read: which are right, and whose the edits are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ensemble_htr.metrics import alignment_pairs, words_read

lines = st.text(alphabet="ab ", max_size=12).map(lambda text: " ".join(text.split()))


def read(truth: str, text: str) -> list[tuple[str, int, bool]]:
    found = words_read(alignment_pairs(truth, text))
    return [(text[w.start : w.stop], w.edits, w.right) for w in found]


def test_words_and_blanks() -> None:
    assert read("la rue", "la rue") == [("la", 0, True), ("rue", 0, True)]
    assert read("la rue", "la rne") == [("la", 0, True), ("rne", 1, False)]
    assert read("la rue", "larue") == [("larue", 1, False)]
    assert read("larue", "la rue") == [("la", 1, False), ("rue", 0, False)]
    assert read("la rue", "") == []


@given(lines, lines)
def test_the_words_are_those_of_the_text_and_hold_all_edits(truth: str, text: str) -> None:
    found = read(truth, text)
    assert [word for word, _, _ in found] == text.split()
    pairs = alignment_pairs(truth, text)
    edits = sum(wanted != got for wanted, got in pairs)
    assert sum(n for _, n, _ in found) == (edits if found else 0)
    assert all(n == 0 for _, n, right in found if right)


@given(lines)
def test_a_text_read_right_has_right_words_alone(text: str) -> None:
    assert all(right and not edits for _, edits, right in read(text, text))
