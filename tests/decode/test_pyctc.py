from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from ensemble_htr.decode import BeamDecoder, BeamOptions
from ensemble_htr.decode.pyctc import PyctcDecoder
from ensemble_htr.errors import AssetError, InputError, MissingDependencyError
from ensemble_htr.protocols import Decoder
from ensemble_htr.types import Posteriors

from .oracle import from_logits, random_line

present = importlib.util.find_spec("pyctcdecode") is not None
needs_library = pytest.mark.skipif(not present, reason="pyctcdecode is not installed")
needs_kenlm = pytest.mark.skipif(
    importlib.util.find_spec("kenlm") is None, reason="kenlm is not installed"
)

ARPA = """\\data\\
ngram 1=5
ngram 2=1

\\1-grams:
-9.0\t<unk>\t0
-9.0\t<s>\t0
-0.5\t</s>
-5.0\tma\t0
-0.3\tmo\t0

\\2-grams:
-0.3\tmo mo

\\end\\
"""


def spelled(text: str, alphabet: str, doubt: dict[int, str] | None = None) -> Posteriors:
    """Posteriors that surely spell ``text``, save that letter i may nearly as well be doubt[i]."""
    logits = np.full((2 * len(text), 1 + len(alphabet)), -9.0)
    for i, symbol in enumerate(text):
        logits[2 * i, alphabet.index(symbol) + 1] = logits[2 * i + 1, 0] = 0.0
        if doubt and i in doubt:
            logits[2 * i, alphabet.index(doubt[i]) + 1] = -0.5
    return from_logits(logits, tuple(alphabet))


@pytest.mark.skipif(present, reason="pyctcdecode is installed")
def test_without_the_library_the_extra_is_named() -> None:
    with pytest.raises(MissingDependencyError, match=r"pip install 'ensemble-htr\[pyctcdecode\]'"):
        PyctcDecoder()


@needs_library
def test_without_an_lm_it_reads_what_our_beam_reads() -> None:
    theirs, ours = PyctcDecoder(beam=16), BeamDecoder(BeamOptions(beam=16))
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


@needs_library
def test_hotwords_decide_a_doubt() -> None:
    line = spelled("ma mo", "amo ", {1: "o"})
    assert PyctcDecoder().decode(line)[0].text == "ma mo"
    (best,) = PyctcDecoder(hotwords=["mo"]).decode(line)
    assert (best.text, best.lm) == ("mo mo", True)


@needs_library
@needs_kenlm
def test_a_word_model_decides_a_doubt(tmp_path: Path) -> None:
    arpa = tmp_path / "words.arpa"
    arpa.write_text(ARPA, encoding="utf-8")
    (best,) = PyctcDecoder(arpa).decode(spelled("ma mo", "amo ", {1: "o"}))
    assert (best.text, best.lm) == ("mo mo", True)


@needs_library
@needs_kenlm
def test_a_bad_model_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=r"none\.arpa: no such language model"):
        PyctcDecoder(tmp_path / "none.arpa")
    broken = tmp_path / "broken.arpa"
    broken.write_text("not an ARPA file", encoding="utf-8")
    with pytest.raises(AssetError, match=r"^pyctcdecode cannot use .*broken\.arpa: [^\n]*$"):
        PyctcDecoder(broken).decode(spelled("a", "a"))


@needs_library
def test_no_frames_and_nan() -> None:
    (empty,) = PyctcDecoder().decode(Posteriors(np.zeros((0, 2), np.float32), ("a",)))
    assert (empty.text, empty.spans) == ("", ())
    with pytest.raises(InputError, match="NaN"):
        PyctcDecoder().decode(Posteriors(np.full((1, 2), np.nan, np.float32), ("a",)))
