"""Our counts are those of other evaluators, each under the profile that counts as it does.

The golden file holds their counts; `eval/peers.py` asked for them.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble_htr.config import from_mapping
from ensemble_htr.errors import InputError
from ensemble_htr.metrics import Counts, char_counts, edit_distance, pair_counts, word_counts
from ensemble_htr.metrics.weighted import sclite_pairs
from ensemble_htr.text import Rules, make_profile

GOLDEN = json.loads((Path(__file__).parent / "peers.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", sorted(GOLDEN["matching"]))
def test_equal_counts(name: str) -> None:
    theirs = GOLDEN["counts"][name]
    profile = make_profile(name, "", from_mapping(GOLDEN["matching"][name], Rules))
    count = word_counts if name.endswith("words") else char_counts
    ours = Counts.sum(count(*pair, profile) for pair in GOLDEN["pairs"])
    split = [ours.hits, ours.substitutions, ours.deletions, ours.insertions]
    assert theirs == (split if len(theirs) == 4 else [ours.edits, ours.reference])


def test_the_golden_file_holds_what_makes_evaluators_disagree() -> None:
    assert len(GOLDEN["pairs"]) == 1000
    assert {"jiwer", "rapidfuzz", "torchmetrics", "dinglehopper", "sctk"} == set(GOLDEN["versions"])
    counts = {name: tuple(c) for name, c in GOLDEN["counts"].items() if "words" not in name}
    assert len(set(counts.values())) == len(counts) - 1  # rapidfuzz and torchmetrics agree
    assert GOLDEN["command"].startswith("python eval/peers.py")
    unlike = set(GOLDEN["counts"]) - set(GOLDEN["matching"])
    assert unlike == {"dinglehopper, words"}  # eval/peers.md says why


TOKENS = st.text("abc", max_size=6)


@given(TOKENS, TOKENS)
def test_sclite_takes_the_cheapest_alignment_by_its_own_costs(one: str, two: str) -> None:
    pairs = sclite_pairs(one, two)
    assert "".join(w for w, _ in pairs) == one and "".join(r for _, r in pairs) == two
    found = pair_counts(pairs)
    cost = 4 * found.substitutions + 3 * (found.insertions + found.deletions)
    assert cost == _cheapest(one, two)
    assert found.edits >= edit_distance(one, two)


def _cheapest(one: str, two: str) -> int:
    if not one or not two:
        return 3 * max(len(one), len(two))
    return min(
        _cheapest(one[1:], two[1:]) + 4 * (one[0] != two[0]),
        _cheapest(one[1:], two) + 3,
        _cheapest(one, two[1:]) + 3,
    )


def test_texts_too_long_for_sclite() -> None:
    with pytest.raises(InputError, match="too long for sclite's costs"):
        sclite_pairs("a" * 20_000, "b" * 20_000)
