"""The oracle distance against the plain enumeration of all paths."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from ensemble_htr.align import oracle_distance
from ensemble_htr.types import Arc, ConfusionNetwork, Slot

TOKEN = st.sampled_from(["", "a", "b", "c"])
SLOT = st.lists(TOKEN, unique=True, min_size=1, max_size=3).map(
    lambda tokens: Slot(tuple(Arc(token) for token in tokens))
)
NETWORK = st.lists(SLOT, max_size=5).map(lambda slots: ConfusionNetwork(tuple(slots)))


@given(NETWORK, st.text(alphabet="abcd", max_size=7))
def test_it_is_the_distance_of_the_nearest_path(network: ConfusionNetwork, text: str) -> None:
    paths = product(*(slot.tokens for slot in network.slots))
    best = min(Levenshtein.distance("".join(path), text) for path in paths)
    assert oracle_distance(network, tuple(text)) == best


def test_an_empty_reference_or_network() -> None:
    slots = (Slot((Arc("a"), Arc(""))), Slot((Arc("b"),)))
    assert oracle_distance(ConfusionNetwork(slots), ()) == 1
    assert oracle_distance(ConfusionNetwork(()), ("a", "b")) == 2
    assert oracle_distance(ConfusionNetwork(()), ()) == 0
