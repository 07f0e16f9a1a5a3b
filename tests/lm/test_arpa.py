"""ARPA: read(write(x)) = x, both models say the same, and strangers' files fail in one line."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble_htr.errors import AssetError
from ensemble_htr.lm import arpa
from ensemble_htr.lm.arpa import ArpaModel, read_arpa, write_arpa
from ensemble_htr.lm.kneser_ney import estimate
from ensemble_htr.lm.loading import text_logprob
from ensemble_htr.lm.ngrams import NGramModel
from ensemble_htr.lm.symbols import hidden, visible
from ensemble_htr.protocols import LanguageModel

from .shared import LINES, STRANGE, TOKENS, line_logprob, small


def written(model: NGramModel, decimals: int = 7) -> bytes:
    buffer = io.BytesIO()
    write_arpa(model, buffer, decimals)
    return buffer.getvalue()


def read(data: bytes) -> NGramModel:
    return read_arpa(io.BytesIO(data), "x.arpa")


@given(st.text(max_size=6) | st.sampled_from(["<s>", "</s>", "<unk>", "\\<s>", "\\u0;", "▁", " "]))
def test_symbols_are_reversible(token: str) -> None:
    symbol = visible(token)
    assert hidden(symbol) == token
    assert symbol and not any(c.isspace() for c in symbol)
    assert symbol not in ("<s>", "</s>", "<unk>")


def test_a_blank_is_visible() -> None:
    assert (visible(" "), visible("▁"), visible("é"), visible("<s>")) == ("▁", "\\▁", "é", "\\<s>")


@settings(max_examples=30, deadline=None)
@given(lines=LINES, order=st.integers(1, 5))
def test_round_trip(lines: list[tuple[str, ...]], order: int) -> None:
    model = estimate(lines, order)
    back = read(written(model, 9))
    assert back.vocab == model.vocab
    assert back.trie.offsets == model.trie.offsets
    for name in ("token", "parent", "suffix"):
        np.testing.assert_array_equal(getattr(back.trie, name), getattr(model.trie, name))
    np.testing.assert_allclose(back.logp, model.logp, atol=1e-8)
    np.testing.assert_allclose(back.bow, model.bow, atol=1e-8)
    assert written(back, 9) == written(model, 9)


@settings(max_examples=30, deadline=None)
@given(lines=LINES, order=st.integers(1, 5), asked=LINES)
def test_the_walk_agrees_with_the_vectors(
    lines: list[tuple[str, ...]], order: int, asked: list[tuple[str, ...]]
) -> None:
    model = estimate(lines, order)
    lm = ArpaModel(model)
    for line in (*asked, *lines, *STRANGE):
        assert text_logprob(lm, line) == pytest.approx(line_logprob(model, line), abs=1e-4)


def test_is_a_language_model_with_hashable_states() -> None:
    lm = ArpaModel(small())
    assert isinstance(lm, LanguageModel)
    before = lm.start()
    first = lm.score(before, "l")
    assert lm.score(before, "l") == first and hash(first[1]) is not None
    assert first[0] <= 0.0 and lm.end(first[1]) <= 0.0
    assert lm.score(before, "œ") == lm.score(before, "¶")  # unknown tokens are alike


def test_kenlm_agrees(tmp_path: Path) -> None:
    pytest.importorskip("kenlm")
    from ensemble_htr.lm.kenlm_backend import KenLMModel

    for order in (2, 3, 6):
        path = tmp_path / f"{order}.arpa"
        path.write_bytes(written(small(order)))
        theirs, ours = KenLMModel(path), ArpaModel(small(order))
        assert isinstance(theirs, LanguageModel) and theirs.order == order
        for line in (*TOKENS, *STRANGE):
            a, b = theirs.start(), ours.start()
            for token in line:
                (p, a), (q, b) = theirs.score(a, token), ours.score(b, token)
                assert p == pytest.approx(q, abs=1e-4)
            assert theirs.end(a) == pytest.approx(ours.end(b), abs=1e-4)
        state = theirs.start()
        assert theirs.score(state, "l") == theirs.score(state, "l")
        assert len({theirs.score(state, "l")[1], theirs.score(state, "l")[1]}) == 1


GOOD = (
    b"\\data\\\nngram 1=4\nngram 2=2\n\n\\1-grams:\n-1\t<unk>\n-99\t<s>\t-0.3\n-0.5\t</s>\n"
    b"-0.4\ta\t-0.2\n\n\\2-grams:\n-0.1\t<s> a\n-0.2\ta a\n\n\\end\\\n"
)


def test_a_file_by_hand() -> None:
    lm = ArpaModel(read(GOOD))
    first, state = lm.score(lm.start(), "a")
    assert first == pytest.approx(-0.1 * math.log(10))
    assert lm.end(state) == pytest.approx((-0.2 - 0.5) * math.log(10))
    assert lm.score(state, "x")[0] == pytest.approx((-0.2 - 1) * math.log(10))


def test_contexts_whose_suffix_was_pruned_away() -> None:
    data = (
        b"\\data\\\nngram 1=5\nngram 2=1\nngram 3=1\n\n\\1-grams:\n-1\t<unk>\n-99\t<s>\n"
        b"-0.5\t</s>\n"
        b"-0.4\ta\t-0.2\n-0.6\tb\t-0.7\n\n\\2-grams:\n-0.1\ta b\t-0.3\n\n\\3-grams:\n"
        b"-0.2\ta b b\n\n\\end\\\n"
    )
    lm = ArpaModel(read(data))
    _, ab = lm.score(lm.score(lm.start(), "a")[1], "b")
    logp, after = lm.score(ab, "b")  # the 3-gram; its suffix "b b" does not exist, "b" does
    assert logp == pytest.approx(-0.2 * math.log(10))
    assert lm.score(after, "a")[0] == pytest.approx((-0.7 - 0.4) * math.log(10))


# what is done to a good file, what the message must say
HOSTILE: list[tuple[Callable[[bytes], bytes], str]] = [
    (lambda _: b"", "ends too early"),
    (lambda _: b"\xfd7zXZ\x00 garbage", "does not begin with"),
    (lambda d: d.replace(b"ngram 2=2", b"ngram 2=3"), "fewer than 3 well-formed|wanted"),
    (lambda d: d.replace(b"ngram 2=2", b"ngram 2=1"), "no .end|wanted"),
    (lambda d: d.replace(b"ngram 2=2", b"ngram 2=99999999999999"), "more than 40000000"),
    (lambda d: d.replace(b"ngram 2=2", b"ngram 2=-2"), "out of order"),
    (lambda d: d.replace(b"ngram 1=4\n", b""), "out of order"),
    (lambda d: d.replace(b"-0.1\t<s> a", b"0.1\t<s> a"), "probability over 1"),
    (lambda d: d.replace(b"-0.1\t<s> a", b"nan\t<s> a"), "probability over 1"),
    (lambda d: d.replace(b"-0.1\t<s> a", b"-inf\t<s> a"), "not finite"),
    (lambda d: d.replace(b"-0.1\t<s> a", b"x\t<s> a"), "could not convert"),
    (lambda d: d.replace(b"a\t-0.2", b"a\tinf"), "not finite"),
    (lambda d: d.replace(b"<s> a", b"<s> a a"), "does not have 2 words"),
    (lambda d: d.replace(b"<s> a", b"<s> b"), "not among the 1-grams"),
    (lambda d: d.replace(b"<s> a", b"a a"), "occurs twice"),
    (lambda d: d.replace(b"\ta\t", b"\t<s>\t"), "occurs twice"),
    (lambda d: d.replace(b"\ta\t", b"\t\xff\t"), "not UTF-8"),
    (lambda d: d.replace(b"</s>", b"b"), "no </s>"),
    (lambda d: d[:-8], "ends too early|no .end"),
    (lambda d: d.replace(b"\\2-grams:", b"\\3-grams:"), "wanted the section"),
    (lambda d: d.replace(b"\ta\t", b"\t" + b"a" * 5000 + b"\t"), "more than 4096 bytes"),
]


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_files(number: int) -> None:
    spoil, message = HOSTILE[number]
    with pytest.raises(AssetError, match=message) as caught:
        read(spoil(GOOD))
    assert "\n" not in str(caught.value) and "x.arpa: line" in str(caught.value)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_files_never_crash(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(GOOD) - 1))
    junk = data.draw(st.binary(max_size=6))
    try:
        ArpaModel(read(GOOD[:at] + junk + GOOD[at + data.draw(st.integers(0, 8)) :]))
    except AssetError:
        pass


def test_prefix_must_exist() -> None:
    data = written(small(3)).replace(b"ngram 3=", b"ngram 3=")
    rows = data.split(b"\n")
    start = rows.index(b"\\2-grams:")
    victim = next(r for r in rows[start + 1 :] if r.split(b"\t")[1] == b"n o")
    rows.remove(victim)
    count = next(i for i, r in enumerate(rows) if r.startswith(b"ngram 2="))
    rows[count] = b"ngram 2=%d" % (int(rows[count][8:]) - 1)
    with pytest.raises(AssetError, match="first 2 words are no n-gram"):
        read(b"\n".join(rows))


def test_size_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arpa, "MAX_BYTES", 50)
    with pytest.raises(AssetError, match="more than 0 MiB"):
        read(GOOD)
