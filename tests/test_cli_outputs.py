"""All output formats of one run, and ``review.csv`` over all pages, from the command line."""

from __future__ import annotations

import builtins
import csv
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

Run = Callable[..., tuple[int, str, str]]
Make = Callable[..., Path]
ALL = "page,alto,hocr,tei,pdf,txt,csv,xlsx,jsonl"


@pytest.fixture(autouse=True)
def shelf(tiny_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENSEMBLE_HTR_HOME", str(tiny_home))


def read(run: Run, *arguments: object) -> tuple[int, str, str]:
    return run("transcribe", *arguments, "--model", "tiny", "--jobs", 1, "--no-lm")


def review(out: Path) -> list[dict[str, str]]:
    with open(out / "review.csv", encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_format_from_one_run(here: Run, small_page: Make, tmp_path: Path) -> None:
    for library in ("openpyxl", "reportlab", "fontTools", "pypdf"):
        pytest.importorskip(library)
    import pypdf

    page, out = small_page("p1"), tmp_path / "out"
    code, _, talk = read(here, page, "-o", out, "--format", ALL, "--glyphs", "--alternatives", 2)
    assert code == 0, talk
    names = "p1.xml p1.alto.xml p1.hocr p1.tei.xml p1.pdf p1.txt p1.csv p1.xlsx p1.jsonl"
    assert {p.name for p in out.iterdir()} == {*names.split(), "review.csv", ".ensemble-htr"}
    lines = (out / "p1.txt").read_text().splitlines()
    assert (
        pypdf.PdfReader(out / "p1.pdf").pages[0].extract_text().split() == " ".join(lines).split()
    )
    for name in ("p1.xml", "p1.alto.xml"):
        tree = etree.parse(out / name)
        assert len(list(tree.iter("{*}Glyph"))) == sum(len("".join(x.split())) for x in lines)
    assert {(row["page"], row["line"]) for row in review(out)} == {("p1", "l02"), ("p1", "l03")}


def test_options_make_a_page_unfinished(here: Run, small_page: Make, tmp_path: Path) -> None:
    page, out = small_page("p1"), tmp_path / "out"
    for options, skipped in (((), 0), ((), 1), (("--glyphs",), 0), (("--glyphs",), 1)):
        code, _, talk = read(here, page, "-o", out, *options)
        assert code == 0 and ("skipped" in talk) == bool(skipped), talk


def test_the_review_covers_pages_of_earlier_runs(
    here: Run, small_page: Make, tmp_path: Path
) -> None:
    first, second, out = small_page("p1"), small_page("p2", 4), tmp_path / "out"
    assert read(here, first, "-o", out)[0] == 0
    alone = review(out)
    assert read(here, first, second, "-o", out)[0] == 0
    both = review(out)
    assert {row["page"] for row in both} == {"p1", "p2"}
    assert [row for row in both if row["page"] == "p1"] == alone
    rates = [float(row["errors per second"]) for row in both]
    assert rates == sorted(rates, reverse=True)
    (out / "review.csv").unlink()
    assert read(here, first, second, "-o", out)[0] == 0
    assert review(out) == both
    before = (out / "review.csv").stat().st_mtime_ns
    assert read(here, first, second, "-o", out)[0] == 0  # nothing was done: nothing to sort
    assert (out / "review.csv").stat().st_mtime_ns == before


def test_combined_lines_without_pages_are_reviewed(here: Run, tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_text("a\tle premier jour\nb\tdu mois\n")
    (tmp_path / "y.tsv").write_text("a\tla prernier jour\nb\tdu mais\n")
    out = tmp_path / "out"
    engines = ["--engine", f"x={tmp_path / 'x.tsv'}", "--engine", f"y={tmp_path / 'y.tsv'}"]
    assert here("combine", *engines, "-o", out, "--model", "tiny", "--no-lm")[0] == 0
    rows = review(out)
    assert {row["line"] for row in rows} == {"a", "b"}
    assert any(row["alternatives"] for row in rows)
    (tmp_path / "x.tsv").write_text("c\tle jour\n")
    (tmp_path / "y.tsv").write_text("c\tla jour\n")
    assert here("combine", *engines, "-o", out, "--model", "tiny", "--no-lm")[0] == 0
    assert {row["line"] for row in review(out)} == {"c"}


@pytest.mark.parametrize(("name", "module"), [("xlsx", "openpyxl"), ("pdf", "reportlab")])
def test_a_missing_library_is_said_before_any_work(
    here: Run, small_page: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str,
    module: str,
) -> None:  # fmt: skip
    real = builtins.__import__

    def lacking(wanted: str, *rest: Any, **more: Any) -> Any:
        if wanted.split(".")[0] == module:
            raise ImportError(wanted)
        return real(wanted, *rest, **more)

    for loaded in [m for m in sys.modules if m.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setattr(builtins, "__import__", lacking)
    code, _, talk = read(here, small_page("p1"), "-o", tmp_path / "out", "--format", name)
    assert code == 1 and f"pip install 'ensemble-htr[{name}]'" in talk
    assert not (tmp_path / "out").exists()


def test_tables_and_pictures_are_no_stream(here: Run, small_page: Make) -> None:
    for name in ("csv", "pdf", "tei"):
        code, _, talk = read(here, small_page("p1"), "-o", "-", "--format", name)
        assert code == 2 and "one stream" in talk
