"""Word models: what a word is, which are kept, and that the file holds what was estimated."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble_htr.config import load_toml
from ensemble_htr.errors import AssetError, ConfigError, InputError
from ensemble_htr.lm import load, text_logprob
from ensemble_htr.lm.arpa import write_arpa
from ensemble_htr.lm.build import build, write_product
from ensemble_htr.lm.kenlm_backend import available
from ensemble_htr.lm.kneser_ney import estimate
from ensemble_htr.lm.ngrams import encode, stream_logprob
from ensemble_htr.lm.recipe import Recipe, from_texts
from ensemble_htr.lm.symbols import SPECIALS
from ensemble_htr.lm.words import bounded, gather, heaviest, split, words_of

WORDS = st.lists(st.sampled_from(["le", "dit", "<s>", "d'Été,", "a\\b", "<unk>", "▁"]), max_size=6)
TEXT = "le dit jour\nle dit notaire à Paris\nun jour le notaire\nle dit jour\n"


@given(st.lists(WORDS, max_size=4))
def test_lines_fall_into_their_words(lines: list[list[str]]) -> None:
    assert split([tuple(" ".join(line)) for line in lines]) == [tuple(line) for line in lines]


@given(st.dictionaries(st.text(max_size=2), st.lists(WORDS, max_size=4)), st.integers(1, 5))
def test_a_bounded_vocabulary_holds_the_most_frequent(
    components: dict[str, list[list[str]]], most: int
) -> None:
    given_ = {name: [tuple(line) for line in lines] for name, lines in components.items()}
    everything = bounded(given_, 0)
    kept = bounded(given_, most)
    assert kept[:3] == SPECIALS and len(kept) == min(len(everything), 3 + most)
    assert set(kept) <= set(everything) and list(kept[3:]) == sorted(kept[3:])


def test_a_small_text_has_its_say_in_the_vocabulary() -> None:
    small, large = [("notaire",)], [("roman",), ("roman",), ("amour",)] * 100
    assert bounded({"small": small, "large": large}, 2)[3:] == ("notaire", "roman")


@given(st.lists(WORDS, min_size=1, max_size=6), WORDS)
def test_the_file_says_what_was_estimated(lines: list[list[str]], asked: list[str]) -> None:
    """Also to KenLM: the third law of language models, word by word."""
    vocab = bounded({"": [tuple(line) for line in lines]}, 3)
    model = estimate([tuple(line) for line in lines], 3, vocab)
    expected = stream_logprob(model, encode([asked], vocab)).sum()
    buffer = io.BytesIO()
    write_arpa(model, buffer, decimals=7)
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "words.arpa"
        path.write_bytes(buffer.getvalue())
        assert words_of(path) == vocab[3:]
        for backend in ("arpa", *(["kenlm"] if available() else [])):
            found = text_logprob(load(path, backend), asked)  # type: ignore[arg-type]
            assert np.isclose(found, expected, atol=1e-3)


def test_a_recipe_of_words(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(TEXT, encoding="utf-8")
    said: list[str] = []
    recipe = from_texts(
        "toy", [Path("a.txt")], {}, [Path("a.txt")], level="word", vocabulary=4, order=2
    )
    built = build(recipe, tmp_path, said.append)
    out = write_product(built, tmp_path / "out", tmp_path)
    assert words_of(out) == ("dit", "jour", "le", "notaire")
    assert any("4 words; 20.0% of the report text are others" in line for line in said)
    card = (tmp_path / "out" / "card.md").read_text(encoding="utf-8")
    assert "Word 2-gram" in card and "| bits per word |" in card
    lm = load(out)
    assert text_logprob(lm, ["le", "dit"]) > text_logprob(lm, ["dit", "le"])
    model, words, hot = gather({"lm/toy": out}, 5)
    assert model is not None and words == words_of(out) and hot == ()


@pytest.mark.parametrize(
    "settings", ['level = "wrod"', "vocabulary = 5", 'level = "word"\nvocabulary = -1']
)
def test_levels_that_cannot_be(tmp_path: Path, settings: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(f'name = "toy"\n{settings}\n[[components]]\nname = "a"\ntexts = ["a.txt"]\n')
    with pytest.raises(ConfigError, match="level|vocabulary"):
        load_toml(path, Recipe)


def test_the_heaviest_entries_of_a_lexicon(tmp_path: Path) -> None:
    path = tmp_path / "names.txt.gz"
    rows = "Marie\t300\nJean\t500\nMarie\t7\n\nRe\u0301my\n de  Rivoli \t11\n"
    path.write_bytes(gzip.compress(rows.encode()))
    assert heaviest(path, 9) == ("Jean", "Marie", "de Rivoli", "Rémy")
    assert heaviest(path, 1) == ("Jean",)
    assert gather({"hotwords/names": path}, 2) == (None, (), ("Jean", "Marie"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"Marie\tmany\n", r"line 1: 'many' is no weight"),
        (b"Marie\tnan\n", r"line 1: 'nan' is no weight"),
        (b"Ren\xe9\t4\n", r"not UTF-8 \(byte 3\)"),
        (None, "no such lexicon"),
    ],
)
def test_a_bad_lexicon_is_one_clear_line(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "names.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AssetError, match=message):
        heaviest(path, 5)


def test_files_that_are_no_word_model(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(TEXT, encoding="utf-8")
    chars = write_product(
        build(from_texts("toy", [tmp_path / "a.txt"], {}, order=2), tmp_path),
        tmp_path / "chars.arpa", tmp_path,
    )  # fmt: skip
    with pytest.raises(AssetError, match="a model of characters.*--level word"):
        gather({"lm/chars": chars}, 5)
    (tmp_path / "broken.arpa").write_text("nothing")
    with pytest.raises(AssetError, match="not a usable ARPA"):
        words_of(tmp_path / "broken.arpa")
    with pytest.raises(AssetError, match="no such language model"):
        words_of(tmp_path / "none.arpa")
    with pytest.raises(InputError):
        build(from_texts("toy", [tmp_path / "none.txt"], {}, level="word"), tmp_path)
