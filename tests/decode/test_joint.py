"""The joint search: against all texts there are, and the compiled against the plain one."""

from __future__ import annotations

import io
import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble_htr.decode import JointDecoder, ctc_score, joint_plain
from ensemble_htr.decode.joint import stacked
from ensemble_htr.errors import InputError
from ensemble_htr.lm.arpa import ArpaModel, read_arpa, write_arpa
from ensemble_htr.lm.kneser_ney import estimate, vocabulary
from ensemble_htr.types import JointOptions, Posteriors, WordTable

ALPHABET = ("a", "b", " ", "1")
LINES = [tuple(t) for t in ("ab ba", "abba b", "a b 11", "bab a")]
WIDE = JointOptions(
    beam=4096, tries=4096, n_best=256, floor=1e9, symbol_threshold=0.0, behind=1e9, patience=1e9
)


def arpa() -> ArpaModel:
    file = io.BytesIO()
    write_arpa(estimate(LINES, 3, vocabulary(LINES)), file)
    return ArpaModel(read_arpa(io.BytesIO(file.getvalue()), "toy"))


LM = arpa()


def table(values: dict[str, float]) -> WordTable:
    words = sorted(values)
    text = np.array([ord(c) for word in words for c in word], np.int32)
    start = np.cumsum([0, *map(len, words)]).astype(np.int64)
    return WordTable(text, start, np.array([values[w] for w in words]))


WORDS = table({"ab": 2.0, "abba": 3.0, "ba": -0.5})


def seen(seed: int, frames: int, sharp: float, alphabet: tuple[str, ...] = ALPHABET) -> Posteriors:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(frames, 1 + len(alphabet))) * sharp
    logp = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    return Posteriors(logp.astype(np.float32), alphabet)


def spoken(text: tuple[str, ...], o: JointOptions) -> float:
    """What language says of a whole text, from the definitions alone."""
    total, state, run, last = 0.0, LM.start(), 0, ""
    for token in text:
        run = run + 1 if token == last else 1
        last = token
        logp, state = LM.score(state, token)
        if token != "1":
            total += o.alpha * logp + o.beta
    known = {"ab": 2.0, "abba": 3.0, "ba": -0.5}
    for word in "".join(text).replace("1", " ").split():
        total += o.words * known.get(word, -float(min(len(word), 8)))
    return total + o.alpha * LM.end(state)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 9999), frames=st.integers(1, 4), alpha=st.sampled_from([0.0, 0.7]))
def test_finds_the_best_of_all_texts(seed: int, frames: int, alpha: float) -> None:
    """Every text of at most as many tokens as frames, scored by what the search claims to score."""
    options = replace(WIDE, alpha=alpha, beta=1.5 if alpha else 0.0, words=0.6 if alpha else 0.0)
    nets = [seen(seed, frames, 1.0), seen(seed + 1, frames, 2.0)]
    weights = (0.8, 0.5)
    found = JointDecoder(options, LM if alpha else None, WORDS).decode(nets, weights)
    texts = [t for n in range(frames + 1) for t in itertools.product(ALPHABET, repeat=n)]
    each = [ctc_score(p, texts) for p in nets]
    scores = {
        text: sum(w * s[i] for w, s in zip(weights, each, strict=True))
        + (spoken(text, options) if alpha else 0.0)
        for i, text in enumerate(texts)
    }
    possible = {t: s for t, s in scores.items() if s > -1e8}
    best = max(possible, key=possible.__getitem__)
    assert found[0].tokens == best or possible[found[0].tokens] == pytest.approx(possible[best])
    for hypothesis in found:
        if hypothesis.tokens in possible and possible[hypothesis.tokens] > -1e6:
            assert hypothesis.score == pytest.approx(possible[hypothesis.tokens], abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 9999),
    frames=st.tuples(st.integers(0, 25), st.integers(0, 25)),
    sharp=st.sampled_from([0.5, 2.0]),  # sharper, and the compiled one drops what cannot be
    beam=st.sampled_from([1, 3, 20]),
    tries=st.sampled_from([1, 2, 12]),
    floor=st.sampled_from([8.0, 25.0]),  # the compiled one knows nothing below exp(-27)
    alpha=st.sampled_from([0.0, 1.2]),
)
def test_compiled_and_plain_find_the_same(
    seed: int, frames: tuple[int, int], sharp: float, beam: int, tries: int, floor: float,
    alpha: float,
) -> None:  # fmt: skip
    pytest.importorskip("numba", reason="needs the extra [fast]")
    nets = [seen(seed, frames[0], sharp), seen(seed + 1, frames[1], sharp, ("b", "é", "a", " "))]
    options = JointOptions(beam=beam, tries=tries, floor=floor, alpha=alpha, n_best=5)
    decoder = JointDecoder(options, LM, WORDS)
    found = decoder.decode(nets, (0.9, 0.4))
    used = [(p, w) for p, w in zip(nets, (0.9, 0.4), strict=True) if len(p.logp)]
    if not used:
        assert found == []
        return
    tokens, probs, start = stacked([p for p, _ in used], options.symbol_threshold)
    weights = np.array([w for _, w in used])
    lm = LM if alpha else None
    plain = joint_plain.search(options, lm, WORDS, tokens, probs, start, weights)
    score, text = max(plain)
    assert found[0].score == pytest.approx(score, abs=1e-3)
    assert found[0].tokens == text or found[0].score == pytest.approx(found[1].score, abs=1e-3)


def test_together_they_find_what_each_finds_second_best() -> None:
    """Two nets that are sure of different wrong letters and both allow the right one."""
    alphabet = ("x", "y", "z")
    one = np.log(np.array([[0.01, 0.57, 0.02, 0.4]], np.float32))
    two = np.log(np.array([[0.01, 0.02, 0.57, 0.4]], np.float32))
    found = JointDecoder(replace(WIDE, words=0.0)).decode(
        [Posteriors(one, alphabet), Posteriors(two, alphabet)]
    )
    assert found[0].tokens == ("z",)


def test_a_known_word_outweighs_a_slightly_likelier_one() -> None:
    alphabet = ("a", "b")
    rows = [[0.02, 0.9, 0.08], [0.98, 0.01, 0.01], [0.02, 0.52, 0.46]]
    nets = [Posteriors(np.log(np.array(rows, np.float32)), alphabet)]
    assert JointDecoder(replace(WIDE, words=0.0)).decode(nets)[0].text == "aa"
    assert JointDecoder(WIDE, None, WORDS).decode(nets)[0].text == "ab"


def test_what_cannot_be_searched_is_said() -> None:
    broken = Posteriors(np.full((2, 3), np.nan, np.float32), ("a", "b"))
    with pytest.raises(InputError):
        JointDecoder().decode([broken])
    with pytest.raises(ValueError, match="2 weights for 1"):
        JointDecoder().decode([seen(0, 3, 1.0)], (1.0, 2.0))
    with pytest.raises(ValueError, match="joint"):
        JointOptions(alpha=-1.0)
    assert JointDecoder().decode([]) == []
