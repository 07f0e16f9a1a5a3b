"""Counting misreadings: the truth is led through a network without loss."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from ensemble_htr.align.network import SumOfPairsAligner
from ensemble_htr.combine.channel import Channel
from ensemble_htr.train.channel import learn_channel, stood_there
from ensemble_htr.types import EPSILON, ConfusionNetwork, Hypothesis

words = st.text("aun ", max_size=8)


def network(*said: str) -> ConfusionNetwork:
    return SumOfPairsAligner().align([Hypothesis(f"e{i}", tuple(t)) for i, t in enumerate(said)])


@given(st.lists(words, min_size=1, max_size=3), words)
def test_slots_and_what_is_missing_spell_the_truth(said: list[str], truth: str) -> None:
    stood, missing = stood_there(network(*said), tuple(truth))
    pieces = [[t for at, t in missing if at == i] for i in range(len(stood) + 1)]
    spelt = "".join("".join(p) + t for p, t in zip(pieces, [*stood, ""], strict=True))
    assert spelt == truth


@given(words, words)
def test_of_one_engine_the_way_is_the_shortest(said: str, truth: str) -> None:
    seen = network(said)
    stood, missing = stood_there(seen, tuple(truth))
    wrong = sum(t not in slot.tokens for t, slot in zip(stood, seen.slots, strict=True))
    assert wrong + len(missing) == Levenshtein.distance(said, truth)


def test_shares_are_those_of_the_errors_that_were_made() -> None:
    lines = [(network("au"), tuple("an"))] * 3 + [(network("au"), tuple("au"))]
    found = learn_channel(lines)
    assert found.read["u"] == {"n": 0.75, "u": 0.25}
    assert found.read["a"] == {"a": 1.0}
    lost = learn_channel([(network("ab"), tuple("aeb"))] * 4)
    assert lost.missed["a\tb"] == {"e": 1.0}
    assert EPSILON not in lost.missed["a"]


def test_without_proposals_it_only_weighs() -> None:
    lines = [(network("au"), tuple("an"))] * 3
    weighing = learn_channel(lines, propose=False)
    (_, slot) = weighing.propose(network("au")).slots
    assert slot.tokens == ("u",) and weighing.missed == {}


def test_what_was_seen_once_is_chance() -> None:
    once = learn_channel([(network("u"), ("n",))])
    assert once.read.get("u", {}) == {} and isinstance(once, Channel)
