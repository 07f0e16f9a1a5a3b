"""Lexicons: what is exact is found, what is near is found whole (a slow oracle says what), and
nothing else is."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from ensemble_htr.assets import verify
from ensemble_htr.cli.lexicon import lexicon as command
from ensemble_htr.errors import AssetError, EnsembleError, InputError, UsageError
from ensemble_htr.lexicon import (
    Columns,
    Costs,
    Lexicon,
    NameList,
    NameVoice,
    WordVoice,
    build,
    explain_names,
    keys,
    learn,
    lists_of,
    name_words,
    read_entries,
)
from ensemble_htr.lexicon.costs import load_costs
from ensemble_htr.lexicon.near import allowed
from ensemble_htr.lexicon.voice import CAP, evidence
from ensemble_htr.protocols import TextVoice
from ensemble_htr.text import graphemes
from ensemble_htr.types import Reading

WORD = st.text("abcé-' ", min_size=1, max_size=12).filter(lambda w: any(map(str.isalpha, w)))
ENTRIES = st.dictionaries(WORD, st.integers(1, 50).map(float), min_size=1, max_size=40)
FRENCH = {"Étienne": 9.0, "Etienne": 4.0, "Le Blanc": 3.0, "Saint-Étienne": 5.0, "Berthier": 7.0,
          "de La Tour": 2.0, "Berthelot": 1.0, "Martin": 50.0}  # fmt: skip


def made(tmp_path: Path, entries: dict[str, float], name: str = "names") -> Lexicon:
    build(entries, name, tmp_path / f"{name}.lex")
    return Lexicon([NameList.load(tmp_path / f"{name}.lex")])


@pytest.fixture(scope="module")
def french(tmp_path_factory: pytest.TempPathFactory) -> Lexicon:
    return made(tmp_path_factory.mktemp("french"), FRENCH)


@pytest.mark.parametrize(
    "one, other",
    [
        ("Étienne", "ETIENNE"),  # case and accents
        ("Saint-Étienne", "St Etienne"),  # hyphen, abbreviation
        ("Le Blanc", "Leblanc"),  # an article that is part of the name
        ("d'Estrées", "Estrees"),  # a preposition that is none
        ("Œuvrard", "Oeuvrard"),
        ("E\u0301tienne", "Étienne"),  # decomposed
        ("L’Hôpital", "l'hopital"),
    ],
)
def test_spellings_of_one_name_share_a_key(one: str, other: str) -> None:
    assert keys(one)[0] == keys(other)[0]


@settings(max_examples=40, deadline=None)
@given(ENTRIES, WORD)
def test_near_keys_are_those_of_the_slow_oracle(
    tmp_path_factory: pytest.TempPathFactory, entries: dict[str, float], asked: str
) -> None:
    found = made(tmp_path_factory.mktemp("x"), entries).lists[0]
    every = {key for entry in entries for key in keys(entry)}
    key = keys(asked)[0]
    for most in (1, 2):
        near = {other for other in every if 0 < Levenshtein.distance(other, key) <= most}
        near = {other for other in near if len(other) >= 3} if len(key) >= 3 else set()
        assert {found.key(n) for n in found.near(key, most)} == near
    assert (found.find(key) is not None) == (key in every)


@settings(max_examples=25, deadline=None)
@given(ENTRIES)
def test_every_entry_is_found_as_it_was_spelled(
    tmp_path_factory: pytest.TempPathFactory, entries: dict[str, float]
) -> None:
    lexicon = made(tmp_path_factory.mktemp("x"), entries)
    for entry in entries:
        assert entry in {m.entry for m in lexicon.lookup(entry, 100) if m.exact}


@given(st.text("abcdefmnr", max_size=8), st.text("abcdefmnr", max_size=8))
def test_weighted_costs_never_exceed_plain_ones(a: str, b: str) -> None:
    plain = Levenshtein.distance(a, b)
    assert Costs({}).distance(a, b) == plain
    assert Costs().distance(a, b) <= plain
    assert (Costs().distance(a, b) == 0) == (a == b)


def test_confusions_are_learned(tmp_path: Path) -> None:
    pairs = [("maison", "maisou")] * 20 + [("notaire", "notaire")] * 50 + [("Anne", "Arme")] * 5
    costs = learn(pairs)
    assert costs.distance("non", "nou") < 1 == costs.distance("non", "noz")
    (tmp_path / "costs.json").write_text(costs.save(), encoding="utf-8")
    again = load_costs(tmp_path / "costs.json")
    assert again.table == pytest.approx(dict(costs.table), abs=1e-3)
    (tmp_path / "costs.json").write_text('{"schema": 1, "costs": [["a", "b", 7]]}')
    with pytest.raises(AssetError, match="confusion costs"):
        load_costs(tmp_path / "costs.json")


def test_a_lookup_keeps_spellings_and_ranks_by_distance_and_frequency(french: Lexicon) -> None:
    assert [m.entry for m in french.lookup("etienne")][:2] == ["Étienne", "Etienne"]
    assert [m.entry for m in french.lookup("Blanc")] == ["Le Blanc"]
    near = french.lookup("Berthicr")  # c for e
    assert near[0].entry == "Berthier" and 0 < near[0].distance < 1 and not near[0].exact
    assert french.lookup("Xylophone") == () == french.lookup("1893")


def test_short_words_have_no_near_ones(french: Lexicon) -> None:
    assert [allowed(n) for n in (3, 4, 7, 8)] == [0, 1, 1, 2]


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.text("Maertin 12.é'", max_size=30), min_size=1, max_size=4))
def test_a_voice_is_finite_capped_and_silent_without_names(
    french: Lexicon, texts: list[str]
) -> None:
    voice = NameVoice(french)
    assert isinstance(voice, TextVoice)
    tokens = [graphemes(text) for text in texts]
    for text, said in zip(tokens, voice.speak(tokens), strict=True):
        assert 0 <= said <= CAP * len(name_words(text))


def test_a_voice_prefers_the_name_that_a_list_has(french: Lexicon) -> None:
    (voice,) = NameVoice.each(french)
    lines = [graphemes(t) for t in ("M. Berthier dit", "M. Berthicr dit", "M. Zzyqvex dit")]
    right, near, none = voice.speak(lines)
    assert right > near > none == 0 and voice.name == "names-names"
    word = "Berthier"
    assert evidence(word, french.lookup(word)[0]) <= CAP


def test_known_words_speak_for_a_text_and_unknown_ones_against_it(tmp_path: Path) -> None:
    build({"maison": 1000.0, "Paris": 90.0, "à": 9e6, "a": 9e6}, "words", tmp_path / "w.lex")
    names = made(tmp_path, FRENCH).lists
    voice = WordVoice(NameList.load(tmp_path / "w.lex", "words"), names)
    assert isinstance(voice, TextVoice)

    def says(text: str) -> float:
        return voice.speak([graphemes(text)])[0]

    assert says("") == says("12 ... — §") == 0.0  # no words, nothing to say
    assert says("maison") > says("Maison") > 0 > says("maifon")
    assert says("mâison") < 0  # accents count
    assert 0 > says("Berthier") > says("berthier")  # a name is half known, with its capital
    assert says("maison Xyzzyq") == pytest.approx(says("maison") + says("Xyzzyq"))


def test_a_recipe_makes_a_product_that_its_lock_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENSEMBLE_HTR_DATA", str(tmp_path))
    (tmp_path / "names.txt").write_text("Berthier\t7\nMartin\t50\n", encoding="utf-8")
    (tmp_path / "text.txt").write_text("rue Rivoli\nla rue Rivoli, rue Une\n", encoding="utf-8")
    shelf = tmp_path / "made"
    shelf.mkdir()
    (shelf / "recipe.toml").write_text(
        "name = 'made'\ndescription = 'A few names.'\nlicence = 'CC0'\n"
        "[[parts]]\nname = 'names'\nlists = ['names.txt']\n"
        "[[parts]]\nname = 'streets'\ntexts = ['text.txt']\n"
        "pattern = 'rue ([A-Z]\\w+)'\nleast = 2\n",
        encoding="utf-8",
    )
    run = CliRunner().invoke(command, ["build", "--recipe", str(shelf / "recipe.toml")])
    assert run.exit_code == 0, run.output
    verify(shelf)
    lists = lists_of(shelf)
    assert {n: read_entries(p) for n, p in lists.items()} == {
        "names": {"Berthier": 7.0, "Martin": 50.0},
        "streets": {"Rivoli": 2.0},
    }
    first = (shelf / "lock.json").read_bytes()
    CliRunner().invoke(command, ["build", "--recipe", str(shelf / "recipe.toml")])
    assert (shelf / "lock.json").read_bytes() == first  # the same bytes again
    (tmp_path / "names.txt").write_text("", encoding="utf-8")
    run = CliRunner().invoke(command, ["build", "--recipe", str(shelf / "recipe.toml")])
    assert "list 'names' has no entries" in str(run.exception)


@pytest.mark.parametrize(
    "text, names",
    [
        ("vu par M. Martin à Paris", ["Martin", "Paris"]),
        ("Le notaire", []),  # a sentence's first word
        ("Marie Berthier dit", ["Marie", "Berthier"]),  # unless a name follows
        ("rue d'Estrées, N° 12", ["Estrées"]),
        ("le XXX et 1893 AAAA", []),  # runs and numbers
        ("fin. Il dit", []),
        ("chez e\u0301 Jean-Marie", ["Jean-Marie"]),
    ],
)
def test_words_that_look_like_names(text: str, names: list[str]) -> None:
    tokens = graphemes(text)
    found = name_words(tokens)
    assert [word.text for word in found] == names
    assert all("".join(tokens[w.start : w.stop]) == w.text for w in found)


def test_notes_say_which_list_and_what_else(french: Lexicon) -> None:
    tokens = graphemes("par Berthicr et Zzyqvex")
    reading = Reading(tokens, (0.9,) * len(tokens), 0.5)
    near, none = explain_names(reading, french)
    assert near.match is not None and near.match.entry == "Berthier" and near.confidence == 0.9
    assert none.match is None and none.others == ()
    json.dumps([near.as_row(), none.as_row()], allow_nan=False)


@pytest.mark.parametrize(
    "name, content, columns, expected",
    [
        ("a.txt", "Paul\n\n  Jean  Marie\n", Columns(), {"Paul": 1, "Jean Marie": 1}),
        ("a.txt", "Paul\t3\nJean\t4\nPaul\t2\n", Columns(), {"Paul": 5, "Jean": 4}),
        ("a.csv", 'nom;nombre\n"de; X";3\n', Columns(), {"de; X": 3}),
        ("a.csv", "Nom,Prenom\nHugo,Victor\n", Columns("Prenom"), {"Victor": 1}),
        ("a.csv", "7,Hugo\n3,Sand\n", Columns("2"), {"Hugo": 7, "Sand": 3}),
        ("a.tsv", "name\tcount\n\"Bel\t2\n", Columns(), {'"Bel': 2}),
        ("a.txt", "\ufeffÉmile\r\n12\n", Columns(), {"Émile": 1}),
    ],
)  # fmt: skip
def test_lists_are_read(
    tmp_path: Path, name: str, content: str, columns: Columns, expected: dict[str, float]
) -> None:
    path = tmp_path / name
    path.write_bytes(content.encode())
    assert read_entries(path, columns=columns) == expected


@pytest.mark.parametrize(
    "name, content, columns, error, says",
    [
        ("a.txt", b"caf\xe9\n", Columns(), InputError, "not UTF-8"),
        ("a.tsv", b"Paul\tmany\nJean\tx\n", Columns("1", "2"), InputError, "is no count"),
        ("a.csv", b'"open\n' * 3, Columns(), InputError, "a.csv: line"),
        ("a.csv", b"nom,n\nx,1\n", Columns("nam"), UsageError, "did you mean 'nom'"),
        ("a.txt", b"x" * 300, Columns(), InputError, "300 characters"),
        ("a.csv", b"nom,n\nx,nan\n", Columns(), InputError, "is no count"),
        ("a.txt.gz", b"no gzip", Columns(), InputError, "cannot be read"),
    ],
)
def test_bad_lists_are_one_clear_line(
    tmp_path: Path, name: str, content: bytes, columns: Columns, error: type, says: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(error, match=says) as caught:
        read_entries(path, columns=columns)
    assert "\n" not in str(caught.value)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_file_is_one_clear_line_or_sane(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("bad")
    build(FRENCH, "names", folder / "a.lex")
    raw = bytearray((folder / "a.lex").read_bytes())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    (folder / "b.lex").write_bytes(raw[: data.draw(st.integers(0, len(raw)))])
    for path in (folder / "b.lex", folder / "none.lex"):
        try:
            found = Lexicon([NameList.load(path)])
            found.lookup("Berthicr")
            found.lookup("Etienne")
        except EnsembleError as error:
            assert "\n" not in str(error)


def test_a_plain_list_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "given.txt").write_text("Paul\t3\n", encoding="utf-8")
    for _ in range(2):
        found = NameList.load(tmp_path / "given.txt")
    assert found.name == "given" and len(found) == 1
    assert len(list((tmp_path / "cache").rglob("*.lex"))) == 1


def test_a_home_that_cannot_be_written_is_no_hindrance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "given.txt").write_text("Paul\t3\n", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "given.txt"))  # a file
    for _ in range(2):
        assert len(NameList.load(tmp_path / "given.txt")) == 1


def test_the_command_builds_and_asks(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Paul\t3\nPierre\t4\n", encoding="utf-8")
    out = tmp_path / "given.lex"
    run = CliRunner().invoke(command, ["build", str(tmp_path / "a.txt"), "-o", str(out)])
    assert run.exit_code == 0 and str(out) in run.output
    said = CliRunner().invoke(command, ["ask", "Picrre", "--lexicon", str(out)])
    assert said.output.startswith("Picrre\tPierre\tgiven\t0.5")


def test_building_is_deterministic(tmp_path: Path) -> None:
    shuffled = dict(np.random.default_rng(1).permutation(list(FRENCH.items())).tolist())
    build(FRENCH, "n", tmp_path / "a.lex")
    build({k: float(v) for k, v in shuffled.items()}, "n", tmp_path / "b.lex")
    assert (tmp_path / "a.lex").read_bytes() == (tmp_path / "b.lex").read_bytes()


def test_a_list_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    for name in ("absent.txt", "absent.lex", ""):
        with pytest.raises(EnsembleError) as caught:
            NameList.load(tmp_path / name)
        assert "\n" not in str(caught.value)
    (tmp_path / "cut.txt.gz").write_bytes(gzip.compress(b"Martin\n" * 1000)[:-12] + b"\xff" * 9)
    with pytest.raises(EnsembleError):
        read_entries(tmp_path / "cut.txt.gz")
