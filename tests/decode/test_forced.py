from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble_htr.decode import ctc_align, ctc_score
from ensemble_htr.decode.forced import _compiled, _forward
from ensemble_htr.errors import InputError
from ensemble_htr.types import Posteriors

from .oracle import all_paths, collapse, from_logits, random_line, small_posteriors, text_scores


@settings(max_examples=50, deadline=None)
@given(small_posteriors())
def test_a_score_is_the_sum_over_all_paths(posteriors: Posteriors) -> None:
    expected = text_scores(posteriors)
    scores = ctc_score(posteriors, list(expected))
    assert scores == pytest.approx(list(expected.values()), abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(small_posteriors(), st.lists(st.sampled_from("ab1x"), max_size=7))
def test_what_no_path_spells_scores_minus_infinity(posteriors: Posteriors, text: list[str]) -> None:
    expected = text_scores(posteriors).get(tuple(text), -math.inf)
    assert ctc_score(posteriors, [text]) == pytest.approx([expected], abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(small_posteriors())
def test_texts_together_score_as_texts_alone(posteriors: Posteriors) -> None:
    texts = list(text_scores(posteriors))
    alone = [ctc_score(posteriors, [text])[0] for text in texts]
    assert ctc_score(posteriors, texts) == pytest.approx(alone, abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 40), st.integers(0, 10**6), st.data())
def test_the_compiled_sums_are_the_plain_ones(frames: int, seed: int, data: st.DataObject) -> None:
    pytest.importorskip("numba", reason="needs the extra [fast]")
    rng = np.random.default_rng(seed)
    prob = rng.dirichlet(np.full(5, 0.3), frames)
    texts = data.draw(st.lists(st.lists(st.integers(1, 4), max_size=frames), max_size=5))
    assert _compiled(prob, texts) == pytest.approx(_forward(prob, texts), rel=1e-9, abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(small_posteriors())
def test_an_alignment_is_a_best_path(posteriors: Posteriors) -> None:
    for columns, paths in all_paths(posteriors).items():
        logprobs, spans = ctc_align(posteriors, [posteriors.alphabet[c - 1] for c in columns])
        path = [0] * len(posteriors.logp)
        for column, (start, end) in zip(columns, spans, strict=True):
            first, stop = int(start / 4), int(end / 4)
            path[first:stop] = [column] * (stop - first)
        assert collapse(tuple(path)) == columns
        score = sum(float(posteriors.logp[t, c]) for t, c in enumerate(path))
        assert score == pytest.approx(max(score for _, score in paths), abs=1e-6)
        for column, logprob, (start, end) in zip(columns, logprobs, spans, strict=True):
            frames = posteriors.logp[int(start / 4) : int(end / 4), column]
            assert logprob == pytest.approx(float(frames.max()), abs=1e-6)


def test_scores_agree_with_torch() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    posteriors = random_line(rng, frames=130)
    texts = [rng.choice(posteriors.alphabet, rng.integers(1, 50)).tolist() for _ in range(16)]
    columns = [[posteriors.alphabet.index(token) + 1 for token in text] for text in texts]
    losses = torch.nn.functional.ctc_loss(
        torch.tensor(posteriors.logp, dtype=torch.float64)[:, None].expand(-1, len(texts), -1),
        torch.tensor(sum(columns, [])),
        torch.full((len(texts),), len(posteriors.logp)),
        torch.tensor([len(text) for text in texts]),
        reduction="none",
    )
    assert ctc_score(posteriors, texts) == pytest.approx((-losses).tolist(), rel=1e-6)


def test_very_improbable_texts_score_exactly_too() -> None:
    # 200 frames of a symbol at exp(-20): the best path has exp(-4000), far below any double
    logits = np.zeros((200, 3))
    logits[:, 2] = 20.0
    posteriors = from_logits(logits, ("a", "b"))
    blank_only, one_a = ctc_score(posteriors, [[], ["a"]])
    assert blank_only == pytest.approx(200 * float(posteriors.logp[0, 0]))
    # the texts "" and "a" together own all 2^200 paths of blanks and a's whose a's are in one run
    assert one_a - blank_only == pytest.approx(math.log(200 * 201 / 2))


def test_no_frames_hold_the_empty_text_only() -> None:
    posteriors = Posteriors(np.zeros((0, 3), np.float32), ("a", "b"))
    assert ctc_score(posteriors, [[], ["a"]]) == [0.0, -math.inf]
    assert ctc_score(posteriors, []) == []
    assert ctc_align(posteriors, []) == ((), ())


def test_an_impossible_alignment_says_why() -> None:
    posteriors = from_logits(np.zeros((3, 3)), ("a", "b"))
    with pytest.raises(InputError, match="'é'.*not in the recognizer's alphabet of 2"):
        ctc_align(posteriors, "aé")
    with pytest.raises(InputError, match="cannot align 2 tokens to 2 frames: CTC needs 3"):
        ctc_align(Posteriors(posteriors.logp[:2], posteriors.alphabet), "aa")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (math.nan, "hold NaN at frame 1 of 3"),
        (2.5, "hold a value above 0 at frame 1"),
    ],
)
def test_broken_posteriors_are_named(value: float, message: str) -> None:
    logp = np.full((3, 3), -math.log(3), np.float32)
    logp[1, 2] = value
    with pytest.raises(InputError, match=message):
        ctc_score(Posteriors(logp, ("a", "b")), ["a"])


def test_a_frame_without_any_symbol_is_named() -> None:
    logp = np.full((3, 3), -math.inf, np.float32)
    with pytest.raises(InputError, match="allow no symbol at all at frame 0"):
        ctc_score(Posteriors(logp, ("a", "b")), ["a"])
