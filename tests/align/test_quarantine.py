"""Engines that read another line are left out, and nobody else."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble_htr.align import AlignOptions, SumOfPairsAligner
from ensemble_htr.align.quarantine import akin, strangers
from ensemble_htr.types import Hypothesis

LINE = "le premier jour du mois de mai est né"
NOISY = "le prernier jour du rnois de inai est ne"
OTHER = "total : 1.250 fr. 75 cts ; payé 300 (no 17)"


def rows(*texts: str, sure: Sequence[float | None] = ()) -> list[Hypothesis]:
    logs = [*sure, *[None] * (len(texts) - len(sure))]
    return [
        Hypothesis(f"e{i}", tuple(text), None if p is None else (p,) * len(text))
        for i, (text, p) in enumerate(zip(texts, logs, strict=True))
    ]


# texts, log-probabilities, who is left out
CASES = [
    ((LINE, NOISY, OTHER), (), {"e2"}),
    ((OTHER, LINE, NOISY), (), {"e0"}),
    ((LINE, OTHER), (-0.5, -0.1), {"e0"}),  # two engines: the surer one stays
    ((LINE, OTHER), (-0.1, -0.5), {"e1"}),
    ((LINE, OTHER), (), {"e1"}),  # nobody says how sure: signs and digits lose
    ((LINE, OTHER), (None, -0.1), {"e1"}),  # confidences of one engine alone say nothing
    ((LINE, NOISY, OTHER, OTHER), (-0.1, -0.1, -0.5, -0.5), {"e2", "e3"}),
    ((LINE, ""), (), set()),  # an empty reading is a reading
    ((LINE,), (), set()),
    ((), (), set()),
    ((LINE, OTHER[:15]), (), set()),  # too short to be told from chance
    ((LINE, LINE[20:]), (), set()),  # a part of the line
    ((LINE, LINE.upper()), (), set()),
    ((LINE, LINE.replace(" ", "")), (), set()),
    ((LINE, OTHER, "JJJ KKKK WWWW XXX YYYYYY QQQ ZZZZZ HHHHHH"), (), set()),  # whom to believe?
]


@pytest.mark.parametrize(("texts", "sure", "out"), CASES)
def test_who_is_left_out(texts: tuple[str, ...], sure: tuple[float, ...], out: set[str]) -> None:
    assert strangers(rows(*texts, sure=sure)) == out


def test_what_was_left_out_is_told_and_nothing_of_it_is_in_the_network() -> None:
    given_ = rows(LINE, NOISY, OTHER)
    network = SumOfPairsAligner().align(given_, [Hypothesis("e2", tuple(OTHER[1:]))])
    assert dict(network.quarantined) == {"e2": OTHER}
    assert set(network.rows) == {"e0", "e1"}
    assert not any("vote:e2" in arc.evidence for slot in network.slots for arc in slot.arcs)
    everyone = SumOfPairsAligner(AlignOptions(quarantine=False)).align(given_)
    assert set(everyone.rows) == {"e0", "e1", "e2"} and not everyone.quarantined


TEXT = st.sampled_from([LINE, NOISY, OTHER, OTHER.upper(), "", "x", LINE[:22], LINE[::-1]])


@given(st.lists(TEXT, max_size=5), st.randoms(use_true_random=False))
def test_it_does_not_depend_on_order_and_leaves_somebody(
    texts: list[str], rng: random.Random
) -> None:
    given_ = rows(*texts)
    out = strangers(given_)
    assert strangers(rng.sample(given_, len(given_))) == out
    assert len(out) < len(texts) or not texts


@given(st.text(max_size=60), st.text(max_size=60))
def test_kinship_is_mutual(a: str, b: str) -> None:
    assert akin(a, a)
    assert akin(a, b) == akin(b, a)


def test_noisy_readings_of_one_line_are_hardly_ever_parted() -> None:
    rng = random.Random(7)

    def noisy(text: str) -> str:
        wrong = [rng.choice(("", "e", "n", c + "i")) for c in text]
        return "".join(w if rng.random() < 0.25 else c for w, c in zip(wrong, text, strict=True))

    lines = [LINE, OTHER, "acte de mariage entre les soussignés Martin et Durand"]
    assert sum(not akin(noisy(t), noisy(t)) for t in lines for _ in range(200)) <= 2
