"""hOCR: what is written is read again, and is what other readers expect."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from lxml import etree

from ensemble_htr.io.geometry import Notices
from ensemble_htr.io.hocr import read_pages
from ensemble_htr.io.pages import read_hocr
from ensemble_htr.io.results import PageResult, WriteOptions
from ensemble_htr.io.write import FORMATS
from ensemble_htr.text import graphemes
from ensemble_htr.types import Line, Page, Reading

from .test_write import reading, results

XHTML = "{http://www.w3.org/1999/xhtml}"


def tree(result: PageResult, options: WriteOptions = WriteOptions()) -> Any:  # noqa: B008 (frozen)
    return etree.fromstring(FORMATS["hocr"].render(result, options))


def facts(element: Any) -> dict[str, list[str]]:
    pairs = (part.split() for part in element.get("title").split(";"))
    return {name: values for name, *values in pairs}


def of_class(root: Any, name: str) -> list[Any]:
    return root.xpath(f"//*[@class='{name}']")


@settings(deadline=None, max_examples=40)
@given(results())
def test_the_text_and_its_places_are_there(result: PageResult) -> None:
    root = tree(result)
    assert root.tag == f"{XHTML}html" and root.getroottree().docinfo.doctype.startswith("<!DOCTYPE")
    ids = root.xpath("//@id")
    assert len(set(ids)) == len(ids)
    lines = of_class(root, "ocr_line")
    assert [e.get("id") for e in lines] == [line.id for line in result.page.lines]
    for element, line in zip(lines, result.page.lines, strict=True):
        read = result.readings.get(line.id)
        text = line.text if line.confirmed or read is None else read.text
        assert "".join(element.itertext()).split() == (text or "").split()
        x0, y0, x1, y1 = map(int, facts(element)["bbox"])
        points = (*line.polygon, *line.baseline)
        assert all(x0 <= x <= x1 and y0 <= y <= y1 for x, y in points)
        for word in element:
            known = facts(word)
            assert len(known["bbox"]) == 4
            assert ("x_wconf" in known) == (read is not None and not line.confirmed)
            assert all(0 <= int(v) <= 100 for v in known.get("x_wconf", []))


@settings(deadline=None, max_examples=40)
@given(results())
def test_our_own_reader_finds_it_again(result: PageResult) -> None:
    [page] = read_pages(tree(result, WriteOptions(glyphs=True)), Notices(Path("p")))
    assert (page.raw.width, page.raw.height) == (200, 100)
    for got, put in zip(page.raw.lines, result.page.lines, strict=True):
        read = result.readings.get(put.id)
        text = put.text if put.confirmed or read is None else read.text
        assert got.id == put.id and (got.text or "").split() == (text or "").split()
        if len(put.polygon) >= 3:
            assert got.polygon == put.polygon
        flat = len({y for _, y in put.polygon}) < 2  # a box without height holds no baseline
        if len(put.polygon) >= 3 and len(put.baseline) == 2 and not flat:
            (x0, y0), (x1, y1) = put.baseline
            slope = (y1 - y0) / (x1 - x0) if x1 > x0 else 9.0
            ends = [y0 + slope * (x - x0) for x, _ in put.polygon]  # beyond the page it is clamped
            if abs(slope) <= 0.8 and 0 <= min(ends) and max(ends) <= 100:  # no angle: the same line
                (u0, v0), (u1, v1) = got.baseline
                at = v0 + (v1 - v0) * ((x0 + x1) / 2 - u0) / (u1 - u0)
                assert at == pytest.approx((y0 + y1) / 2, abs=1.5)  # whole pixels, rounded slope
        if read is not None and not put.confirmed:
            marks = [c for t, c in zip(read.tokens, read.confidences, strict=True) if t != " "]
            found = [c for _, sure in page.words[put.id] for c in sure or ()]
            assert found == pytest.approx(marks, abs=0.0051)


def test_the_file_is_read_as_others_are(tmp_path: Path) -> None:
    line = Line("l", ((0.0, 9.0), (90.0, 9.0)), ((0, 0), (90, 0), (90, 9)))
    result = PageResult(Page("p", (line,), 90, 9), {"l": reading("l’œuvre du cœur")})
    (tmp_path / "p.hocr").write_bytes(FORMATS["hocr"].render(result, WriteOptions()))
    [(stem, page)] = read_hocr(tmp_path / "p.hocr")
    assert stem == "p" and [x.text for x in page.raw.lines] == ["l’œuvre du cœur"]


def test_baselines_and_angles() -> None:
    lines = (
        Line("flat", ((10.0, 90.0), (110.0, 80.0)), ((10, 50), (110, 40), (110, 90), (10, 100))),
        Line("up", ((50.0, 90.0), (50.0, 10.0)), ((30, 10), (60, 10), (60, 90), (30, 90))),
        Line("down", ((50.0, 10.0), (50.0, 90.0)), ((30, 10), (60, 10), (60, 90), (30, 90))),
    )
    root = tree(PageResult(Page("p", lines, 200, 100), {}))
    flat, up, down = (facts(e) for e in of_class(root, "ocr_line"))
    assert flat["baseline"] == ["-0.1000", "-10.0"] and flat["bbox"] == ["10", "40", "110", "100"]
    assert flat["poly"] == "10 50 110 40 110 90 10 100".split()
    assert up["textangle"] == ["90.00"] and down["textangle"] == ["-90.00"]


def test_the_page_says_what_it_is() -> None:
    page = Page('a "quoted" page', (Line("1 bad id"),), 9, 8, image=Path('x"y;z.jpg'))
    root = tree(PageResult(page, {}))
    names = {e.get("name"): e.get("content") for e in root.iter(f"{XHTML}meta")}
    assert names["ocr-system"].startswith("ensemble-htr ")
    assert {"ocr_page", "ocr_carea", "ocr_par", "ocr_line", "ocrx_word"} <= set(
        names["ocr-capabilities"].split()
    )
    [node] = of_class(root, "ocr_page")
    assert node.get("title") == 'image "x\'y;z.jpg"; bbox 0 0 9 8; ppageno 0'
    assert re.fullmatch(r"[A-Za-z_][\w.\-]*", of_class(root, "ocr_line")[0].get("id"))


def test_a_character_has_a_confidence_on_request() -> None:
    line = Line("l", ((0.0, 9.0), (9.0, 9.0)), ((0, 0), (9, 0), (9, 9)))
    tokens = graphemes("cœur a\u0301")
    read = Reading(tokens, (0.994, 0.5, 1.0, 0.0, 0.9, 0.25), 0.3)
    result = PageResult(Page("p", (line,), 9, 9), {"l": read})
    words = of_class(tree(result, WriteOptions(glyphs=True)), "ocrx_word")
    assert [facts(w)["x_confs"] for w in words] == [["99", "50", "100", "0"], ["25"]]
    assert "x_confs" not in facts(of_class(tree(result), "ocrx_word")[0])


def test_a_confirmed_text_gives_way_only_when_told() -> None:
    line = Line("l", text="wahr", confirmed=True)
    result = PageResult(Page("p", (line,), 9, 9), {"l": reading("falsch")})
    for overwrite, text in ((False, "wahr"), (True, "falsch")):
        [word] = of_class(tree(result, WriteOptions(overwrite)), "ocrx_word")
        assert word.text == text
