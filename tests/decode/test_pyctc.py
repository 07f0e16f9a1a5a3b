from __future__ import annotations

import importlib.util
import math
import sys
from collections.abc import Hashable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble_htr.decode import BeamDecoder, BeamOptions, ctc_score
from ensemble_htr.decode.pyctc import PyctcDecoder, WordOptions, _Voice
from ensemble_htr.errors import InputError, MissingDependencyError
from ensemble_htr.protocols import Decoder
from ensemble_htr.types import Posteriors

from .oracle import BigramLM, from_logits, random_line, small_posteriors, text_scores

present = importlib.util.find_spec("pyctcdecode") is not None
needs_library = pytest.mark.skipif(not present, reason="pyctcdecode is not installed")


class Words:
    """A word model of one word: "mo" is likely anywhere."""

    def start(self) -> Hashable:
        return 0

    def score(self, state: Hashable, token: str) -> tuple[float, Hashable]:
        return (-0.5 if token == "mo" else -9.0), 0

    def end(self, state: Hashable) -> float:
        return -1.0


def spelled(text: str, alphabet: str, doubt: dict[int, str] | None = None) -> Posteriors:
    """Posteriors that surely spell ``text``, save that letter i may nearly as well be doubt[i]."""
    logits = np.full((2 * len(text), 1 + len(alphabet)), -9.0)
    for i, symbol in enumerate(text):
        logits[2 * i, alphabet.index(symbol) + 1] = logits[2 * i + 1, 0] = 0.0
        if doubt and i in doubt:
            logits[2 * i, alphabet.index(doubt[i]) + 1] = -0.5
    return from_logits(logits, tuple(alphabet))


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyctcdecode", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'ensemble-htr\[pyctcdecode\]'"):
        PyctcDecoder()


@needs_library
def test_without_an_lm_it_reads_what_our_beam_reads() -> None:
    theirs, ours = PyctcDecoder(options=WordOptions(beam=16)), BeamDecoder(BeamOptions(beam=16))
    assert isinstance(theirs, Decoder)
    lines = [random_line(np.random.default_rng(seed)) for seed in range(40)]
    same = [theirs.decode(line)[0].text == ours.decode(line, 1)[0].text for line in lines]
    assert sum(same) >= 38


@needs_library
def test_n_best_is_distinct_sorted_and_aligned() -> None:
    found = PyctcDecoder().decode(random_line(np.random.default_rng(5)), 6)
    assert 1 < len(found) <= 6 and len({h.text for h in found}) == len(found)
    assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)
    for h in found:
        assert not h.lm and h.spans is not None and h.logprobs is not None
        assert all(start < end for start, end in h.spans)


@needs_library
@pytest.mark.parametrize("text", ["a|b_a", "_ab|", "⁇a▁b"])
def test_symbols_with_a_meaning_of_their_own_to_the_library(text: str) -> None:
    (best,) = PyctcDecoder().decode(spelled(text, "ab|_⁇▁"))
    assert best.text == text


DOUBT = spelled("ma mo", "amo ", {1: "o"})  # surely "ma mo", save that the first a may be an o


@needs_library
@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "ma mo"),
        ({"hotwords": ["mo"]}, "mo mo"),
        ({"hotwords": ["mó", "12"]}, "mo mo"),  # accents fold
        ({"words": ["mo"]}, "mo mo"),  # the other reading is unknown
        ({"words": ["mo", "ma"]}, "ma mo"),
        ({"lm": Words(), "words": ["mo", "ma"]}, "mo mo"),
    ],
)
def test_words_decide_a_doubt(given: dict[str, Any], text: str) -> None:
    (best,) = PyctcDecoder(**given).decode(DOUBT)
    assert (best.text, best.lm) == (text, bool(given))


@needs_library
@pytest.mark.parametrize(
    ("sure", "other", "hotword", "text"),
    [
        ("d'Ama,", "d'Amo,", "Amo", "d'Amo,"),  # behind an elision, before a comma
        ("(ama)", "(amo)", "amo", "(amo)"),
        ("Ama", "Amo", "amo", "Ama"),  # case is kept
        ("1a", "1o", "1o", "1a"),  # a word with a digit is left to the image
    ],
)
def test_hotwords_are_found_in_words(sure: str, other: str, hotword: str, text: str) -> None:
    alphabet = "".join(sorted({*sure, *other}))
    at = next(i for i, (a, b) in enumerate(zip(sure, other, strict=True)) if a != b)
    doubt = spelled(sure, alphabet, {at: other[at]})
    options = WordOptions(unknown=0.0)
    assert PyctcDecoder(hotwords=[hotword], options=options).decode(doubt)[0].text == text


@needs_library
@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.text("ABCDEF", min_size=1), max_size=4))
def test_weight_0_changes_nothing(seed: int, words: list[str]) -> None:
    line = random_line(np.random.default_rng(seed), frames=24)
    silent = WordOptions(alpha=0.0, beta=0.0, unknown=0.0, weight=0.0)
    lm = BigramLM(1)
    (spoken,) = PyctcDecoder(lm, words, words, silent).decode(line)
    (plain,) = PyctcDecoder(options=silent).decode(line)
    assert spoken.score == pytest.approx(plain.score, abs=1e-6)


@needs_library
@settings(max_examples=60, deadline=None)
@given(small_posteriors(most=6), st.booleans(), st.sampled_from([0.0, 0.4, 1.0]))
def test_our_beam_and_theirs_agree_or_ours_is_better(
    line: Posteriors, spoken: bool, beta: float
) -> None:
    """Every symbol a word: then theirs asks a character model where ours does. Each is given room
    for every prefix; the scores are compared by exact summation over all paths."""
    import pyctcdecode

    lm, alpha = (BigramLM(2), 0.5) if spoken else (None, 0.0)
    exact = (
        {
            text: score
            + sum(alpha * p + beta for p in spelled_out(lm, text) if p)
            + (alpha * lm.end(text[-1] if text else "^") if lm else 0.0)
            for text, score in text_scores(line).items()
        }
        if lm
        else text_scores(line)
    )
    options = BeamOptions(
        beam=4000, alpha=alpha, beta=beta, symbol_threshold=0.0, prune=math.inf,
        exempt_runs=False,
    )  # fmt: skip
    ours = BeamDecoder(options, lm).decode(line, 1)[0]
    symbols = pyctcdecode.Alphabet(["", *("▁" + s for s in line.alphabet)], True)
    voice = _Voice(lm, line.alphabet, (), WordOptions(alpha=alpha, beta=beta)) if lm else None
    found, *_ = pyctcdecode.BeamSearchDecoderCTC(symbols, voice).decode_beams(
        line.logp, beam_width=4000, beam_prune_logp=-math.inf, token_min_logp=-math.inf
    )
    theirs = tuple(found[0].split())
    assert ours.score == pytest.approx(exact[ours.tokens], abs=1e-3)
    assert found[-1] == pytest.approx(exact[theirs], abs=1e-3)
    assert exact[ours.tokens] >= exact[theirs] - 1e-4


@needs_library
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_with_narrow_beams_ours_is_no_worse(seed: int) -> None:
    line = random_line(np.random.default_rng(seed), frames=30, symbols=12)
    ours = BeamDecoder(BeamOptions(beam=16, alpha=0.0)).decode(line, 1)[0]
    (theirs,) = PyctcDecoder(options=WordOptions(beam=16)).decode(line)
    said = ctc_score(line, [ours.tokens, theirs.tokens])
    assert ours.text == theirs.text or said[0] >= said[1]


def spelled_out(lm: BigramLM, text: tuple[str, ...]) -> list[float]:
    """What the model says of each token, 0 of a digit: both leave these to the image."""
    found, state = [], lm.start()
    for token in text:
        logp, state = lm.score(state, token)
        found.append(0.0 if token.isdigit() else logp)
    return found


@needs_library
@settings(max_examples=30, deadline=None)
@given(small_posteriors(most=5), st.lists(st.text("ab1 ", min_size=1), max_size=4), st.booleans())
def test_a_score_is_what_the_image_and_the_words_say(
    line: Posteriors, words: list[str], spoken: bool
) -> None:
    """With a space among the symbols, so that words end anywhere."""
    logp = np.hstack([line.logp, np.full((len(line.logp), 1), -1.5, np.float32)])
    logp -= np.logaddexp.reduce(logp, axis=1, keepdims=True)
    spaced = Posteriors(logp.astype(np.float32), (*line.alphabet, " "))
    options = WordOptions(alpha=0.4, beta=0.3, unknown=-0.7, weight=1.1, beam=1000)
    decoder = PyctcDecoder(BigramLM(5) if spoken else None, words, words[:2], options)
    exact = text_scores(spaced)
    for h in decoder.decode(spaced, 3):
        spellings = [s for t, s in exact.items() if " ".join("".join(t).split()) == h.text]
        assert h.score is not None
        assert h.score <= np.logaddexp.reduce(spellings) + decoder.worth(h.text) + 1e-3


@pytest.mark.parametrize(
    "given", [{"on": True}, {"alpha": -1.0}, {"unknown": 0.1}, {"n_best": 9, "beam": 8}]
)
def test_options_that_cannot_be(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"words: {next(iter(given))} is .*, wanted"):
        WordOptions(**given)


@needs_library
def test_no_frames_and_nan() -> None:
    (empty,) = PyctcDecoder().decode(Posteriors(np.zeros((0, 2), np.float32), ("a",)))
    assert (empty.text, empty.spans) == ("", ())
    with pytest.raises(InputError, match="NaN"):
        PyctcDecoder().decode(Posteriors(np.full((1, 2), np.nan, np.float32), ("a",)))
