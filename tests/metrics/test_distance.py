"""Laws of edit counts, against a slow textbook Levenshtein."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble_htr.metrics import (
    Counts,
    alignment_pairs,
    char_counts,
    edit_counts,
    edit_distance,
    word_counts,
)
from ensemble_htr.text import PROFILES, profile

TOKENS = st.lists(st.sampled_from(["a", "b", "é", "q\u0303", "l'", "𝒳", "mot"]), max_size=9)
TEXT = st.text(alphabet="abéèç eœ'’^¥|\u0303q1", max_size=20)
COUNTS = st.builds(Counts, *[st.integers(0, 50)] * 4)


def levenshtein(a: Sequence[str], b: Sequence[str]) -> int:
    """The full table, row by row."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


@given(TOKENS, TOKENS)
def test_edits_are_the_levenshtein_distance(a: list[str], b: list[str]) -> None:
    counts = edit_counts(a, b)
    assert counts.edits == edit_distance(a, b) == levenshtein(a, b)
    assert (counts.reference, counts.hypothesis) == (len(a), len(b))
    assert min(counts.hits, counts.substitutions, counts.insertions, counts.deletions) >= 0


@given(TOKENS, TOKENS)
def test_alignment_pairs_spell_both_sequences_and_cost_the_distance(
    a: list[str], b: list[str]
) -> None:
    pairs = alignment_pairs(a, b)
    assert [x for x, _ in pairs if x] == a
    assert [y for _, y in pairs if y] == b
    assert ("", "") not in pairs
    assert sum(x != y for x, y in pairs) == levenshtein(a, b)
    assert alignment_pairs(tuple(a), tuple(b)) == pairs


@given(st.lists(COUNTS, max_size=6))
def test_counts_add_over_corpora(parts: list[Counts]) -> None:
    whole = Counts.sum(parts)
    assert whole == Counts.sum(reversed(parts))
    assert whole.edits == sum(c.edits for c in parts)
    assert whole.reference == sum(c.reference for c in parts)


@given(TEXT, TEXT, st.sampled_from(sorted(set(PROFILES) - {"strict"})))
def test_metrics_do_not_see_nfc_or_nfd(reference: str, reading: str, name: str) -> None:
    policy = profile(name)
    forms = [unicodedata.normalize(f, reading) for f in ("NFC", "NFD")]
    references = [unicodedata.normalize(f, reference) for f in ("NFC", "NFD")]
    for count in (char_counts, word_counts):
        assert len({count(r, h, policy) for r in references for h in forms}) == 1
        assert count(references[0], references[1], policy).edits == 0


@given(TEXT)
def test_an_empty_reference_counts_insertions(reading: str) -> None:
    policy = profile("plain")
    counts = char_counts("", reading, policy)
    assert counts == Counts(insertions=len(policy.tokens(reading)))
    assert counts.rate == counts.insertions


@pytest.mark.parametrize(
    ("reference", "reading", "chars", "words"),
    [
        ("le roy", "le roy", Counts(hits=6), Counts(hits=2)),
        ("le roy", "", Counts(deletions=6), Counts(deletions=2)),
        ("l’an", "l'an", Counts(hits=4), Counts(hits=1)),  # apostrophes are folded
        ("a  b", " a b ", Counts(hits=3), Counts(hits=2)),  # whitespace is collapsed
        ("deMontrouge", "de Montrouge", Counts(11, 0, 1, 0), Counts(0, 1, 1, 0)),  # glued words
        ("élu", "elu", Counts(2, 1, 0, 0), Counts(0, 1, 0, 0)),
    ],
)
def test_known_lines(reference: str, reading: str, chars: Counts, words: Counts) -> None:
    policy = profile("fr-archive")
    assert char_counts(reference, reading, policy) == chars
    assert word_counts(reference, reading, policy) == words


def test_rates() -> None:
    assert Counts().rate == 0.0
    assert Counts(hits=3, substitutions=1).rate == 0.25
    assert Counts(hits=1, insertions=3).rate == 3.0
