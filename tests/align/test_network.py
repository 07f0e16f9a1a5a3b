"""The laws of the aligned network, then examples."""

from __future__ import annotations

import math
import multiprocessing
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from ensemble_htr.align import AlignOptions, SumOfPairsAligner, oracle_distance
from ensemble_htr.errors import InputError, UsageError
from ensemble_htr.protocols import Aligner
from ensemble_htr.types import EPSILON, ConfusionNetwork, Hypothesis

ALIGNER = SumOfPairsAligner()
TOKENS = st.lists(st.sampled_from(["a", "b", "é", "E", " ", "e\u0323"]), max_size=10).map(tuple)
ENGINES = ["crnn", "gated", "other", "x"]


def plurality(network: ConfusionNetwork) -> tuple[str, ...]:
    """In every slot the token of the most rows (epsilon and late letters lose ties)."""
    chosen = []
    for slot in network.slots:
        votes = [sum(key.startswith("vote:") for key in arc.evidence) for arc in slot.arcs]
        best = max(zip(votes, slot.tokens, strict=True), key=lambda vt: (vt[0], vt[1] != EPSILON))
        chosen.append(best[1])
    return tuple(token for token in chosen if token != EPSILON)


@st.composite
def hypotheses(draw: st.DrawFn, source: str) -> Hypothesis:
    tokens = draw(TOKENS)
    logprob = st.floats(-5, 0)
    logprobs = st.none() | st.tuples(*[logprob] * len(tokens))
    return Hypothesis(source, tokens, draw(logprobs), score=draw(st.none() | st.floats(-50, 0)))


@st.composite
def inputs(draw: st.DrawFn) -> tuple[list[Hypothesis], list[Hypothesis]]:
    sources = draw(st.lists(st.sampled_from(ENGINES), unique=True, min_size=1))
    rows = [draw(hypotheses(source)) for source in sources]
    others = draw(st.lists(st.sampled_from(sources).flatmap(hypotheses), max_size=6))
    return rows, others


def written(path: Sequence[str]) -> tuple[str, ...]:
    return tuple(token for token in path if token != EPSILON)


def rows_of(*texts: str) -> list[Hypothesis]:
    return [Hypothesis(f"e{index}", tuple(text)) for index, text in enumerate(texts)]


@given(inputs())
def test_every_hypothesis_is_a_path_under_its_key(
    given_: tuple[list[Hypothesis], list[Hypothesis]],
) -> None:
    rows, others = given_
    network = ALIGNER.align(rows, others)
    for path in network.rows.values():
        assert all(t in slot.tokens for t, slot in zip(path, network.slots, strict=True))
    for row in rows:
        assert written(network.rows[row.source]) == row.tokens
        mine = [h.tokens for h in others if h.source == row.source]
        keys = [f"{row.source}#{k}" for k in range(1, len(mine) + 1)]
        assert sorted(written(network.rows[key]) for key in keys) == sorted(mine)
    assert len(network.rows) == len(rows) + len(others)


@given(inputs())
def test_no_slot_and_no_arc_without_a_hypothesis(
    given_: tuple[list[Hypothesis], list[Hypothesis]],
) -> None:
    network = ALIGNER.align(*given_)
    for index, slot in enumerate(network.slots):
        assert set(slot.tokens) == {path[index] for path in network.rows.values()}
        assert slot.tokens != (EPSILON,)


@given(TOKENS, st.integers(1, 4))
def test_copies_of_one_hypothesis_come_out_as_they_went_in(
    tokens: tuple[str, ...], copies: int
) -> None:
    rows = [Hypothesis(source, tokens) for source in ENGINES[:copies]]
    network = ALIGNER.align(rows, [Hypothesis(ENGINES[0], tokens, score=-1.0)])
    assert [slot.tokens for slot in network.slots] == [(token,) for token in tokens]
    assert all(path == tokens for path in network.rows.values())
    assert plurality(network) == tokens


@given(TOKENS, st.lists(TOKENS, max_size=3), st.lists(TOKENS, max_size=3))
def test_a_reading_held_by_a_strict_majority_wins_the_plain_vote(
    tokens: tuple[str, ...], dissent: list[tuple[str, ...]], others: list[tuple[str, ...]]
) -> None:
    held = [tokens] * (len(dissent) + 1) + dissent
    rows = [Hypothesis(f"e{index}", text) for index, text in enumerate(held)]
    network = ALIGNER.align(rows, [Hypothesis("e0", text) for text in others])
    assert plurality(network) == tokens


@settings(max_examples=200)
@given(inputs(), st.randoms(use_true_random=False))
def test_the_order_of_the_input_changes_nothing(
    given_: tuple[list[Hypothesis], list[Hypothesis]], rng: random.Random
) -> None:
    rows, others = given_
    network = ALIGNER.align(rows, others)
    shuffled = ALIGNER.align(rng.sample(rows, len(rows)), rng.sample(others, len(others)))
    assert shuffled == network  # evidence included, to the last bit
    assert shuffled.sources == network.sources


@given(inputs())
def test_the_names_of_the_engines_do_not_move_a_slot(
    given_: tuple[list[Hypothesis], list[Hypothesis]],
) -> None:
    rows, others = given_
    new = dict(zip(ENGINES, reversed(ENGINES), strict=True))
    renamed = [
        [Hypothesis(new[h.source], h.tokens, h.logprobs, score=h.score) for h in some]
        for some in (rows, others)
    ]
    first, second = ALIGNER.align(rows, others), ALIGNER.align(*renamed)
    assert [slot.tokens for slot in first.slots] == [slot.tokens for slot in second.slots]
    assert all(second.rows[new[row.source]] == first.rows[row.source] for row in rows)


@given(inputs(), TOKENS)
def test_the_oracle_is_at_least_as_good_as_the_best_hypothesis(
    given_: tuple[list[Hypothesis], list[Hypothesis]], reference: tuple[str, ...]
) -> None:
    rows, others = given_
    best = min(Levenshtein.distance(h.tokens, reference) for h in (*rows, *others))
    assert oracle_distance(ALIGNER.align(rows, others), reference) <= best


@given(inputs(), TOKENS)
def test_alternatives_only_add_ways(
    given_: tuple[list[Hypothesis], list[Hypothesis]], reference: tuple[str, ...]
) -> None:
    rows, others = given_
    bare, full = ALIGNER.align(rows), ALIGNER.align(rows, others)
    assert oracle_distance(full, reference) <= oracle_distance(bare, reference)
    voted = [
        column
        for column in zip(*(full.rows[r.source] for r in rows), strict=True)
        if any(token != EPSILON for token in column)
    ]
    assert voted == list(zip(*(bare.rows[r.source] for r in rows), strict=True))


@given(inputs())
def test_votes_and_masses(given_: tuple[list[Hypothesis], list[Hypothesis]]) -> None:
    rows, others = given_
    network = ALIGNER.align(rows, others)
    for index, slot in enumerate(network.slots):
        for arc in slot.arcs:
            assert all(0.0 <= value <= 1.0 for value in arc.evidence.values())
        for row in rows:
            voted = [arc.token for arc in slot.arcs if f"vote:{row.source}" in arc.evidence]
            assert voted == [network.rows[row.source][index]]
            shares = [arc.evidence.get(f"mass:{row.source}", 0.0) for arc in slot.arcs]
            assert math.fsum(shares) == pytest.approx(1.0)


def test_it_is_an_aligner_and_its_networks_travel_between_processes() -> None:
    aligner: Aligner = ALIGNER
    network = aligner.align(rows_of("abc", "ac"))
    here, there = multiprocessing.Pipe()
    here.send(network)
    assert there.recv() == network


def test_confidences_of_tokens_and_of_gaps() -> None:
    logs = tuple(math.log(p) for p in (0.9, 0.5, 0.25))
    sure, plain = Hypothesis("a", tuple("bcd"), logs), Hypothesis("b", tuple("xbccde"))
    network = ALIGNER.align([sure, plain])
    assert network.rows["a"] in (("", "b", "c", "", "d", ""), ("", "b", "", "c", "d", ""))
    votes = {
        (slot, arc.token): arc.evidence["vote:a"]
        for slot, each in enumerate(network.slots)
        for arc in each.arcs
        if "vote:a" in arc.evidence
    }
    assert votes[0, ""] == pytest.approx(0.9)  # at an end: the one neighbour
    assert votes[5, ""] == pytest.approx(0.25)
    gap = 3 if network.rows["a"][3] == "" else 2
    assert votes[gap, ""] == pytest.approx((0.5 + (0.25 if gap == 3 else 0.9)) / 2)
    assert votes[4, "d"] == pytest.approx(0.25)
    assert network.slots[4].arcs[0].evidence["vote:b"] == 1.0  # no log-probabilities given


def test_mass_is_the_softmax_of_distinct_strings() -> None:
    row = Hypothesis("a", tuple("cat"), score=math.log(0.5))
    others = [
        Hypothesis("a", tuple("cut"), score=math.log(0.25)),
        Hypothesis("a", tuple("cat"), score=math.log(0.3)),  # the row once more: counted once
        Hypothesis("a", tuple("ct"), score=math.log(0.25)),
    ]
    slot = ALIGNER.align([row], others).slots[1]
    assert slot.tokens == ("a", "u", "")
    assert [arc.evidence["mass:a"] for arc in slot.arcs] == pytest.approx([0.5, 0.25, 0.25])
    flat = SumOfPairsAligner(AlignOptions(temperature=1e9)).align([row], others).slots[1]
    assert [arc.evidence["mass:a"] for arc in flat.arcs] == pytest.approx([1 / 3] * 3)
    unscored = ALIGNER.align([row], [*others, Hypothesis("a", tuple("cot"))]).slots[1]
    assert [arc.evidence["mass:a"] for arc in unscored.arcs] == pytest.approx([1 / 4] * 4)


def test_alternatives_are_numbered_by_score_then_text() -> None:
    others = [
        Hypothesis("a", tuple("b")),
        Hypothesis("a", tuple("d"), score=-2.0),
        Hypothesis("a", tuple("c"), score=-2.0),
        Hypothesis("a", tuple("e"), score=-1.0),
    ]
    network = ALIGNER.align([Hypothesis("a", tuple("a"))], others)
    assert [network.rows[f"a#{k}"][0] for k in (1, 2, 3, 4)] == ["e", "c", "d", "b"]


def test_an_alternative_may_move_next_to_its_change() -> None:
    network = ALIGNER.align(rows_of("ba", "a"), [Hypothesis("e0", tuple("aa"))])
    assert [sorted(slot.tokens) for slot in network.slots] == [["", "a", "b"], ["a"]]


# rows, tokens of the slots
EXAMPLES = [
    (["a", "aaa", "a"], 3),  # the border row that turned "a" into "aa" elsewhere
    (["le chat", "lechat"], 7),  # a space faces nothing
    (["état", "ETAT", "etat"], 4),  # case and accents are near
    (["", "abc"], 3),
    (["", ""], 0),
    (["abc", "xyz"], 3),
]


@pytest.mark.parametrize(("texts", "slots"), EXAMPLES)
def test_examples(texts: list[str], slots: int) -> None:
    assert len(ALIGNER.align(rows_of(*texts)).slots) == slots


def test_a_minority_of_long_rows_does_not_stretch_the_vote() -> None:
    assert plurality(ALIGNER.align(rows_of("a", "aaa", "a"))) == ("a",)
    assert plurality(ALIGNER.align(rows_of("a", "a", "b", "b", "b"))) == ("b",)


def test_a_space_does_not_share_a_slot_with_a_letter_that_another_row_has() -> None:
    network = ALIGNER.align(rows_of("le chat", "le schat", "leschat"))
    assert plurality(network) == tuple("le schat")


def test_no_hypotheses_give_an_empty_network() -> None:
    assert ALIGNER.align([]).slots == ()


# rows, alternatives, error, part of the message
REFUSED = [
    ([("a", "x"), ("a", "y")], [], UsageError, "two rows to align are called 'a'"),
    ([("a", "x")], [("b", "y")], UsageError, "'b' came without a row"),
    ([("a", "x"), ("a#1", "x")], [("a", "y")], UsageError, "engine name 'a#1'"),
    ([("a", ["x", ""])], [], InputError, "empty token at position 1"),
]


@pytest.mark.parametrize(("rows", "others", "error", "message"), REFUSED)
def test_refusals(
    rows: list[tuple[str, str]],
    others: list[tuple[str, str]],
    error: type[Exception],
    message: str,
) -> None:
    first, second = ([Hypothesis(s, tuple(t)) for s, t in some] for some in (rows, others))
    with pytest.raises(error, match=message):
        ALIGNER.align(first, second)


def test_scores_and_log_probabilities_that_are_not_numbers_do_no_harm() -> None:
    odd = [math.nan, math.inf, -math.inf]
    rows = [Hypothesis("a", tuple("abc"), tuple(odd), score=math.nan)]
    others = [Hypothesis("a", tuple("abd"), score=score) for score in odd]
    for slot in ALIGNER.align(rows, others).slots:
        for arc in slot.arcs:
            assert all(0.0 <= value <= 1.0 for value in arc.evidence.values())


def test_long_lines_and_many_engines_stay_bounded() -> None:
    rng = random.Random(1)
    line = [rng.choice("abcdefgh ") for _ in range(1500)]

    def misread() -> tuple[str, ...]:
        return tuple(rng.choice("abcdefgh ") if rng.random() < 0.1 else c for c in line)

    rows = [Hypothesis(f"e{k}", misread()) for k in range(5)]
    rows.append(Hypothesis("deaf", tuple("zz" * 20)))
    rows.append(Hypothesis("mute", ()))
    network = ALIGNER.align(rows, [Hypothesis("e0", misread())])
    assert len(network.slots) < 1.2 * len(line)
    assert all(written(network.rows[row.source]) == row.tokens for row in rows)
    assert oracle_distance(network, line) < 20
