"""Language packs: built by one command, found by name or path, heard by whole commands."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ensemble_htr.assets import resolve, verify
from ensemble_htr.config import from_mapping
from ensemble_htr.errors import AssetError, ConfigError, OutputError, UsageError
from ensemble_htr.packs import Pack, Sources, _toml, build_pack, load_pack, unwritable
from ensemble_htr.pipeline import Pipeline, PipelineOptions
from ensemble_htr.plan import Plan
from ensemble_htr.text import PROFILES, profile
from ensemble_htr.toml import toml_value
from ensemble_htr.types import Hypothesis, SearchOptions

Here = Callable[..., tuple[int, str, str]]
TEXT = ["שלום עולם", "ספר הבית של דוד", "הבית הגדול של שלמה", "מלך הארץ דוד", "שְׁלוֹם הבית"]


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("\n".join(TEXT * 4), encoding="utf-8")
    (tmp_path / "persons.txt").write_text("שלמה\nדוד\n", encoding="utf-8")
    return Sources((tmp_path / "texts",), (), (tmp_path / "persons.txt",), direction="rtl", order=4)


def test_a_pack_from_texts_and_names(
    tmp_path: Path, sources: Sources, votes_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENSEMBLE_HTR_HOME", str(votes_home))
    built = build_pack("ivrit", sources, tmp_path / "ivrit")
    folder, found = load_pack(str(tmp_path / "ivrit"))
    assert found == built and found.direction == "rtl"
    assert "finetune" not in (folder / "card.md").read_text(encoding="utf-8")
    assert {"שְׁ", "ש", " "} <= set(found.alphabet)  # marks stay with their letter
    assert {"lm/ivrit/model.arpa.xz", "lexicons/ivrit/persons.tsv.xz"} <= set(verify(folder).files)
    options = PipelineOptions(images=False, language=str(folder))
    pipeline = Pipeline.load(options)
    assert (
        pipeline.lm_fits(TEXT)[1]
        < 0.5 * Pipeline.load(PipelineOptions(images=False)).lm_fits(TEXT)[1]
    )
    names = {voice.name for voice in pipeline.judge.voices}
    assert {"names-persons", "words"} <= names
    assert pipeline.config.search.inner == 0  # decoders' own modules know another language
    rows = [
        Hypothesis(e, tuple(t)) for e, t in (("a", "הבית שלם"), ("b", "הבית של"), ("c", "הביח של"))
    ]
    assert pipeline.combine_line(rows).text == "הבית של"  # logical order, as it is read
    assert (
        Pipeline.load(options).fingerprint()
        != Pipeline.load(PipelineOptions(images=False)).fingerprint()
    )


def test_the_commands(
    tmp_path: Path, sources: Sources, votes_home: Path, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENSEMBLE_HTR_HOME", str(tmp_path / "home"))
    texts, names = sources.texts[0], sources.names[0]
    status, out, err = here("pack", "build", "ivrit", "--texts", texts, "--names", names,
                            "--direction", "rtl", "--order", 4)  # fmt: skip
    assert status == 0, err
    assert Path(out.strip()) == tmp_path / "home" / "packs" / "ivrit"
    status, out, _ = here("models", "show", "ivrit", "--json")
    assert status == 0 and json.loads(out)["kind"] == "packs"
    (tmp_path / "home" / "models").symlink_to(votes_home / "models")
    for engine, text in (("a", "הבית שלום"), ("b", "הבית שלום"), ("c", "הביח שלם")):
        (tmp_path / f"{engine}.tsv").write_text(f"l1\t{text}\n", encoding="utf-8")
    engines = [x for e in "abc" for x in ("--engine", f"{e}={tmp_path / e}.tsv")]
    status, out, err = here(
        "combine", *engines, "--language", "ivrit", "--format", "txt", "-o", "-"
    )
    assert status == 0, err
    assert out.strip() == "הבית שלום"
    truth = tmp_path / "a.tsv"
    status, out, err = here("evaluate", truth, f"b={tmp_path / 'b.tsv'}", "--language", "ivrit")
    assert status == 0 and "plain" in out, err
    status, _, err = here("combine", *engines, "--language", "ivrt", "-o", "-")
    assert status == 2 and "did you mean 'ivrit'" in err and err.count("\n") == 1


def test_recognizers_do_not_read_from_right_to_left(
    tmp_path: Path, small_page: Callable[..., Path], here: Here
) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "pack.toml").write_text('name = "ivrit"\ndirection = "rtl"\n')
    pages, out, rtl = small_page("a").parent, tmp_path / "out", ("--language", tmp_path / "p")
    (tmp_path / "a.tsv").write_text("l1\tשלום\n", encoding="utf-8")
    engine = ("combine", "--engine", f"a={tmp_path / 'a.tsv'}")
    for verb in (("finetune", pages), ("transcribe", pages), (*engine, "--images", pages)):
        status, _, err = here(*verb, *rtl, "-o", out)
        assert status == 2 and err.count("\n") == 1, err
        assert "'ivrit' is written from right to left" in err and not out.exists()
    status, shown, err = here(*engine, *rtl, "--format", "txt", "-o", "-")
    assert status == 0 and shown.strip() == "שלום", err


def test_the_shipped_pack_is_the_shipped_language(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENSEMBLE_HTR_HOME", raising=False)
    _, pack = load_pack("fr-archive")
    for kind, name in (("lm", pack.lm), ("lm", pack.backward), ("lexicons", pack.lexicon)):
        assert resolve(kind, name).is_dir()  # type: ignore[arg-type]
    assert len(pack.alphabet) == len(set(pack.alphabet)) and " " in pack.alphabet
    same = Plan.of(PipelineOptions(images=False, language="fr-archive")).config
    assert same.search.inner == SearchOptions().inner > 0


@given(st.text("abcde", max_size=5), st.text("abcde", max_size=5))
def test_letters_that_cannot_be_written_are_named(known: str, wanted: str) -> None:
    alphabet = tuple(sorted(set(wanted)))
    said = unwritable(Pack("p", alphabet=alphabet), "crnn", tuple(known))
    lacking = set(wanted) - set(known)
    assert bool(said) == bool(lacking)
    assert not lacking or f"{len(lacking)} of the {len(alphabet)} characters" in said


def test_the_file_stands_for_its_folder(
    tmp_path: Path, sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "bb"
    found = out, build_pack("bb", sources, out)
    assert load_pack(str(out / "pack.toml")) == found
    monkeypatch.chdir(out)
    assert load_pack("pack.toml")[1] == load_pack("./pack.toml")[1] == found[1]
    with pytest.raises(UsageError, match="card.md: is no language pack; wanted a folder"):
        load_pack(str(out / "card.md"))
    (out / "pack.toml").write_text('name = "bb"\n')
    with pytest.raises(AssetError, match="expected"):  # its lock is looked at
        load_pack("pack.toml")


@pytest.mark.parametrize("name", ["", "a/b", ".hidden", "a b", "a\x7f", "\udcff"])
def test_names_that_are_none(tmp_path: Path, sources: Sources, name: str) -> None:
    with pytest.raises(UsageError, match="no name for a pack"):
        build_pack(name, sources, tmp_path / "out")


def test_a_list_that_is_missing_is_told_before_anything_is_built(
    tmp_path: Path, sources: Sources, here: Here
) -> None:
    texts, names, out = sources.texts[0], tmp_path / "nonames.txt", tmp_path / "aa"
    asked = ("pack", "build", "aa", "--texts", texts, "--names", names, "--order", 2, "-o", out)
    status, _, err = here(*asked)
    assert status == 1 and err.count("\n") == 1 and "no such list of names" in err
    assert not out.exists()
    names.write_text("דוד\n", encoding="utf-8")
    assert here(*asked)[0] == 0


def test_it_goes_onto_the_shelf_where_it_is_sought(
    tmp_path: Path, sources: Sources, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.setenv("ENSEMBLE_HTR_HOME", "~/shelf")
    status, out, err = here("pack", "build", "bb", "--texts", sources.texts[0], "--order", 2)
    assert status == 0 and out.strip() == str(tmp_path / "me" / "shelf" / "packs" / "bb"), err
    assert load_pack("bb")[0] == Path(out.strip())


def test_a_rebuild_starts_empty(tmp_path: Path, sources: Sources) -> None:
    out = tmp_path / "bb"
    build_pack("bb", sources, out)
    (out / "notes.txt").write_text("mine")
    build_pack("bb", replace(sources, names=()), out)
    assert "lexicons/bb/words.tsv.xz" in verify(out).files
    assert sorted(p.name for p in (out / "lexicons" / "bb").iterdir()) == ["words.tsv.xz"]
    found = {"card.md", "lexicons", "lm", "lock.json", "notes.txt", "pack.toml"}
    assert {p.name for p in out.iterdir()} == found  # what is not ours stays


def test_a_text_without_words(tmp_path: Path, votes_home: Path, here: Here) -> None:
    (tmp_path / "digits.txt").write_text("12 345\n6 78\n" * 9)
    out, model = tmp_path / "dd", votes_home / "models" / "default"
    built = ("pack", "build", "dd", "--texts", tmp_path / "digits.txt", "--order", 3, "-o", out)
    assert here(*built)[0] == 0
    assert load_pack(str(out))[1].lexicon == ""
    (tmp_path / "a.tsv").write_text("l1\t12 78\n")
    status, shown, err = here("combine", "--engine", f"a={tmp_path / 'a.tsv'}", "--model", model,
                              "--language", out, "--format", "txt", "-o", "-")  # fmt: skip
    assert status == 0 and shown.strip() == "12 78", err


@pytest.mark.parametrize("error", [KeyboardInterrupt, OutputError("no room")])
def test_a_build_that_fails_leaves_what_was_there(
    tmp_path: Path,
    sources: Sources,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException | type[BaseException],
) -> None:
    def stop(*_: object) -> None:
        raise error

    out = tmp_path / "bb"
    before = build_pack("bb", sources, out)
    with monkeypatch.context() as patch:
        patch.setattr("ensemble_htr.packs.write_lock", stop)
        for place in (out, tmp_path / "new"):
            with pytest.raises((KeyboardInterrupt, OutputError)):
                build_pack("cc", replace(sources, order=2), place)
    assert load_pack(str(out))[1] == before and not (tmp_path / "new").exists()
    (out / ".building" / "lm").mkdir(parents=True)  # as a kill leaves it
    build_pack("bb", sources, out)
    assert not (out / ".building").exists()


@given(st.sampled_from(sorted(PROFILES)), st.text())
@example("nfc", "a\x7f")
def test_the_tokens_of_any_text_are_an_alphabet(form: str, text: str) -> None:
    tokens = tuple(sorted(set(profile(form).tokens(text))))
    pack = Pack("p", profile=form, alphabet=tokens)
    told = tomllib.loads(_toml(pack))
    assert from_mapping(told, Pack) == pack


@pytest.mark.parametrize(
    ("alphabet", "message"),
    [
        (["", "a"], "'' is not one character of profile 'plain'"),
        (["a", "ab"], "'ab' is not one character"),
        (["e\u0301"], "is not one character"),  # plain is NFC
        (["a\u200b"], "is not one character"),
        (["a", "b", "a"], "'a' stands there 2 times"),
        ([chr(0x4E00 + i) for i in range(20_001)], "20,001 characters; wanted at most 20,000"),
    ],
)
def test_alphabets_that_are_none(tmp_path: Path, alphabet: list[str], message: str) -> None:
    (tmp_path / "pack.toml").write_text(f'name = "p"\nalphabet = {toml_value(alphabet)}\n')
    with pytest.raises(ConfigError, match=message) as told:
        load_pack(str(tmp_path))
    assert str(told.value).startswith(f"{tmp_path / 'pack.toml'}: alphabet: ")


def test_what_cannot_be_a_pack(tmp_path: Path, sources: Sources) -> None:
    with pytest.raises(OutputError, match="choose another folder"):
        build_pack("mine", sources, sources.texts[0])
    with pytest.raises(AssetError, match="no such language pack"):
        load_pack(str(tmp_path / "nowhere"))
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "pack.toml").write_text('name = "bad"\nalphabets = []\n')
    with pytest.raises(ConfigError, match="did you mean 'alphabet'"):
        load_pack(str(tmp_path / "bad"))
