"""Laws of judging: majorities win, order does not matter, silence changes nothing."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble_htr.align.network import SumOfPairsAligner
from ensemble_htr.combine import Backward, Judge, JudgeModel, Mode, ModuleVoice, plain_judge
from ensemble_htr.combine.language import Speaker, Spoken, is_exempt
from ensemble_htr.combine.paths import best_paths
from ensemble_htr.types import Hypothesis

texts = st.text(alphabet="ab e1", max_size=7)
ALIGN = SumOfPairsAligner()


class Bigram:
    """A true little language model: after a vowel a consonant is likelier, and the reverse."""

    def start(self) -> str:
        return "^"

    def score(self, state: str, token: str) -> tuple[float, str]:
        likely = (state in "ae") != (token in "ae")
        return math.log(0.3 if likely else 0.05), token

    def end(self, state: str) -> float:
        return math.log(0.2)


def rows(*readings: str) -> list[Hypothesis]:
    return [Hypothesis(f"e{i}", tuple(text)) for i, text in enumerate(readings)]


def tidy(text: str) -> str:
    """What is left of a text when blanks at its ends and doubled blanks are not written."""
    return " ".join(text.split())


@given(texts, st.integers(1, 4))
def test_one_reading_or_copies_of_it_come_out_as_they_went_in(text: str, copies: int) -> None:
    reading = Judge(plain_judge()).combine(ALIGN.align(rows(*[text] * copies)))
    assert reading.text == tidy(text)


@given(st.lists(texts, min_size=1, max_size=2), texts)
def test_a_strict_majority_wins(others: list[str], held: str) -> None:
    readings = [held] * (len(others) + 1) + others
    reading = Judge(plain_judge()).combine(ALIGN.align(rows(*readings)))
    assert reading.text == tidy(held)


@given(st.lists(texts, min_size=2, max_size=4))
def test_the_most_voted_token_of_a_slot_wins_under_equal_weights(readings: list[str]) -> None:
    network = ALIGN.align(rows(*readings))
    judged = Judge(plain_judge()).combine(network).network
    assert judged is not None
    for i, slot in enumerate(judged.slots):
        counts = {a.token: sum(r[i] == a.token for r in network.rows.values()) for a in slot.arcs}
        sure = {a.token: a.evidence["posterior"] for a in slot.arcs}
        ranked = sorted(counts, key=lambda t: -counts[t])
        if len(ranked) > 1 and counts[ranked[0]] > counts[ranked[1]]:
            assert max(sure, key=lambda t: sure[t]) == ranked[0]


@given(st.lists(texts, min_size=2, max_size=3), st.booleans())
def test_the_order_of_the_engines_does_not_matter(readings: list[str], lm: bool) -> None:
    judge = Judge(plain_judge(), Bigram() if lm else None)
    results = {
        judge.read(ALIGN.align(order)).text for order in itertools.permutations(rows(*readings))
    }
    assert len(results) == 1


@given(st.lists(texts, min_size=1, max_size=4), st.booleans(), st.booleans())
def test_confidences_are_probabilities_and_posteriors_sum_to_one(
    readings: list[str], lm: bool, images: bool
) -> None:
    judge = Judge(plain_judge(), Bigram() if lm else None)
    score = (lambda texts: {"net": [-float(len(t)) for t in texts]}) if images else None
    reading = judge.read(ALIGN.align(rows(*readings)), score)
    assert all(0 <= c <= 1 for c in (*reading.confidences, reading.confidence))
    assert "".join(w.text for w in reading.words) == reading.text.replace(" ", "")
    assert reading.network is not None
    for slot in reading.network.slots:
        assert sum(a.evidence["posterior"] for a in slot.arcs) == pytest.approx(1.0)


@given(st.lists(texts, min_size=1, max_size=3))
def test_the_judge_keeps_slots_arcs_and_everybody_elses_evidence(readings: list[str]) -> None:
    network = ALIGN.align(rows(*readings))
    judged = Judge(plain_judge(), Bigram()).combine(network).network
    assert judged is not None and judged.rows == network.rows
    for before, after in zip(network.slots, judged.slots, strict=True):
        assert before.tokens == after.tokens
        for old, new in zip(before.arcs, after.arcs, strict=True):
            assert {k: new.evidence[k] for k in old.evidence} == dict(old.evidence)
            assert set(new.evidence) - set(old.evidence) <= {"posterior", "lm"}


@given(st.lists(texts, min_size=1, max_size=3))
def test_an_lm_of_weight_nought_changes_nothing(readings: list[str]) -> None:
    network = ALIGN.align(rows(*readings))
    silent = JudgeModel(modes={"text+lm": Mode(), "text": Mode()})
    assert Judge(silent, Bigram()).combine(network).text == Judge(silent).combine(network).text


def test_the_image_decides_between_equal_votes() -> None:
    network = ALIGN.align(rows("bac", "bec"))
    for wanted in ("bac", "bec"):

        def score(texts: object, wanted: str = wanted) -> dict[str, list[float]]:
            return {"net": [0.0 if "".join(t) == wanted else -20.0 for t in texts]}  # type: ignore[attr-defined]

        assert Judge(plain_judge()).read(network, score).text == wanted


def test_parts_of_two_readings_are_composed_where_the_image_agrees() -> None:
    network = ALIGN.align(rows("bacdefgh", "bxcdefgy"))

    def score(texts: object) -> dict[str, list[float]]:
        truth = "bacdefgy"  # neither engine's whole reading
        return {
            "net": [-5.0 * sum(a != b for a, b in zip(t, truth, strict=False)) for t in texts]  # type: ignore[attr-defined]
        }

    assert Judge(plain_judge()).read(network, score).text == "bacdefgy"


@given(
    st.lists(
        st.lists(st.sampled_from(["a", "b", "", "1"]), min_size=1, max_size=3, unique=True),
        max_size=4,
    ),
    st.booleans(),
)
def test_a_wide_beam_finds_the_best_path_there_is(slots: list[list[str]], lm: bool) -> None:
    scored = [[(t, -0.7 * i - 0.01 * ord((t or "0")[0])) for i, t in enumerate(s)] for s in slots]
    speaker = Speaker(Bigram()) if lm else None
    found = best_paths(scored, speaker=speaker, language=0.5, length=0.2, beam=10_000, count=1)

    def total(path: tuple[tuple[str, float], ...]) -> float:
        score = sum(s for _, s in path)
        if speaker is None:
            return score
        spoken = speaker.text(tuple(t for t, _ in path if t))
        return score + 0.5 * spoken.logp + 0.2 * spoken.tokens

    best = max(map(total, itertools.product(*scored)))
    by_token = [dict(s) for s in scored]
    assert total(
        tuple((t, d[t]) for t, d in zip(found[0], by_token, strict=True))
    ) == pytest.approx(best)


def slowly(lm: Bigram, text: str) -> Spoken:
    """What a model says of a line, asked token by token."""
    state, before, run, each = lm.start(), "", 0, []
    for token in text:
        run, before = (run + 1 if token == before else 1), token
        logp, state = lm.score(state, token)
        each.append(None if is_exempt(token, run) else logp)
    judged = [logp for logp in each if logp is not None]
    return Spoken(sum(judged) + lm.end(state), len(judged), tuple(logp or 0.0 for logp in each))


@given(st.lists(st.text(alphabet="ab1 ", max_size=7), max_size=6))
def test_many_texts_are_heard_as_each_alone(texts: list[str]) -> None:
    heard = Speaker(Bigram()).texts([tuple(text) for text in texts])
    for text, said in zip(texts, heard, strict=True):
        alone = slowly(Bigram(), text)
        assert said.each == alone.each and said.tokens == alone.tokens
        assert said.logp == pytest.approx(alone.logp)


def test_digits_and_runs_are_exempt() -> None:
    assert is_exempt("7", 1) and is_exempt(".", 2) and is_exempt("x", 3)
    assert not is_exempt("l", 2) and not is_exempt(" ", 5) and not is_exempt(".", 1)


class Longest:
    """A voice that likes long texts."""

    name = "long"

    def speak(self, texts: Sequence[tuple[str, ...]]) -> list[float]:
        return [float(len(text)) for text in texts]


@given(st.lists(texts, min_size=1, max_size=3), st.booleans())
def test_a_voice_of_weight_nought_changes_nothing(readings: list[str], lm: bool) -> None:
    network, model = ALIGN.align(rows(*readings)), plain_judge()
    asked = Judge(model, Bigram() if lm else None, [Longest()]).combine(network)
    assert asked == Judge(model, Bigram() if lm else None).combine(network)


def test_a_voice_decides_and_leaves_its_evidence_under_its_own_name() -> None:
    network = ALIGN.align(rows("abab", "abb"))
    judge = Judge(JudgeModel(modes={"text": Mode(voices={"long": 3.0})}), None, [Longest()])
    reading = judge.combine(network)
    assert reading.text == "abab" and reading.network is not None
    added = [a.evidence for s in reading.network.slots if len(s.arcs) > 1 for a in s.arcs]
    assert added and all("long" in evidence for evidence in added)
    assert judge.read(network, use_lm=False).network == Judge(judge.model).combine(network).network


def test_a_language_module_has_no_say_in_numbers_and_runs() -> None:
    def tell(texts: Sequence[tuple[str, ...]]) -> list[list[float]]:
        return [[-1.0 - 0.25 * i for i in range(len(text) + 1)] for text in texts]

    voice = ModuleVoice(tell)
    texts = ["ab", "a1b", "12", "a----b", ""]
    heard = ["ab", "a.b", "..", "a-...b", ""]  # a dot where it has no say
    wanted = [
        sum(-1.0 - 0.25 * i for i, c in enumerate(marks + "$") if c != ".") for marks in heard
    ]
    assert voice.speak([tuple(text) for text in texts]) == pytest.approx(wanted)


def test_a_backward_model_hears_the_line_from_its_end() -> None:
    voice, texts = Backward(Bigram()), [tuple("aba"), tuple("abb"), tuple("12ab"), ()]
    assert voice.speak(texts) == [Speaker(Bigram()).text(t[::-1]).logp for t in texts]
    reading = Judge(
        JudgeModel(modes={"text+lm": Mode(voices={"backward": 0.5}, language=0.3)}),
        Bigram(),
        [voice],
    ).combine(
        SumOfPairsAligner().align([Hypothesis("a", tuple("aab")), Hypothesis("b", tuple("abb"))])
    )
    assert reading.network is not None
    rivals = [slot for slot in reading.network.slots if len(slot.arcs) > 1]
    assert rivals and all("backward" in arc.evidence for slot in rivals for arc in slot.arcs)
