"""Kinds of errors add up to the edits; each kind by an example."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble_htr.metrics import SLIP_KINDS, alignment_pairs, edit_distance, slips
from ensemble_htr.text import graphemes

LINE = st.text("abé mnur1.-^A", max_size=14)


@given(LINE, LINE)
def test_every_edit_is_of_one_kind(wanted: str, read: str) -> None:
    found = slips(alignment_pairs(wanted, read))
    assert sum(slip.edits for slip in found) == edit_distance(wanted, read)
    assert {slip.kind for slip in found} <= set(SLIP_KINDS)
    assert all(slip.wanted != slip.read for slip in found)


@pytest.mark.parametrize(
    ("wanted", "read", "kinds"),
    [
        ("été", "etè", ["accent", "accent"]),
        ("Roy", "roy", ["case"]),
        ("fin.", "fin", ["punctuation"]),
        ("demain", "de main", ["word split"]),
        ("de main", "demain", ["words merged"]),
        ("1418", "1410", ["digit"]),
        ("M^me", "Mme", ["abbreviation"]),
        ("mort", "rnort", ["confusable"]),
        ("nous", "vous", ["confusable"]),
        ("mot", "mzt", ["letter replaced"]),
        ("fin de l-", "fin de l", ["hyphenation"]),
        ("oui", "ouiiiiiii", ["repetition"]),
        ("oui", "", ["line lost"]),
        ("", "oui", ["line added"]),
        ("bon", "bons", ["letter added"]),
        ("bons", "bon", ["letter left out"]),
        ("", "", []),
    ],
)
def test_kinds(wanted: str, read: str, kinds: list[str]) -> None:
    found = slips(alignment_pairs(graphemes(wanted), graphemes(read)))
    assert [slip.kind for slip in found] == kinds


def test_one_sign_for_two() -> None:
    (slip,) = slips(alignment_pairs("mort", "rnort"))
    assert (slip.wanted, slip.read, slip.edits) == ("m", "rn", 2)
