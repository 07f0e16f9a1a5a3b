from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble_htr import config
from ensemble_htr.decode import BeamDecoder, BeamOptions, ctc_align, ctc_score
from ensemble_htr.errors import ConfigError, InputError, UsageError
from ensemble_htr.protocols import Decoder, LanguageModel
from ensemble_htr.types import Hypothesis, Posteriors

from .oracle import BigramLM, from_logits, random_line, small_posteriors, text_scores

EXHAUSTIVE = BeamOptions(beam=10_000, n_best=10_000, symbol_threshold=0, prune=math.inf)
lines = st.integers(0, 10_000).map(lambda seed: random_line(np.random.default_rng(seed)))


def fused(tokens: tuple[str, ...], lm: LanguageModel, options: BeamOptions) -> float:
    """What LM, beta and neutral add to a text (oracle, token by token)."""
    state, total = lm.start(), 0.0
    for i, token in enumerate(tokens):
        logp, state = lm.score(state, token)
        needed = 2 if token.isalpha() else 1
        run = i >= needed and set(tokens[i - needed : i]) == {token} and options.exempt_runs
        digit = token.isdigit() and options.exempt_digits
        total += options.neutral if run or digit else options.alpha * logp + options.beta
    return total + (options.alpha * lm.end(state) if options.end else 0.0)


@settings(max_examples=50, deadline=None)
@given(small_posteriors(least=0))
def test_law_10_a_huge_beam_is_the_sum_over_all_paths(posteriors: Posteriors) -> None:
    expected = text_scores(posteriors)
    found = BeamDecoder(EXHAUSTIVE).decode(posteriors)
    assert {h.tokens for h in found} == set(expected)
    for hypothesis in found:
        assert hypothesis.score == pytest.approx(expected[hypothesis.tokens], abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(
    small_posteriors(),
    st.floats(0.1, 2),
    st.floats(-1, 2),
    st.tuples(st.booleans(), st.booleans(), st.booleans()),
    st.integers(0, 20),
)
def test_law_10_holds_with_a_language_model(
    posteriors: Posteriors,
    alpha: float,
    beta: float,
    switches: tuple[bool, bool, bool],
    seed: int,
) -> None:
    end, digits, runs = switches
    options = dataclasses.replace(
        EXHAUSTIVE,
        **{"alpha": alpha, "beta": beta, "neutral": -0.3},
        **{"end": end, "exempt_digits": digits, "exempt_runs": runs},
    )
    lm = BigramLM(seed)
    found = BeamDecoder(options, lm).decode(posteriors)
    expected = text_scores(posteriors)
    assert {h.tokens for h in found} == set(expected)
    for h in found:
        assert h.lm
        assert h.score == pytest.approx(expected[h.tokens] + fused(h.tokens, lm, options), abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(lines)
def test_law_9_weight_0_and_no_lm_are_the_pure_beam(posteriors: Posteriors) -> None:
    pure = BeamDecoder(BeamOptions(alpha=0, beta=0)).decode(posteriors)
    assert BeamDecoder(BeamOptions(alpha=0, beta=1), BigramLM()).decode(posteriors) == pure
    assert BeamDecoder(BeamOptions(alpha=1, beta=1), None).decode(posteriors) == pure
    assert not any(h.lm for h in pure)


@settings(max_examples=20, deadline=None)
@given(lines, st.sampled_from([None, BigramLM()]), st.integers(1, 12))
def test_hypotheses_are_distinct_sorted_and_inside_the_line(
    posteriors: Posteriors, lm: BigramLM | None, n_best: int
) -> None:
    found = BeamDecoder(BeamOptions(), lm, "net+lm").decode(posteriors, n_best)
    assert 1 <= len(found) <= n_best
    assert len({h.text for h in found}) == len(found)
    assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)
    for h in found:
        assert h.source == "net+lm"
        assert h.logprobs is not None and all(logprob <= 0 for logprob in h.logprobs)
        assert h.spans is not None
        edges = [edge for span in h.spans for edge in span]
        assert edges == sorted(edges)
        assert all(0 <= edge <= 4 * len(posteriors.logp) for edge in edges)


@settings(max_examples=20, deadline=None)
@given(lines)
def test_a_pure_score_is_nearly_the_forced_score(posteriors: Posteriors) -> None:
    found = BeamDecoder(BeamOptions()).decode(posteriors, 8)
    forced = ctc_score(posteriors, [h.tokens for h in found])
    assert [h.score for h in found] == pytest.approx(forced, abs=0.2)  # pruning loses a little


@settings(max_examples=20, deadline=None)
@given(lines)
def test_pruning_does_not_change_the_best_reading(posteriors: Posteriors) -> None:
    lm = BigramLM()
    options = BeamOptions(alpha=0.5)
    unpruned = BeamOptions(alpha=0.5, beam=60, symbol_threshold=1e-5, prune=40)
    pruned_best = BeamDecoder(options, lm).decode(posteriors)[0]
    best = BeamDecoder(unpruned, lm).decode(posteriors)[0]
    assert pruned_best.score is not None and best.score is not None
    assert pruned_best.text == best.text or best.score - pruned_best.score < 1.0


@settings(max_examples=20, deadline=None)
@given(lines)
def test_tokens_stand_where_a_forced_alignment_puts_them(posteriors: Posteriors) -> None:
    best = BeamDecoder(BeamOptions()).decode(posteriors, 1)[0]
    logprobs, spans = ctc_align(posteriors, best.tokens)
    assert best.logprobs == pytest.approx(logprobs)
    assert best.spans == spans


@settings(max_examples=20, deadline=None)
@given(lines)
def test_a_decoder_has_no_memory_of_other_lines(posteriors: Posteriors) -> None:
    used = BeamDecoder(BeamOptions(), BigramLM())
    used.decode(random_line(np.random.default_rng(99)))
    assert used.decode(posteriors) == BeamDecoder(BeamOptions(), BigramLM()).decode(posteriors)


def test_the_lm_chooses_where_the_image_is_undecided() -> None:
    class LikesB(BigramLM):
        def _cost(self, pair: str) -> float:
            return 0.1 if pair.endswith("b") else 3.0

    posteriors = from_logits(np.array([[-9, 2.0, 1.9], [9, -9, -9]]), ("a", "b"))
    assert BeamDecoder(BeamOptions(), None).decode(posteriors)[0].text == "a"
    assert BeamDecoder(BeamOptions(), LikesB()).decode(posteriors)[0].text == "b"


@pytest.mark.parametrize(
    ("text", "exempt"),
    [
        ("a1", "01"),  # a digit
        ("½a", "10"),  # a number sign is a digit too
        ("....", "0111"),  # a repeated sign from the second on
        ("elle", "0000"),  # doubled letters are spelling
        ("xxxx", "0011"),  # three in a row are not
        ("a  b", "0000"),  # spaces never
    ],
)
def test_digits_and_runs_are_exempt_from_the_lm(text: str, exempt: str) -> None:
    alphabet = tuple(sorted(set(text)))
    logits = np.full((2 * len(text), 1 + len(alphabet)), -30.0)
    for i, token in enumerate(text):
        logits[2 * i, alphabet.index(token) + 1] = logits[2 * i + 1, 0] = 0.0

    class Constant(BigramLM):
        def _cost(self, pair: str) -> float:
            return 1.0

    options = BeamOptions(alpha=1.0, beta=0.0, end=False, neutral=0.0)
    (best,) = BeamDecoder(options, Constant()).decode(from_logits(logits, alphabet), 1)
    assert best.text == text
    assert best.score == pytest.approx(-exempt.count("0"), abs=1e-3)


def test_symbols_that_share_letters_give_distinct_texts() -> None:
    posteriors = from_logits(np.zeros((3, 4)), ("a", "b", "ab"))
    texts = [h.text for h in BeamDecoder(EXHAUSTIVE).decode(posteriors)]
    assert len(texts) == len(set(texts)) and "ab" in texts


def test_a_long_line_neither_under_nor_overflows() -> None:
    logits = np.tile([[0.0, 0.0, 0.0], [3.0, 0.0, 0.0]], (2000, 1))
    (best,) = BeamDecoder(BeamOptions(beam=4), BigramLM()).decode(
        from_logits(logits, ("a", "b")), 1
    )
    assert best.score is not None and math.isfinite(best.score)


def test_no_frames_read_nothing() -> None:
    posteriors = Posteriors(np.zeros((0, 2), np.float32), ("a",))
    expected = Hypothesis("beam", (), (), (), score=0.0)
    assert BeamDecoder().decode(posteriors) == [expected]
    (fused_empty,) = BeamDecoder(BeamOptions(), BigramLM()).decode(posteriors)
    assert fused_empty.tokens == () and fused_empty.score == pytest.approx(
        0.6 * BigramLM().end("^")
    )


def test_an_alphabet_without_symbols_reads_nothing() -> None:
    assert BeamDecoder().decode(Posteriors(np.zeros((4, 1), np.float32), ()))[0].tokens == ()


def test_impossible_symbols_are_no_trouble() -> None:
    logp = np.array([[-np.inf, 0, -np.inf], [0, -np.inf, -np.inf]], np.float32)
    found = BeamDecoder(EXHAUSTIVE).decode(Posteriors(logp, ("a", "b")))
    assert [(h.text, h.score) for h in found] == [("a", 0.0)]


def test_nan_is_named() -> None:
    logp = np.full((4, 2), -0.7, np.float32)
    logp[2, 1] = np.nan
    with pytest.raises(InputError, match=r"NaN at frame 2 of 4.*check the recognizer's weights"):
        BeamDecoder().decode(Posteriors(logp, ("a",)))


@pytest.mark.parametrize(
    "bad", [{"beam": 0}, {"alpha": -0.1}, {"alpha": math.nan}, {"symbol_threshold": 1.0}]
)
def test_options_out_of_range_are_named(bad: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=f"beam options: {next(iter(bad))} is"):
        BeamOptions(**bad)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="n_best is 0"):
        BeamDecoder().decode(from_logits(np.zeros((1, 2)), ("a",)), 0)


def test_options_fit_a_recipe() -> None:
    assert config.from_mapping({"alpha": 1, "beam": 8}, BeamOptions) == BeamOptions(8, alpha=1.0)
    with pytest.raises(ConfigError, match="did you mean 'alpha'"):
        config.from_mapping({"alfa": 1.0}, BeamOptions)


def test_it_is_a_decoder() -> None:
    assert isinstance(BeamDecoder(), Decoder)
    assert isinstance(BigramLM(), LanguageModel)
