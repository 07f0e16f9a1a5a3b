"""Words looked at whole, and the guard that keeps language from breaking them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ensemble_htr.align.network import SumOfPairsAligner
from ensemble_htr.combine import Case, Judge, JudgeModel, Mode, plain_judge
from ensemble_htr.combine.case import sight_of, spoken_at
from ensemble_htr.combine.choice import arc_masses, choose
from ensemble_htr.combine.language import Backward
from ensemble_htr.combine.words import (
    LINE_FEATURES,
    WORD_FEATURES,
    line_features,
    spans,
    word_features,
    written,
)
from ensemble_htr.train.guard import BROKEN, fit_guard
from ensemble_htr.train.judge import Item
from ensemble_htr.types import EPSILON, Hypothesis
from tests.combine.test_judge import Bigram

texts = st.text(alphabet="ab e1", min_size=1, max_size=9)
MODE = plain_judge().modes["text+lm"]
JUDGE = Judge(JudgeModel(modes={"text+lm": MODE}), Bigram())


def case(*readings: str) -> Case:
    rows = [Hypothesis(f"e{i}", tuple(text)) for i, text in enumerate(readings)]
    return JUDGE.case(SumOfPairsAligner().align(rows))


@given(st.lists(texts, min_size=1, max_size=3))
def test_what_the_lm_says_of_the_slots_adds_up_to_what_it_says_of_the_path(
    readings: list[str],
) -> None:
    found = case(*readings)
    lm = Bigram()
    for path, said, whole in zip(found.paths, found.surprise, found.language, strict=True):
        tokens = [t for t in path if t != EPSILON]
        assert math.isclose(said.sum() + lm.end(tokens[-1] if tokens else "^"), whole)
        assert all(s == 0 for s, t in zip(said, path, strict=True) if t == EPSILON)


@given(st.lists(texts, min_size=1, max_size=3))
def test_every_arc_of_a_path_is_told_what_it_has_on_the_best_path_through_it(
    readings: list[str],
) -> None:
    found = case(*readings)
    scores = found.scores(MODE)
    told = spoken_at(found, scores)
    for slot, known in enumerate(told):
        for token, (own, after) in known.items():
            through = [i for i, path in enumerate(found.paths) if path[slot] == token]
            best = max(through, key=lambda i: scores[i])
            assert own == found.surprise[best][slot] and after <= 0.0


@given(st.lists(texts, min_size=1, max_size=3))
def test_words_and_lines_have_a_value_for_every_feature_and_masses_are_shares(
    readings: list[str],
) -> None:
    found = case(*readings)
    if not found.network.slots:
        return
    scores = found.scores(MODE)
    sight = sight_of(found, MODE, spoken_at(found, scores))
    chosen = choose(found, MODE, arc_masses(found, MODE)).all
    sure = [0.9] * len(chosen)
    kept = written(chosen)
    for start, stop in spans([chosen[i] for i in kept]):
        row = dict(
            zip(WORD_FEATURES, word_features(sight, chosen, sure, kept, start, stop), strict=True)
        )
        assert row["paths"] <= 1e-9 and row["paths image"] <= 1e-9 and 0 <= row["held"] <= 1
    assert len(line_features(sight, chosen, sure)) == len(LINE_FEATURES)
    whole, held = sight.same(list(found.paths[0]), 0, len(chosen))
    assert whole[0] <= sight.same(list(found.paths[0]), 0, 1)[0][0] + 1e-9 and held >= 0


@given(st.lists(texts, min_size=2, max_size=3))
def test_an_endless_guard_reads_as_without_language_and_none_changes_nothing(
    readings: list[str],
) -> None:
    found = case(*readings)
    if not found.network.slots:
        return
    mass = arc_masses(found, MODE)
    silent = MODE.mute()
    assert (
        choose(found, replace(MODE, guard=1e6), mass).all
        == choose(found, silent, arc_masses(found, silent)).all
    )
    free = choose(found, MODE, mass).all
    assert all(m[t] == max(m.values()) for m, t in zip(mass, free, strict=True))


def test_a_guard_is_fitted_where_language_breaks_words_and_not_where_it_mends_them() -> None:
    def items(truth: str) -> list[Item]:
        """Two engines read ``aa``, one ``ab``, which the language model likes better."""
        return [Item(case("aa", "aa", "ab"), tuple(truth), f"d{i}") for i in range(4)]

    eager = replace(MODE, language=0.65, vote_default=1.0)
    wrong = fit_guard(items("aa"), eager)
    right = fit_guard(items("ab"), eager)
    assert 0 < BROKEN < 1
    assert right.guard == 0.0
    for mode, truth in ((wrong, "aa"), (right, "ab")):
        one = case("aa", "aa", "ab")
        assert "".join(choose(one, mode, arc_masses(one, mode)).all) == truth


class Fond:
    """A list that knows one word."""

    name = "list"

    def __init__(self, word: str) -> None:
        self.word = word

    def speak(self, texts: Sequence[tuple[str, ...]]) -> list[float]:
        return [float(self.word in "".join(text).split(" ")) for text in texts]


def listed(word: str, *readings: str) -> tuple[Case, Mode]:
    mode = replace(MODE, voices={"list": 2.5}, language=0.0, length=0.0, vote_default=0.5)
    judge = Judge(JudgeModel(modes={"text+lm": mode}), Bigram(), [Fond(word)])
    rows = [Hypothesis(f"e{i}", tuple(text)) for i, text in enumerate(readings)]
    return judge.case(SumOfPairsAligner().align(rows)), mode


@given(st.lists(texts, min_size=2, max_size=3), texts)
def test_an_endless_guard_of_lists_reads_as_without_them(readings: list[str], word: str) -> None:
    found, mode = listed(word, *readings)
    if not found.network.slots:
        return
    mass = arc_masses(found, mode)
    plain = mode.unlisted()
    assert mode.listed and not plain.listed
    assert (
        choose(found, replace(mode, list_guard=1e6), mass).all
        == choose(found, replace(mode, list_margin=1e6), mass).all
        == choose(found, plain, arc_masses(found, plain)).all
    )
    silent = mode.mute()
    assert (
        choose(found, replace(mode, guard=1e6), mass).all
        == choose(found, silent, arc_masses(found, silent)).all
    ), "what the guard of language forbids comes in by no list"
    whole = Judge(JudgeModel(modes={"text+lm": mode}), Bigram(), [Fond(word)])
    reading = whole.read(found.network)
    assert reading.without_lists == whole.decide(found, plain).text


def test_a_guard_of_lists_is_fitted_where_they_break_words_and_not_where_they_mend_them() -> None:
    def items(truth: str) -> list[Item]:
        return [Item(listed("ab", "aa", "aa", "ab")[0], tuple(truth), f"d{i}") for i in range(4)]

    found, mode = listed("ab", "aa", "aa", "ab")
    assert "".join(choose(found, mode, arc_masses(found, mode)).all) == "ab"
    for truth in ("aa", "ab"):
        fitted = fit_guard(items(truth), mode)
        assert (fitted.list_guard + fitted.list_margin > 0) == (truth == "aa")
        assert "".join(choose(found, fitted, arc_masses(found, fitted)).all) == truth


@given(texts, texts, texts)
def test_lists_know_no_spelling_no_number_and_shorten_nothing(
    one: str, two: str, word: str
) -> None:
    """Words of what lists changed are as long at least, have no number, and other letters."""
    found, mode = listed(word, one, two, two)
    if not found.network.slots:
        return
    chosen, plain = (
        "".join(choose(found, m, arc_masses(found, m)).all) for m in (mode, mode.unlisted())
    )
    if chosen != plain:
        assert len(chosen) >= len(plain) and "1" not in set(chosen.split(" ")) ^ set(
            plain.split(" ")
        )


def test_lists_leave_accents_marks_and_numbers_alone() -> None:
    for word, read in (("aë", "ae"), ("Ab", "ab"), ("dem^t", "demt"), ("6e", "be"), ("a", "ab")):
        found, mode = listed(word, read, word)
        silent = replace(mode, votes={"e0": 0.6, "e1": 0.5})
        assert "".join(choose(found, silent, arc_masses(found, silent)).all) == read
    found, mode = listed("cb", "ab", "cb")
    silent = replace(mode, votes={"e0": 0.6, "e1": 0.5})
    assert "".join(choose(found, silent, arc_masses(found, silent)).all) == "cb"


def test_a_language_model_is_no_list() -> None:
    mode = replace(MODE, voices={Backward.name: 1.0})
    assert mode.speaks and not mode.listed and mode.unlisted() == mode


def test_a_mode_without_language_needs_no_guard() -> None:
    silent: Mode = plain_judge().modes["text"]
    assert not silent.speaks and fit_guard([], silent) == silent
