"""Stored readings come back as they were, and quotations that differ from them are found."""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest
from click.testing import CliRunner

from ensemble_htr.errors import InputError
from ensemble_htr.io.records import Record
from tests.evaluate.recipes import EVAL, recipe

TRUTH = [Record("1", "le roy", "p", "d"), Record("2", "été 12", "p", "e")]
READ = [
    Record("1", "le roi", "p", "d", (1.0, 0.9, 0.5, 0.25, 0.125, 0.5), confidence=0.5),
    Record("2", "été 12", "p", "e", (1.0,) * 6, confidence=1.0),
]


def test_readings_come_back(tmp_path: Path) -> None:
    stored = recipe("stored")
    path = tmp_path / "val.jsonl.xz"
    stored.store(path, TRUTH, {"a": READ, "b": READ[:1]})
    assert stored.load(path) == (TRUTH, {"a": READ, "b": READ[:1]})
    path.write_bytes(lzma.compress(b'{"id": 1}'))
    with pytest.raises(InputError, match="not stored readings"):
        stored.load(path)
    path.write_bytes(b"text")
    with pytest.raises(InputError, match="not stored readings"):
        stored.load(path)


def test_quotations_are_checked_and_mended(tmp_path: Path) -> None:
    figures, stored = recipe("figures"), recipe("stored")
    stored.store(tmp_path / "val.jsonl.xz", TRUTH, {"a": READ})
    (tmp_path / "page.md").write_text("| a | 8.33 of 12 |, lines right 50.0\n")
    quotes = tmp_path / "quotes.toml"
    listed = [
        ("| {system} | {val/SYSTEM.cer} of {val/characters} |", 'systems = ["a"]'),
        ("right {val/a.right}", ""),
    ]
    quotes.write_text(
        "".join(f'[[quote]]\nfile = "page.md"\ntext = "{t}"\n{more}\n' for t, more in listed)
    )
    places = ["--readings", tmp_path, "--quotes", quotes, "--root", tmp_path]
    arguments = list(map(str, places))
    run = CliRunner().invoke(figures.main, arguments)
    assert run.exit_code == 0, run.output
    (tmp_path / "page.md").write_text("| a | 7.99 of 12 |, lines right 50.0\n")
    run = CliRunner().invoke(figures.main, arguments)
    assert run.exit_code == 1
    assert "wanted  | a | 8.33 of 12 |  found  | a | 7.99 of 12 |" in run.output
    CliRunner().invoke(figures.main, [*arguments, "--write"])
    assert (tmp_path / "page.md").read_text() == "| a | 8.33 of 12 |, lines right 50.0\n"
    quotes.write_text('[[quote]]\nfile = "page.md"\ntext = "{val/a.cerr}"\n')
    run = CliRunner().invoke(figures.main, arguments)
    assert run.exit_code == 1 and "did you mean 'val/a.cer'" in run.output


def test_the_quotations_of_the_project_are_well_formed() -> None:
    figures = recipe("figures")
    listed = figures.load_toml(EVAL / "quotes.toml", figures.Quotes)
    assert listed.quote
    for quote in listed.quote:
        assert (EVAL.parent / quote.file).is_file()
