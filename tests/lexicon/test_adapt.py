"""Words and names of one's own lines join the lists at hand."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ensemble_htr.lexicon.adapt import OWN, adapt_lists, count_words, write_lists
from ensemble_htr.lexicon.lists import read_entries
from ensemble_htr.lexicon.shelf import lists_of


@given(st.lists(st.text("aé'- .1בּ", max_size=12), max_size=5))
def test_words_are_runs_of_letters_with_their_marks(texts: list[str]) -> None:
    found = count_words(texts)
    letters = sum(char.isalpha() for text in texts for char in text)
    assert sum(sum(map(str.isalpha, w)) * n for w, n in found.items()) == letters
    assert all(word[0].isalpha() and " " not in word for word in found)


def test_own_words_join_and_own_names_are_a_list(tmp_path: Path) -> None:
    write_lists({"words": {"maison": 90.0, "la": 10.0}, "given": {"Marie": 3.0}}, tmp_path / "a")
    base = lists_of(tmp_path / "a")
    new = adapt_lists(base, ["la domus de Guillelmus", "chez Guillelmus"], tmp_path / "b")
    lists = {name: read_entries(path) for name, path in lists_of(tmp_path / "b").items()}
    assert new == {"words": 4, OWN: 1} and lists[OWN] == {"Guillelmus": 2.0}
    assert lists["given"] == {"Marie": 3.0} and lists["words"]["maison"] == 90.0
    assert lists["words"]["la"] > 10.0 and "domus" in lists["words"]
    own = sum(lists["words"].values()) - 100.0
    assert 9.0 < own < 11.0  # a tenth of what was there


def test_from_nothing(tmp_path: Path) -> None:
    adapt_lists({}, ["una domus"], tmp_path)
    assert read_entries(lists_of(tmp_path)["words"]) == {"una": 1.0, "domus": 1.0}
