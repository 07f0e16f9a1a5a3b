"""Laws of learning which arcs are right."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble_htr.align.network import SumOfPairsAligner
from ensemble_htr.combine import Judge, JudgeModel, load_judge, plain_judge
from ensemble_htr.combine.case import arc_mass, numbered, softmax, taken_by
from ensemble_htr.combine.model import dump_judge
from ensemble_htr.lm.arpa import ArpaModel
from ensemble_htr.metrics import edit_distance
from ensemble_htr.train import arcs
from ensemble_htr.train.arcs import learn_scorer, truth_path
from ensemble_htr.train.judge import Item
from ensemble_htr.train.subsets import hearing, tempered, varied
from ensemble_htr.types import Hypothesis
from tests.lm.shared import small

texts = st.text(alphabet="ab e1", max_size=6)
MODE = plain_judge().modes["text"]


def item(truth: str, *readings: str, doc: str = "d") -> Item:
    rows = [Hypothesis(f"e{i}", tuple(r)) for i, r in enumerate(readings)]
    case = Judge(plain_judge()).case(SumOfPairsAligner().align(rows))
    return Item(case, tuple(truth), doc)


def made_up(lines: int) -> list[Item]:
    """Two engines that misread one letter in six, of which the second is less reliable."""
    draw = random.Random(0)
    words = ["maison", "jardin", "le", "petit", "chat", "dort", "sous", "arbre"]

    def misread(text: str, rate: float) -> str:
        return "".join(draw.choice("aeimnu") if draw.random() < rate else c for c in text)

    truths = [" ".join(draw.choices(words, k=3)) for _ in range(lines)]
    return [
        item(t, misread(t, 0.1), misread(t, 0.2), doc=f"d{i % 6}") for i, t in enumerate(truths)
    ]


@given(texts, st.lists(texts, min_size=1, max_size=3))
def test_the_path_of_the_truth_costs_what_the_nearest_path_does(
    truth: str, readings: list[str]
) -> None:
    case = item(truth, *readings).case
    network = Judge(plain_judge()).decide(case, MODE).network
    assert network is not None
    path = truth_path(network, truth)
    assert len(path) == len(network.slots)
    for slot, token in zip(network.slots, path, strict=True):
        assert token is None or token in slot.tokens
    # where the path is silent any arc will do: none comes nearer to the truth than this
    likely = [
        t if t is not None else s.arcs[0].token for t, s in zip(path, network.slots, strict=True)
    ]
    nearest = min(edit_distance(tuple(truth), tuple(r)) for r in readings)
    assert edit_distance(tuple(truth), [t for t in likely if t]) <= nearest


@given(texts, st.lists(texts, min_size=2, max_size=3))
def test_a_subset_is_what_its_engines_alone_would_give(truth: str, readings: list[str]) -> None:
    case = item(truth, *readings).case
    same = hearing(case, frozenset(case.engines))
    assert set(same.paths) <= set(case.paths) and same.engines == case.engines
    one = hearing(case, frozenset({"e0"}))
    assert one.texts() == [readings[0]] and one.votes.shape == (1, 1)
    assert all(len(slot.arcs) == 1 for slot in one.network.slots)
    for subset in (same, one):
        numbers = numbered(subset.network)
        assert list(subset.numbers) == list(numbers)
        assert (subset.taken == taken_by(subset.paths, numbers)).all()
        whole = softmax(subset.scores(MODE))
        assert all(sum(m.values()) == pytest.approx(1.0) for m in arc_mass(subset, whole))


def test_paths_that_are_numbered_as_another_network_are_refused() -> None:
    case, other = item("ab", "ab", "ac", "ad").case, item("abc", "abc").case
    with pytest.raises(ValueError, match="numbered"):
        replace(case, network=other.network)


def test_a_scorer_is_learned_where_language_speaks() -> None:
    judge = Judge(plain_judge(), ArpaModel(small()))
    told = [replace(x, case=judge.case(x.case.network)) for x in made_up(30)]
    mode = plain_judge().modes["text+lm"]
    assert mode.speaks
    scorer = learn_scorer(judge, told, mode)
    for x in told:
        assert 0 <= judge.decide(x.case, replace(mode, scorer=scorer)).confidence <= 1


@given(texts, st.lists(texts, min_size=1, max_size=3))
def test_temperature_one_changes_nothing(truth: str, readings: list[str]) -> None:
    case = item(truth, *readings).case
    same = tempered(case, dict.fromkeys(case.engines, 1.0))
    assert same.network == case.network and (same.votes == case.votes).all()


def test_variations_are_functions_of_their_seed() -> None:
    one = item("abc", "abd", "ab", "abc")
    assert varied(one, 1) is None
    two, three = varied(one, 4), varied(one, 4)
    assert two is not None and three is not None and two.case.network == three.case.network


@pytest.mark.parametrize("few", [True, False])
def test_a_scorer_learns_to_be_right_about_how_sure_it_is(
    few: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arcs, "FEW_LINES", 10_000 if few else 10)
    items, judge = made_up(90), Judge(plain_judge())
    mode = replace(MODE, scorer=learn_scorer(judge, items, MODE))
    sure, right = [], []
    for x in made_up(40):
        reading = judge.decide(x.case, mode)
        sure += reading.confidences
        right += [a == b for a, b in zip(x.truth, reading.tokens, strict=False)]
        assert reading.network is not None and 0 <= reading.confidence <= 1
        for slot in reading.network.slots:
            assert sum(a.evidence["posterior"] for a in slot.arcs) == pytest.approx(1.0)
    assert abs(sum(sure) / len(sure) - sum(right) / len(right)) < 0.08
    wrong = [s for s, r in zip(sure, right, strict=False) if not r]
    assert sum(wrong) / len(wrong) < sum(sure) / len(sure) - 0.1


@settings(deadline=None, max_examples=5)
@given(st.lists(texts, min_size=1, max_size=5))
def test_a_learned_scorer_takes_any_number_of_engines(readings: list[str]) -> None:
    reading = Judge(_learned()).combine(SumOfPairsAligner().align(
        [Hypothesis(f"other{i}", tuple(r)) for i, r in enumerate(readings)]
    ))  # fmt: skip
    assert all(0 <= c <= 1 for c in (*reading.confidences, *(w.confidence for w in reading.words)))


_KEPT: list[JudgeModel] = []


def _learned() -> JudgeModel:
    if not _KEPT:
        scorer = learn_scorer(Judge(plain_judge()), made_up(60), MODE)
        _KEPT.append(JudgeModel(modes={"text": replace(MODE, scorer=scorer)}))
    return _KEPT[0]


def test_a_learned_judge_comes_back_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "j.json"
    file.write_text(dump_judge(_learned()))
    case = item("maison", "maisen", "marson").case
    again = Judge(load_judge(file))
    assert again.combine(case.network) == Judge(_learned()).combine(case.network)
