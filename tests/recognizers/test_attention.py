"""The encoder-decoder as a recognizer: its search against brute force, its tree against one text
at a time, alone as in company."""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="needs the extra [recognize]")
pytest.importorskip("cv2")

from ensemble_htr.decode import BeamDecoder, BeamOptions, ctc_score, greedy  # noqa: E402
from ensemble_htr.errors import InputError  # noqa: E402
from ensemble_htr.protocols import (  # noqa: E402
    ScoringRecognizer,
    SpeakingRecognizer,
    WritingRecognizer,
)
from ensemble_htr.recognizers import attention, trees  # noqa: E402
from ensemble_htr.recognizers.attention import (  # noqa: E402
    AttentionRecognizer,
    EncoderRecognizer,
    load_recognizer,
)
from ensemble_htr.recognizers.weights import save_weights  # noqa: E402
from ensemble_htr.recognizers.zoo import build_network  # noqa: E402
from ensemble_htr.types import Line, Posteriors, SearchOptions  # noqa: E402

torch.set_num_threads(1)  # the network here is too small for more
PLAIN = SearchOptions(beta=0.0, ctc=0.0)  # scores are the decoder's own
SIZES = {
    **{"stem": 4, "channels": (4, 6, 8), "blocks": (1, 1, 1), "width": 16, "heads": 2},
    **{"inner": 16, "encoder": 1, "decoder": 2, "kernel": 3},
}


def build(folder: Path, alphabet: str, seed: int = 1, language: int = 0) -> AttentionRecognizer:
    torch.manual_seed(seed)
    sizes = {**SIZES, "language": language}
    network = build_network("transformer", sizes, len(alphabet))
    with torch.no_grad():
        network.next.weight *= 6.0  # opinions, as a trained decoder has them
        if language:
            network.language.next.weight *= 6.0
    path = folder / f"{len(alphabet)}-{seed}-{language}.safetensors"
    save_weights(path, network.state_dict(), architecture="transformer", network=sizes,
                 alphabet=tuple(alphabet), profile="fr-archive", facts={})  # fmt: skip
    decoder = BeamDecoder(BeamOptions(alpha=0.0), None, "t")
    engine = load_recognizer("t", path, decoder=decoder, scorer=ctc_score, precision="fp32")
    assert isinstance(engine, AttentionRecognizer)
    return engine


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> AttentionRecognizer:
    return build(tmp_path_factory.mktemp("weights"), "abcdefgh ")


def line(width: int, seed: int) -> Line:
    rng = np.random.default_rng(seed)
    return Line(id=f"{width}-{seed}", image=(rng.random((48, width)) ** 8 * 255).astype(np.uint8))


def test_protocols(engine: AttentionRecognizer) -> None:
    assert isinstance(engine, WritingRecognizer) and isinstance(engine, ScoringRecognizer)
    ((best,),) = engine.read([line(80, 0)])
    assert best.source == "t" and best.logprobs is not None and not best.lm


def test_without_its_decoder_it_hears_the_same_and_does_not_write(
    engine: AttentionRecognizer, tmp_path: Path
) -> None:
    build(tmp_path, "abcdefgh ")
    (path,) = tmp_path.glob("*.safetensors")
    plain = load_recognizer(
        "t", path, decoder=engine.decoder, scorer=ctc_score, precision="fp32", writes=False
    )
    assert isinstance(plain, EncoderRecognizer) and not isinstance(plain, WritingRecognizer)
    lines = [line(80, 0), line(33, 1)]
    for mine, whole in zip(plain.posteriors(lines), engine.posteriors(lines), strict=True):
        np.testing.assert_array_equal(mine.logp, whole.logp)
        assert mine.memory is None and whole.memory is not None


@settings(max_examples=6, deadline=None)
@given(widths=st.lists(st.integers(1, 120), min_size=1, max_size=10), seed=st.integers(0, 9))
def test_a_line_alone_and_in_company_reads_the_same(
    engine: AttentionRecognizer, widths: list[int], seed: int
) -> None:
    heard = engine.posteriors([line(w, seed + i) for i, w in enumerate(widths)])
    together = engine.write(heard)
    for i, (p, written) in enumerate(zip(heard, together, strict=True)):
        (alone,) = engine.posteriors([line(widths[i], seed + i)])
        np.testing.assert_allclose(alone.logp, p.logp, atol=1e-4)
        assert greedy(alone).text == greedy(p).text
        (mine,) = engine.write([alone])
        assert [h.text for h in mine] == [h.text for h in written]


def told(engine: AttentionRecognizer, text: Sequence[str]) -> float:
    """What the language module says of a whole text, in one pass without a cache, each character
    counted from its usual cost."""
    codes = [1 + engine.alphabet.index(c) for c in text]
    with torch.inference_mode():
        logits = engine.network.tell(torch.tensor([[len(engine.alphabet) + 1, *codes]]))[0]
    rows = logits.log_softmax(-1)
    said = sum(float(row[code]) for row, code in zip(rows, [*codes, 0], strict=True))
    return said + attention.USUAL * len(text)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.text("abcdefgh x", max_size=9), max_size=5))
def test_the_language_module_is_asked_without_a_line(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    engine = build(tmp_path_factory.mktemp("speaks"), "abcdefgh ", seed=3, language=1)
    assert engine.speaks and isinstance(engine, SpeakingRecognizer)
    said = engine.tell([tuple(text) for text in texts])
    assert [len(each) for each in said] == [len(text) + 1 for text in texts]
    for text, each in zip(texts, said, strict=True):
        assert np.isfinite(each).all()
        if "x" not in text:  # of its alphabet: the same as in one pass of it alone
            assert sum(each) == pytest.approx(told(engine, text), abs=1e-3)


@pytest.mark.parametrize(
    ("beta", "ctc", "inner"), [(0.0, 0.0, 0.0), (0.4, 0.0, 0.0), (-0.2, 0.7, 0.0), (0.1, 0.3, 0.6)]
)
def test_the_beam_finds_what_brute_force_finds(
    tmp_path: Path, beta: float, ctc: float, inner: float
) -> None:
    engine = build(tmp_path, "ab", seed=4, language=2 if inner else 0)
    for width in (9, 20, 30):  # two to four frames: texts of at most as many characters
        (heard,) = engine.posteriors([line(width, width)])
        limit = len(heard.memory)  # type: ignore[arg-type]
        texts = [t for n in range(limit + 1) for t in itertools.product("ab", repeat=n)]
        (scores,) = engine.dictate([heard], [texts])
        assert np.logaddexp.reduce(scores) <= 1e-6  # a distribution over texts (longer ones too)
        said = np.maximum(ctc_score(heard, texts), -1e6)
        scores = [a + beta * len(t) + ctc * c for a, t, c in zip(scores, texts, said, strict=True)]
        if inner:
            scores = [a + inner * told(engine, t) for a, t in zip(scores, texts, strict=True)]
        best = sorted(zip(scores, texts, strict=True), reverse=True)[:4]
        options = SearchOptions(beam=31, n_best=31, beta=beta, ctc=ctc, inner=inner)
        (found,) = engine.write([heard], options)
        found = found[:4]
        assert [h.tokens for h in found] == [t for _, t in best]
        assert [h.score for h in found] == pytest.approx([s for s, _ in best], abs=1e-4)


def test_rivals_are_scored_in_one_tree_as_each_alone(engine: AttentionRecognizer) -> None:
    (heard,) = engine.posteriors([line(150, 3)])
    texts = ["", "a", "ab", "abc", "abd", "b", "ba ab", "abc", "abcdefgh" * 4]
    (together,) = engine.dictate([heard], [texts])
    alone = [engine.dictate([heard], [[t]])[0][0] for t in texts]
    assert together == pytest.approx(alone, abs=1e-4)
    assert engine.dictate([heard], [["aéb"]]) == [[-math.inf]]
    assert engine.dictate([heard], [[]]) == [[]]
    assert all(score <= 0 for score in together)


def test_lines_are_dictated_side_by_side_as_each_alone(
    engine: AttentionRecognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = engine.posteriors([line(150 - 9 * k, k) for k in range(7)])
    texts = [["abcd" * k, "ab" * k, "é", "c"][: 4 - k % 3] for k in range(6)] + [[]]
    alone = [engine.dictate([p], [rivals])[0] for p, rivals in zip(heard, texts, strict=True)]
    for nodes in (4096, 40, 1):  # also in several passes
        for module in (attention, trees):
            monkeypatch.setattr(module, "NODES", nodes)
        together = engine.dictate(heard, texts)
        for mine, wanted in zip(together, alone, strict=True):
            assert mine == pytest.approx(wanted, abs=1e-4)


def test_what_is_written_has_the_score_of_its_dictation(engine: AttentionRecognizer) -> None:
    heard = engine.posteriors([line(150, 3), line(60, 4)])
    for p, written in zip(heard, engine.write(heard, PLAIN), strict=True):
        assert 1 <= len(written) <= 4
        assert len({h.text for h in written}) == len(written)
        (scores,) = engine.dictate([p], [[h.tokens for h in written]])
        assert scores == sorted(scores, reverse=True)
        for h, score in zip(written, scores, strict=True):
            if len(h.tokens) < len(p.memory):  # else it was cut off and has no end
                assert h.score == pytest.approx(score, abs=1e-3)


@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_what_the_ctc_reads_is_ranked_with_what_is_written(
    engine: AttentionRecognizer, alpha: float
) -> None:
    heard = engine.posteriors([line(170 - 30 * k, k) for k in range(4)])
    options = SearchOptions(beam=9, n_best=9, alpha=alpha, ctc=10.0, proposed=5)
    alone = engine.write(heard, replace(options, proposed=0), OnlyB())
    both = engine.write(heard, options, OnlyB())
    more = 0
    for p, written, found in zip(heard, alone, both, strict=True):
        scores = {h.tokens: h.score for h in written}
        texts = [h.tokens for h in engine.decoder.decode(p, 5)]
        (said,) = engine.dictate([p], [texts])
        for text, own, ctc in zip(texts, said, ctc_score(p, texts), strict=True):
            spoken = sum(OnlyB().score(0, c)[0] for c in text) + OnlyB().end(0)
            total = own + options.beta * len(text) + options.ctc * ctc + alpha * spoken
            scores.setdefault(text, total)
        best = sorted(scores.items(), key=lambda each: -each[1])[:9]
        assert [h.tokens for h in found] == [text for text, _ in best]
        assert [h.score for h in found] == pytest.approx([s for _, s in best], abs=1e-3)
        assert all(len(h.logprobs) == len(h.tokens) for h in found)
        more += len({h.tokens for h in found} - {h.tokens for h in written})
    assert more


class OnlyB:
    """A language model that has only ever seen the letter b."""

    def start(self) -> Hashable:
        return 0

    def score(self, state: Hashable, token: str) -> tuple[float, Hashable]:
        return (-0.1 if token == "b" else -50.0), 0

    def end(self, state: Hashable) -> float:
        return -1.0


def test_the_language_model_takes_part_with_its_weight(engine: AttentionRecognizer) -> None:
    heard = engine.posteriors([line(200, 7)])
    silent = engine.write(heard, SearchOptions(alpha=0.0), OnlyB())
    assert silent == engine.write(heard)
    (spoken,) = engine.write(heard, SearchOptions(beam=9, alpha=2.0, beta=0.2, ctc=0.0), OnlyB())
    assert set(spoken[0].text) <= {"b"} and spoken[0].lm


def test_the_language_module_speaks_where_hypotheses_are_written_not_of_what_they_are(
    tmp_path: Path,
) -> None:
    """It changes which texts are found and their scores; of a text, the decoder's own
    log-probabilities (what the judge hears, and `dictate`) stay as they were."""
    engine = build(tmp_path, "abcdefgh ", seed=3, language=1)
    heard = engine.posteriors([line(170 - 30 * k, k) for k in range(4)])
    options = SearchOptions(beam=9, n_best=9, proposed=5, inner=0.8)
    silent = engine.write(heard, replace(options, inner=0.0))
    assert silent == build(tmp_path, "abcdefgh ", seed=3).write(heard, options)
    changed = 0
    for p, before, found in zip(heard, silent, engine.write(heard, options), strict=True):
        changed += [h.tokens for h in before] != [h.tokens for h in found]
        (own,) = engine.dictate([p], [[h.tokens for h in found]])
        for h, score, ctc in zip(found, own, ctc_score(p, [h.tokens for h in found]), strict=True):
            if len(h.tokens) < attention._limit(p):  # else it was cut off and has no end
                total = score + options.beta * len(h.tokens) + options.ctc * max(ctc, -1e6)
                assert h.score == pytest.approx(total + 0.8 * told(engine, h.tokens), abs=1e-3)
            assert h.logprobs is not None and sum(h.logprobs) >= score - 1e-3 and not h.lm
    assert changed


def test_posteriors_of_another_recognizer_are_refused(engine: AttentionRecognizer) -> None:
    with pytest.raises(InputError, match="without a decoder"):
        engine.write([Posteriors(np.zeros((3, 1), np.float32), ())])


@pytest.mark.parametrize("wrong", [{"beam": 0}, {"n_best": 9}, {"alpha": -1.0}, {"proposed": -1}])
def test_wrong_options(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="search"):
        SearchOptions(**wrong)  # type: ignore[arg-type]
