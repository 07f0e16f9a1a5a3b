"""``ensemble-htr`` with every kind of input that an archive has, from end to end."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from ensemble_htr.assets import resolve

Run = Callable[..., tuple[int, str, str]]
Make = Callable[..., Path]


@pytest.fixture(autouse=True)
def shelf(tiny_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENSEMBLE_HTR_HOME", str(tiny_home))


def read(run: Run, *arguments: object) -> tuple[int, str, str]:
    return run("transcribe", *arguments, "--model", "tiny", "--jobs", 1, "--no-lm")


def rows(out: Path) -> list[tuple[str, str, str]]:
    """Page, line and document of all that was read."""
    found = []
    for path in sorted(out.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            row = json.loads(line)
            found.append((row["page"], row["id"], row["doc"]))
    return found


def test_lines_of_one_type(here: Run, small_page: Make, tmp_path: Path) -> None:
    page, out = small_page("p1"), tmp_path / "out"
    text = page.read_text().replace('id="l02"', 'id="l02" custom="structure {type:printed;}"')
    page.write_text(text)
    code, _, talk = read(here, page, "-o", out, "--lines", "!printed", "--format", "page,jsonl")
    assert code == 0 and rows(out) == [("p1", "l03", "pages")], talk
    written = (out / "p1.xml").read_text()
    assert written.count("<TextLine") == 2 and written.count("<TextEquiv") == 1
    code, _, talk = read(here, page, "-o", out, "--lines", "printed", "--format", "page,jsonl")
    assert code == 0 and "1 page done" in talk and rows(out) == [("p1", "l02", "pages")]
    code, _, talk = read(here, page, "-o", out, "--lines", "pritned", "--regions", "r")
    assert code == 0 and "none of 1 page has pritned; there is printed" in talk
    assert "regions" not in talk
    assert read(here, page, "-o", out, "--lines", "!")[0] == 2


def test_hocr_in_and_out(here: Run, small_page: Make, tmp_path: Path) -> None:
    small_page("p1")
    (tmp_path / "pages" / "p1.xml").unlink()
    (tmp_path / "pages" / "p1.hocr").write_text(
        '<!DOCTYPE html>\n<html xmlns="http://www.w3.org/1999/xhtml"><body>'
        "<div class='ocr_page' title='image \"p1.jpg\"; bbox 0 0 1500 1290'>"
        "<span class='ocr_line' id='one' title='bbox 150 170 1300 250; baseline 0 -20'>"
        "<span class='ocrx_word' title='bbox 150 170 1300 250; x_wconf 50'>old</span></span>"
        "</div></body></html>"
    )
    out = tmp_path / "out"
    code, _, talk = read(here, tmp_path / "pages", "-o", out, "--format", "hocr,jsonl")
    assert code == 0 and rows(out) == [("p1", "one", "pages")], talk
    assert 'class="ocr_line"' in (out / "p1.hocr").read_text()
    code, _, talk = read(here, tmp_path / "pages", "-o", out)
    assert code == 0 and (out / "p1.txt").exists(), talk


def test_hocr_of_an_engine(here: Run, tmp_path: Path) -> None:
    for name, words in (("a", ("deux", 90)), ("b", ("deux", 40)), ("c", ("doux", 20))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "p1.hocr").write_text(
            "<html><body><div class='ocr_page' title='bbox 0 0 99 99'><span class='ocr_line' "
            f"id='l' title='bbox 1 1 90 20'><span class='ocrx_word' title='x_wconf {words[1]}'>"
            f"{words[0]}</span></span></div></body></html>"
        )
    engines = [x for n in "abc" for x in ("--engine", f"{n}={tmp_path / n}")]
    out = tmp_path / "out"
    code, _, talk = here(
        "combine", *engines, "-o", out, "--model", "tiny", "--no-lm", "--format", "jsonl,hocr"
    )
    assert code == 0 and rows(out) == [("p1", "l", "a")], talk
    assert json.loads((out / "p1.jsonl").read_text())["text"] == "deux"


def test_line_images_against_their_texts(here: Run, tmp_path: Path) -> None:
    lines, out = tmp_path / "lines", tmp_path / "out"
    lines.mkdir()
    for i in range(3):
        Image.new("L", (300, 48), 255).save(lines / f"doc__{i}.png")
        (lines / f"doc__{i}.gt.txt").write_text("abc\n")
    code, _, talk = read(here, lines, "-o", out, "--format", "jsonl")
    assert code == 0 and [r[1] for r in rows(out)] == [f"doc__{i}" for i in range(3)], talk
    assert "abc" not in (out / "doc__0.jsonl").read_text()
    code, shown, talk = here("evaluate", lines, out, "--json", tmp_path / "e.json")
    assert code == 0, talk
    [system] = json.loads((tmp_path / "e.json").read_text())["systems"]
    assert 0.5 <= system["cer"]["value"]


@pytest.mark.slow
def test_pages_that_nobody_has_marked(here: Run, tmp_path: Path) -> None:
    pytest.importorskip("pypdfium2")
    sample = Image.open(resolve("sample", "letter", check=False) / "page.jpg").convert("L")
    part = sample.crop((100, 100, 1400, 600))
    part.save(tmp_path / "box.pdf", save_all=True, append_images=[part], resolution=150)
    out = tmp_path / "out"
    code, _, talk = read(here, tmp_path / "box.pdf", "-o", out, "--format", "page,jsonl")
    assert code == 0 and "2 pages done" in talk, talk
    found = rows(out)
    assert {(page, doc) for page, _, doc in found} == {("box__p001", "box"), ("box__p002", "box")}
    assert len(found) >= 6 and len(found) == 2 * len([f for f in found if f[0] == "box__p001"])
    code, _, talk = read(here, tmp_path / "box.pdf", "-o", out, "--format", "page,jsonl")
    assert code == 0 and "2 skipped" in talk
    page = (out / "box__p002.page.xml").rename(tmp_path / "box__p002.xml")  # beside its PDF
    code, _, talk = read(here, page, "-o", tmp_path / "again", "--format", "jsonl")
    assert code == 0 and rows(tmp_path / "again") == [f for f in found if f[0] == "box__p002"], talk


def test_a_bad_pdf_beside_good_pages(here: Run, small_page: Make, tmp_path: Path) -> None:
    pytest.importorskip("pypdfium2")
    page = small_page("p1")
    bad = tmp_path / "bad.pdf"
    bad.write_bytes(b"%PDF-1.7 and no more")
    code, _, talk = read(here, bad, page, "-o", tmp_path / "out", "--format", "jsonl")
    said = [line for line in talk.splitlines() if line.startswith("ensemble-htr: error: ")]
    assert code == 1 and len(said) == 1 and "bad.pdf" in said[0] and "Traceback" not in talk
    assert [r[0] for r in rows(tmp_path / "out")] == ["p1", "p1"]


@pytest.mark.parametrize("name", [b"a\nb", b"\xff\xfe", b"-o"])
def test_names_of_any_bytes(here: Run, small_page: Make, tmp_path: Path, name: bytes) -> None:
    page = small_page("p1")
    try:
        for suffix in (".xml", ".jpg"):
            old = page.with_suffix(suffix)
            old.rename(page.parent / os.fsdecode(name + suffix.encode()))
    except OSError:
        pytest.skip("this file system does not take the name")
    code, _, talk = read(here, page.parent, "-o", tmp_path / "out", "--format", "page,jsonl")
    assert "Traceback" not in talk and "unexpected" not in talk, talk
    assert code == 0, talk


def test_the_choices_of_images(here: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Image.new("L", (300, 48), 255).save(tmp_path / "a.png")
    code, _, talk = read(here, tmp_path / "a.png", "-o", tmp_path / "out", "--images", "line")
    assert code == 2 and "did you mean 'lines'" in talk
    code, _, talk = read(here, tmp_path / "a.png", "-o", tmp_path / "out")
    assert code == 0 and "1 were taken for single lines, 0 for whole pages" in caplog.text
