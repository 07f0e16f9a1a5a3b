"""The verb: texts and recipes in, whole and repeatable files out."""

from __future__ import annotations

import gzip
import hashlib
import json
import lzma
import os
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from ensemble_htr.assets import data_root
from ensemble_htr.cli.lm import lm as command
from ensemble_htr.config import load_toml
from ensemble_htr.errors import ConfigError, EnsembleError, InputError, OutputError, XMLError
from ensemble_htr.lm import load, text_logprob
from ensemble_htr.lm.build import build, write_product
from ensemble_htr.lm.corpus import read_texts, wrap
from ensemble_htr.lm.recipe import Recipe, from_texts
from ensemble_htr.text import profile

from .shared import TEXT

ALTO = (
    '<alto xmlns="http://www.loc.gov/standards/alto/ns-v4#"><Layout><Page><PrintSpace><TextBlock>'
    '<TextLine><String CONTENT="le dit"/><SP/><String CONTENT="notaire"/></TextLine>'
    '<TextLine><String CONTENT="un mot XXX"/></TextLine><TextLine/>'
    "</TextBlock></PrintSpace></Page></Layout></alto>"
)
PAGE = (
    '<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"><Page>'
    "<TextRegion><TextLine><Word><TextEquiv><Unicode>le</Unicode></TextEquiv></Word>"
    '<TextEquiv index="1"><Unicode>engine</Unicode></TextEquiv>'
    '<TextEquiv index="0"><Unicode>l’e\u0301crit</Unicode></TextEquiv></TextLine></TextRegion>'
    "</Page></PcGts>"
)
RECIPE = """
name = "toy"
description = "A toy."
licence = "CC0-1.0"
order = 3
gamma = 0.5
prune = 1e-4
held_out = ["xml"]
report = ["xml"]
attribution = ["nobody"]
limits = ["everywhere"]
[[components]]
name = "one"
texts = ["a.txt", "b.txt.xz"]
once = ["b.txt.xz"]
[[components]]
name = "two"
texts = ["b.txt.xz"]
deduplicate = true
wrap = 10
[[candidates]]
name = "order 2"
order = 2
[[candidates]]
name = "one alone"
components = ["one"]
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    (folder / "xml").mkdir(parents=True)
    (folder / "a.txt").write_text("\n".join(TEXT), encoding="utf-8")
    (folder / "b.txt.xz").write_bytes(lzma.compress("\n".join(TEXT[3:]).encode()))
    (folder / "c.txt.gz").write_bytes(gzip.compress("\n".join(TEXT[:3]).encode()))
    (folder / "xml" / "doc__1.xml").write_text(ALTO, encoding="utf-8")
    (folder / "xml" / "other__1.xml").write_text(PAGE, encoding="utf-8")
    (folder / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    monkeypatch.setenv("ENSEMBLE_HTR_DATA", str(folder))
    monkeypatch.chdir(folder)
    return folder


def run(*words: str) -> str:
    result = CliRunner().invoke(command, ["build", *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_lines_of_alto_and_page(root: Path) -> None:
    texts = read_texts([root / "xml"], profile("fr-archive"))
    assert [(t.name, ["".join(x) for x in t.lines]) for t in texts] == [
        ("doc", ["le dit notaire"]),
        ("other", ["l'écrit"]),
    ]


# name of a file, its content, what the message must say
BAD = [
    ("x.xml", b"<!DOCTYPE a [<!ENTITY b 'c'>]><alto/>", "DOCTYPE"),
    ("x.xml", b"<alto", "not well-formed"),
    ("x.xml", b"<html/>", "found <html>"),
    ("x.txt", b"caf\xe9", "not UTF-8"),
    ("x.txt", b" \n\n", "no line of text"),
    ("x.txt.xz", b"garbage", "cannot read"),
    ("x.txt.gz", b"garbage", "cannot read"),
    ("x.pdf", b"", "not a text"),
]


@pytest.mark.parametrize(("name", "content", "message"), BAD)
def test_bad_texts(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises((InputError, XMLError), match=message) as caught:
        read_texts([path], profile("plain"))
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_wrap_keeps_the_words() -> None:
    lines = [tuple(line) for line in TEXT * 5]
    broken = wrap(lines, 12)
    assert " ".join("".join(x) for x in broken).split() == " ".join(TEXT * 5).split()
    assert max(map(len, broken)) <= 16 or all(" " not in x for x in broken if len(x) > 16)
    assert broken == wrap(lines, 12) and wrap([], 12) == []


def test_texts_on_the_command_line(root: Path) -> None:
    out = run("a.txt", "c.txt.gz", "-o", "m.arpa", "--order", "3").strip()
    assert out == "m.arpa"
    lm = load(root / "m.arpa")
    assert text_logprob(lm, tuple("le dit notaire")) > text_logprob(lm, tuple("eriaton tid el"))


def test_a_backward_model_is_a_forward_model_of_reversed_lines(root: Path) -> None:
    run("a.txt", "-o", "back.arpa", "--order", "3", "--backward")
    lines = (root / "a.txt").read_text(encoding="utf-8").splitlines()
    (root / "turned.txt").write_text("\n".join(line[::-1] for line in lines), encoding="utf-8")
    run("turned.txt", "-o", "turned.arpa", "--order", "3")
    assert (root / "back.arpa").read_bytes() == (root / "turned.arpa").read_bytes()


def test_weights_and_held_out(root: Path) -> None:
    run("a.txt", "c.txt.gz", "-o", "w", "--weight", "a.txt=3", "--order", "2")
    weights = json.loads((root / "w/lock.json").read_text())["weights"]
    assert weights == {"a.txt": 0.75, "c.txt.gz": 0.25}
    run("a.txt", "c.txt.gz", "-o", "h", "--held-out", "xml", "--order", "2", "--gamma", "0.5")
    lock = json.loads((root / "h/lock.json").read_text())
    assert sum(lock["weights"].values()) == pytest.approx(1.0) and lock["bits_per_char"] > 0


def test_the_recipe_is_repeatable_and_locked(root: Path) -> None:
    run("--recipe", "recipe.toml", "-o", "one")
    run("--recipe", "recipe.toml", "-o", "two")
    for name in ("model.arpa.xz", "lock.json", "card.md"):
        assert (root / "one" / name).read_bytes() == (root / "two" / name).read_bytes()
    packed = (root / "one/model.arpa.xz").read_bytes()
    lock = json.loads((root / "one/lock.json").read_text())
    assert lock["product"]["sha256"] == hashlib.sha256(packed).hexdigest()
    assert lock["product"]["bytes"] == len(packed)
    assert lock["data"]["a.txt"] == hashlib.sha256((root / "a.txt").read_bytes()).hexdigest()
    card = (root / "one/card.md").read_text(encoding="utf-8")
    for wanted in ("A toy.", "order 2", "one alone", "**toy**", "nobody", "everywhere", "CC0-1.0"):
        assert wanted in card


def test_score_is_that_of_the_written_file(root: Path) -> None:
    built = build(load_toml(root / "recipe.toml", Recipe), data_root())
    lm = load(write_product(built, root / "m.arpa", root), "arpa")
    lines = [x for t in read_texts([root / "xml"], profile("fr-archive")) for x in t.lines]
    nats = -sum(text_logprob(lm, x) for x in lines)
    assert built.score is not None
    bits = nats / sum(len(x) + 1 for x in lines) / 0.6931471805599453
    assert built.score.bits == pytest.approx(bits, abs=1e-4)


def test_nothing_half_written(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = build(from_texts("t", [root / "a.txt"], {}, order=2), Path())

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        write_product(built, root / "new" / "m.arpa.xz", root)
    assert list((root / "new").iterdir()) == []


def test_output_that_cannot_be_written(root: Path) -> None:
    built = build(from_texts("t", [root / "a.txt"], {}, order=2), Path())
    with pytest.raises(OutputError, match="cannot be written"):
        write_product(built, root / "a.txt" / "m.arpa", root)
    path = write_product(built, root / "m.arpa", root)
    assert stat.S_IMODE(path.stat().st_mode) & 0o444 == 0o444


# change to the recipe, what the message must say
WRONG = [
    (("gamma", "gama"), "unknown key 'gama'; did you mean 'gamma'"),
    (("order = 3", "order = 11"), "order is 11; wanted 1 to 10"),
    (('"one"]', '"onne"]'), "unknown component 'onne'; did you mean 'one'"),
    (('held_out = ["xml"]', ""), "no held-out text"),
    (('name = "two"', 'name = "one"'), "share a name"),
    (('name = "two"', 'name = "two"\nweight = 0.5'), "every component or to none"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_wrong_recipes(change: tuple[str, str], message: str, root: Path) -> None:
    (root / "r.toml").write_text(RECIPE.replace(*change), encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        load_toml(root / "r.toml", Recipe)


# arguments, what the message must say
MISUSE = [
    ([], "wanted  TEXT"),
    (["a.txt"], "wanted  TEXT"),
    (["a.txt", "--recipe", "recipe.toml"], "wanted  TEXT"),
    (["a.txt", "-o", "m", "--weight", "b.txt=1"], "no such TEXT"),
    (["a.txt", "-o", "m", "--weight", "a.txt=-1", "--weight", "a.txt=-2"], "weights|wanted"),
    (["a.txt", "-o", "m", "--profile", "fr-archiv"], "did you mean 'fr-archive'"),
    (["none.txt", "-o", "m"], "no such text file"),
]


@pytest.mark.parametrize(("words", "message"), MISUSE)
def test_misuse_is_one_line(words: list[str], message: str, root: Path) -> None:
    with pytest.raises(EnsembleError, match=message) as caught:
        CliRunner().invoke(command, ["build", *words], catch_exceptions=False)
    assert "\n" not in str(caught.value)
