"""hOCR: lines, words and confidences, as Tesseract, kraken and ourselves write it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble_htr.errors import InputError, XMLError
from ensemble_htr.io.pages import page_format, read_hocr, read_page
from ensemble_htr.io.readings import load_records, record_files
from ensemble_htr.io.sources import find_pages
from ensemble_htr.io.sure import Sure, spread
from ensemble_htr.text import graphemes
from ensemble_htr.types import Line

DOCTYPE = (
    '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" '
    '"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">'
)
SQUARE = ((10.0, 10.0), (90.0, 10.0), (90.0, 40.0), (10.0, 40.0))


def line(inside: str = "", title: str = "bbox 10 10 90 40", **attributes: str) -> str:
    more = "".join(
        f' {k}="{v}"' for k, v in ({"id": "l", "class": "ocr_line"} | attributes).items()
    )
    return f"<span{more} title='{title}'>{inside}</span>"


def word(text: str, title: str = "bbox 10 10 50 40") -> str:
    return f'<span class="ocrx_word" title="{title}">{text}</span>'


def page(*lines: str, title: str = 'image "scan.png"; bbox 0 0 200 100; ppageno 0') -> str:
    return f"<div class='ocr_page' title='{title}'>{''.join(lines)}</div>"


def html(*pages: str, doctype: str = DOCTYPE) -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n{doctype}\n'
        '<html xmlns="http://www.w3.org/1999/xhtml"><head><title></title>'
        '<meta name="ocr-capabilities" content="ocr_page ocr_carea ocr_line ocrx_word"/></head>'
        f"<body>{''.join(pages)}</body></html>"
    )


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., Path]:
    def make(text: str | bytes, name: str = "a.hocr") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return make


def only(path: Path) -> Line:
    [found] = read_page(path).lines
    return found


@pytest.mark.parametrize("name", ["a.hocr", "a.html", "a.htm", "a.xml", "a.hocr.html"])
def test_a_page(put: Callable[..., Path], picture: Callable[..., Path], name: str) -> None:
    scan = picture("scan.png")
    words = word("N&#xe9;") + " " + word("à")
    path = put(html(page(line(words, "bbox 10 10 90 40; baseline 0.1 -10"))), name)
    assert page_format(path) == "hocr"
    found = read_page(path)
    assert (found.stem, found.format, found.width, found.height) == ("a", "hocr", 200, 100)
    assert found.image == scan and found.source == path
    assert found.lines == (Line("l", ((10.0, 30.0), (90.0, 38.0)), SQUARE, "Né à"),)
    assert [s.stem for s in find_pages([path])] == ["a"]


# title of the line, its baseline, its polygon
PLACES = [
    ("bbox 10 10 90 40", (), SQUARE),
    ("bbox 10 10 90 40; baseline 0 -10", ((10, 30), (90, 30)), SQUARE),
    ("baseline 0 -10; x_size 30; bbox 10 10 90 40", ((10, 30), (90, 30)), SQUARE),
    ("bbox 10 10 90 40; baseline -10", ((10, 30), (90, 30)), SQUARE),  # a constant
    ("bbox 10 10 90 40; baseline x 1", (), SQUARE),
    ("bbox 10 10 90 40; baseline nan nan", (), SQUARE),
    ("bbox 10 10 90 40; baseline 1e5 1e5", (), SQUARE),
    ("bbox 10 10 90 40; textangle 90", ((74, 40), (74, 10)), SQUARE),  # upwards
    ("bbox 10 10 90 40; textangle 270", ((26, 10), (26, 40)), SQUARE),  # downwards
    ("bbox 10 10 90 40; textangle 180", ((90, 16), (10, 16)), SQUARE),
    ("bbox 0 0 99 99; poly 10 10 90 10 90 40 10 40", (), SQUARE),
    ("bbox 90 10 10 40", (), ()),
    ("bbox 1 2 3", (), ()),
    ("bbox NaN 10 90 inf; baseline 0 0", (), ()),
    ("", (), ()),
    ('"; ;;bbox', (), ()),
]


@pytest.mark.parametrize(("title", "baseline", "polygon"), PLACES)
def test_places(put: Callable[..., Path], title: str, baseline: object, polygon: object) -> None:
    found = only(put(html(page(line("x", title)))))
    assert (found.baseline, found.polygon) == (baseline, polygon)


def test_a_curved_baseline(put: Callable[..., Path]) -> None:
    found = only(put(html(page(line("x", "bbox 10 10 90 40; baseline 0.01 -0.8 0")))))
    for x, y in found.baseline:
        assert y == pytest.approx(40 + 0.01 * (x - 10) ** 2 - 0.8 * (x - 10))


def test_what_is_outside_is_clamped(
    put: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    found = only(put(html(page(line("x", "bbox 10 10 900 40")))))
    assert max(x for x, _ in found.polygon) == 200 and "clamped" in caplog.text


def test_kinds_and_regions(put: Callable[..., Path]) -> None:
    area = "<div class='ocr_carea' id='b'><p class='ocr_par' id='p'>{}</p></div>"
    heading = line("Table", **{"class": "ocr_header", "id": "h"})
    holder = f'<div class="ocr_textfloat" id="f">{line("x", id="i")}</div>'
    lines = read_page(put(html(page(area.format(line("a") + heading), holder)))).lines
    assert [(x.id, x.kind, x.regions) for x in lines] == [
        ("l", "", ("par", "#p", "carea", "#b")),
        ("h", "header", ("par", "#p", "carea", "#b")),
        ("i", "", ("textfloat", "#f")),
    ]


# inside of the line, its text, its confidences
TEXTS = [
    ("", None, None),
    ("  just\n text ", "just text", None),
    (word(" "), "", None),
    (word("ab", "x_wconf 81"), "ab", (0.9, 0.9)),  # its characters' product is the word's
    (word("ab", "x_wconf 81") + word("c", "x_wconf 50"), "ab c", (0.9, 0.9, 0.5, 0.5)),
    (word("ab", "x_wconf 81") + word("c"), "ab c", None),
    (word("ab", "x_wconf 20; x_confs 90 80"), "ab", (0.9, 0.8)),
    (word("ab", "x_wconf 81; x_confs 90"), "ab", (0.9, 0.9)),  # does not fit
    (word("ab", "x_wconf nan"), "ab", None),
    (word("ab", "x_wconf 180"), "ab", None),
    (word("ab", "x_wconf -5"), "ab", None),
    (word("ab", "x_wconf 81; x_confs 90 180"), "ab", (0.9, 0.9)),
    (word("<strong>a</strong><em>b</em>", "x_wconf 100"), "ab", (1.0, 1.0)),
    (word(word("a", "x_wconf 1"), "x_wconf 100"), "a", (1.0,)),
    (
        word('<span class="ocrx_cinfo" title="x_conf 70">a</span>', "x_wconf 100"),
        "a",
        (0.7,),
    ),
]


@pytest.mark.parametrize(("inside", "text", "sure"), TEXTS)
def test_texts_and_confidences(
    put: Callable[..., Path], inside: str, text: str | None, sure: tuple[float, ...] | None
) -> None:
    path = put(html(page(line(inside))))
    assert only(path).text == text
    records = load_records(path)
    if text is None:
        assert records == []
        return
    [record] = records
    assert (record.id, record.page, record.text) == ("l", "a", text)
    if sure is None:
        assert record.confidences is None
    else:
        assert record.confidences == pytest.approx(sure)


def test_a_confidence_that_is_none_is_told_once(
    put: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    path = put(html(page(line(word("a", "x_wconf 180") + word("b", "x_wconf nan")))))
    load_records(path)
    only(path)
    (said,) = [text for text in caplog.messages if "confidence" in text]
    assert said.endswith("a confidence that is no number in [0, 1] was ignored (2 times)")


@given(
    st.lists(
        st.tuples(st.text("aé̀b", min_size=1, max_size=4), st.floats(0, 1)), min_size=1, max_size=5
    )
)
def test_a_confidence_for_each_grapheme(words: list[tuple[str, float]]) -> None:
    known: list[Sure] = [(w, (c,) * len(graphemes(w))) for w, c in words]
    values = spread(known)
    assert values is not None
    starts = sum(not w.startswith("\u0300") for w, _ in words)  # others join the space before
    if starts == len(words):
        assert len(values) == len(graphemes(" ".join(w for w, _ in words)))
    assert math.isclose(min(values), min(c for _, c in words))
    assert spread([*known, ("x", None)]) is None


def test_several_pages_in_one_file(put: Callable[..., Path], picture: Callable[..., Path]) -> None:
    picture("p1.png")
    picture("p2.png")
    path = put(
        html(*(page(line(word(t)), title=f'image "p{i}.png"; bbox 0 0 200 100; ppageno {i - 1}')
               for i, t in ((1, "one"), (2, "two"))))
    )  # fmt: skip
    sources = find_pages([path])
    assert [(s.stem, s.part) for s in sources] == [("a__p001", 0), ("a__p002", 1)]
    pages = [s.read() for s in sources]
    assert [(p.stem, p.lines[0].text, p.image and p.image.name) for p in pages] == [
        ("a__p001", "one", "p1.png"),
        ("a__p002", "two", "p2.png"),
    ]
    assert [(r.page, r.text) for r in load_records(path)] == [
        ("a__p001", "one"),
        ("a__p002", "two"),
    ]
    with pytest.raises(XMLError, match="has 2 pages, wanted number 3"):
        read_page(path, 2)


def test_pages_of_one_tiff(put: Callable[..., Path], tmp_path: Path) -> None:
    from PIL import Image

    frames = [Image.new("L", (200, 100), 60 * i) for i in range(3)]
    frames[0].save(tmp_path / "s.tif", save_all=True, append_images=frames[1:])
    path = put(html(*(page(line("x"), title=f'image "s.tif"; ppageno {i}') for i in range(3))))
    assert [s.read().frame for s in find_pages([path])] == [0, 1, 2]


def test_html_that_is_no_xml(put: Callable[..., Path]) -> None:
    text = (
        "<!doctype html><html><meta charset=utf-8><body><div class=ocr_page title='bbox 0 0 99 99'>"
        "<p><span class=ocr_line id=l title='bbox 10 10 90 40'>d&eacute;j&agrave;&nbsp;vu<br></div>"
    )
    assert only(put(text)).text == "déjà vu"
    latin = text.replace("utf-8", "iso-8859-1").replace("&eacute;", "é").encode("latin-1")
    assert only(put(latin)).text == "déjà vu"


BOMB = (
    '<!DOCTYPE html [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c SYSTEM "file:///etc/passwd">]>'
)
HOSTILE = [
    (html(page(line("&b;&c;")), doctype=BOMB), "DOCTYPE"),
    (html(page("<div>" * 300 + line("x") + "</div>" * 300)), "depth"),
    ("", "empty"),
    (" \n", "empty"),
]


@pytest.mark.parametrize(("text", "reason"), HOSTILE)
def test_hostile_files_are_one_line(put: Callable[..., Path], text: str, reason: str) -> None:
    path = put(text.replace("</body>", "<i class='ocr_page'/></body>"))
    with pytest.raises(InputError, match=f"a.hocr.*{reason}") as caught:
        [source] = find_pages([path])
        source.read()
    assert "\n" not in str(caught.value)


def test_ten_megabytes_of_garbage(put: Callable[..., Path]) -> None:
    path = put(b"<html class='ocr_page'>" + bytes(range(256)) * 40_000)
    for source in find_pages([path]):
        try:
            assert source.read().lines == ()
        except InputError as error:
            assert "\n" not in str(error)


@given(st.text("<>/= 'abdivspnocr_lge;bx019&\x00é", max_size=200))
def test_any_text_is_a_page_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.html"
    path.write_text(f"<html><body class='ocr_page'>{text}<span class='ocr_line' title='{text}'>x")
    try:
        for _, found in read_hocr(path):
            for each in found.raw.lines:
                assert all(math.isfinite(v) for p in (*each.baseline, *each.polygon) for v in p)
    except InputError as error:
        assert "\n" not in str(error)


def test_a_web_page_is_none(put: Callable[..., Path]) -> None:
    assert page_format(put("<html><body>hello</body></html>", "a.html")) == ""


def test_a_folder_as_an_engine(put: Callable[..., Path], tmp_path: Path) -> None:
    put(html(page(line(word("a", "x_wconf 90")))), "p1.hocr")
    put(html(page(line(word("b", "x_wconf 80")))), "p2.html")
    put("<html>no page</html>", "index.html")
    assert [f.name for f in record_files(tmp_path)] == ["p1.hocr", "p2.html"]
    records = load_records(tmp_path)
    assert [(r.page, r.text, r.words) for r in records] == [
        ("p1", "a", (("a", 0.9),)),
        ("p2", "b", (("b", 0.8),)),
    ]
