"""Files of other engines: their texts, how sure they are of each character, their n-best lists."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble_htr.errors import InputError
from ensemble_htr.io.readings import is_plain, iter_records, load_records, record_files
from ensemble_htr.io.records import Record
from ensemble_htr.io.rows import parse_row
from ensemble_htr.io.sure import evenly, spread_record

PAGE = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"
ALTO = "http://www.loc.gov/standards/alto/ns-v4#"


def equiv(text: str, conf: object = "", index: object = "") -> str:
    facts = "".join(f' {k}="{v}"' for k, v in (("conf", conf), ("index", index)) if v != "")
    return f"<TextEquiv{facts}><Unicode>{text}</Unicode></TextEquiv>"


def word(text: str, conf: object = "", inside: str = "") -> str:
    return f"<Word>{inside}{equiv(text, conf)}</Word>"


def page(tmp_path: Path, *lines: str) -> list[Record]:
    inside = "".join(f'<TextLine id="l{i}">{line}</TextLine>' for i, line in enumerate(lines))
    path = tmp_path / "p.xml"
    path.write_text(
        f'<PcGts xmlns="{PAGE}"><Page imageFilename="p.png" imageWidth="9" imageHeight="9">'
        f'<TextRegion id="r">{inside}</TextRegion></Page></PcGts>',
        encoding="utf-8",
    )
    return list(iter_records(path))


def alto(tmp_path: Path, *lines: str) -> list[Record]:
    inside = "".join(f'<TextLine ID="l{i}">{line}</TextLine>' for i, line in enumerate(lines))
    path = tmp_path / "p.xml"
    path.write_text(
        f'<alto xmlns="{ALTO}"><Layout><Page><PrintSpace><TextBlock>{inside}</TextBlock>'
        "</PrintSpace></Page></Layout></alto>",
        encoding="utf-8",
    )
    return list(iter_records(path))


@given(st.floats(0, 1), st.integers(1, 40))
def test_the_parts_of_a_whole_multiply_to_it(whole: float, count: int) -> None:
    parts = evenly(whole, count)
    assert len(parts) == count and math.prod(parts) == pytest.approx(whole, abs=1e-9)
    assert all(whole <= p <= 1 for p in parts)


def test_page_confidences_of_glyphs_words_and_lines(tmp_path: Path) -> None:
    letters = (("l", 0.9), ("e\u0301", 0.5))
    glyphs = "".join(f"<Glyph>{equiv(letter, p)}</Glyph>" for letter, p in letters)
    spelt, other, bare = word("lé", 0.2, glyphs), word("roi", 0.125), word("roi")
    found = page(
        tmp_path,
        spelt + other + equiv("lé roi", 0.7),
        equiv("roi", 0.125),
        other + bare + equiv("roi roi", 0.0078125),  # a word without: its share of the line's
        other + equiv("le roi", 0.015625),  # words that do not spell the line
        spelt + bare + equiv("lé roi"),
        equiv("roi"),
        "",
    )
    assert found[0].confidences == pytest.approx((0.9, 0.5, 0.5, 0.5, 0.5, 0.5))
    assert found[1].confidences == pytest.approx((0.5, 0.5, 0.5))
    assert found[2].confidences == pytest.approx((0.5,) * 7)
    assert found[3].confidences == pytest.approx((0.5,) * 6)
    assert [r.confidences for r in found[4:]] == [None, None, None]
    assert [r.silent for r in found] == [False] * 6 + [True]


def test_page_n_best_lists(tmp_path: Path) -> None:
    whole = equiv("le roi", 0.5, 1) + equiv("le roy", 0.25, 2)
    unsure = equiv("c", "", 3) + equiv("a", "", 1) + equiv("b", "", 2)
    words = "".join(
        f"<Word>{equiv(text, 0.5, 0)}{equiv(other, 0.25, 1)}</Word>"
        for text, other in (("le", "lo"), ("roi", "roy"))
    )
    found = page(tmp_path, whole, unsure, words + equiv("le roi", 0.25))
    assert found[0].nbest == (("le roi", math.log(0.5)), ("le roy", math.log(0.25)))
    assert found[1].nbest == (("a", 0.0), ("b", -1.0), ("c", -2.0))
    assert [t for t, _ in found[2].nbest] == ["le roi", "lo roi", "le roy"]
    assert found[2].nbest[1][1] == pytest.approx(math.log(0.125))


@pytest.mark.parametrize("conf", ["NaN", "97", "-0.5", "inf", "high", "1e999"])
def test_spoilt_confidences_are_ignored_and_said(
    tmp_path: Path, conf: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "ensemble_htr"):
        (found,) = page(tmp_path, equiv("roi", conf))
        (other,) = alto(tmp_path, f'<String CONTENT="roi" WC="{conf}"/>')
    assert found.text == other.text == "roi"
    assert found.confidences is None and other.confidences is None
    assert sum("no number in [0, 1]" in r.message for r in caplog.records) == 2


def test_alto_confidences(tmp_path: Path) -> None:
    glyphs = '<Glyph CONTENT="r" GC="0.9"/><Glyph CONTENT="oi" GC="0.6"/>'
    found = alto(
        tmp_path,
        '<String CONTENT="roi" WC="0.125"/>',
        '<String CONTENT="roi" WC="0.125" CC="090"/>',  # which letter counts
        '<String CONTENT="roi" CC="0 9 0"/>',
        '<String CONTENT="roi" WC="0.125" CC="000"/>',  # all alike: says less than WC
        '<String CONTENT="roi" WC="0.125" CC="01"/>',
        f'<String CONTENT="roi" WC="0.125">{glyphs}</String>',
        '<String CONTENT="roi" WC="0.125"/><HYP CONTENT="-"/>',
        '<String CONTENT="roi"/><SP/><String CONTENT="le" WC="0.5"/>',
    )
    assert found[0].confidences == pytest.approx((0.5,) * 3)
    assert found[1].confidences == pytest.approx((35 / 36, 1 / 36, 35 / 36))
    assert found[2].confidences == found[1].confidences
    assert found[3].confidences == found[4].confidences == found[0].confidences
    assert found[5].confidences == pytest.approx((0.9, 0.6, 0.6))
    assert found[6].text == "roi-" and found[6].confidences == pytest.approx((0.5,) * 4)
    assert found[7].confidences is None


def test_alto_alternatives(tmp_path: Path) -> None:
    words = '<String CONTENT="le"/><String CONTENT="roi"><ALTERNATIVE>roy</ALTERNATIVE></String>'
    (found,) = alto(tmp_path, words)
    assert found.nbest == (("le roi", 0.0), ("le roy", -1.0))


@given(st.integers(0, 3))
def test_rows_that_say_it_of_words_or_lines_only(kind: int) -> None:
    words = '"words": [{"text": "le", "confidence": 0.25}, {"text": "roi", "confidence": 0.125}]'
    row, wanted = [
        (words, (0.5,) * 6),
        ('"confidence": 0.015625', (0.5,) * 6),
        (f'{words}, "confidences": [1, 1, 1, 1, 1, 0]', (1, 1, 1, 1, 1, 0)),
        (words.replace("roi", "rois"), None),
    ][kind]
    found = spread_record(parse_row(f'{{"id": "a", "text": "le roi", {row}}}', "x"))
    assert found is wanted if wanted is None else found == pytest.approx(wanted)


def test_plain_text_is_numbered_and_other_text_is_not(tmp_path: Path) -> None:
    (tmp_path / "p2.txt").write_text("\ufeffle roi\r\n\n le reine \n", encoding="utf-8")
    (tmp_path / "p10.txt").write_text("z", encoding="utf-8")
    found = list(iter_records(tmp_path))
    assert [(r.page, r.id, r.text) for r in found] == [
        ("p2", "line-1", "le roi"), ("p2", "line-3", "le reine"), ("p10", "line-1", "z"),
    ]  # fmt: skip
    assert all(r.numbered for r in found)
    (tmp_path / "p2.txt").write_text("a\tle roi\n", encoding="utf-8")
    (tmp_path / "p10.txt").write_text('{"id": "b", "text": "x"}\n', encoding="utf-8")
    assert [(r.id, r.text) for r in iter_records(tmp_path)] == [("a", "le roi"), ("b", "x")]
    assert not any(is_plain(path) for path in record_files(tmp_path))
    (tmp_path / "q.ctm").write_text("c 1 0 1 le\n", encoding="utf-8")
    assert [r.id for r in iter_records(tmp_path)] == ["c"]


def test_a_stray_text_does_not_hide_the_pages_below(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("what this is", encoding="utf-8")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "p.txt").write_text("le roi", encoding="utf-8")
    assert record_files(tmp_path) == [tmp_path / "readme.txt"]
    (tmp_path / "b" / "p.jsonl").write_text('{"id": "a", "text": "x"}', encoding="utf-8")
    assert record_files(tmp_path) == [tmp_path / "b" / "p.jsonl"]


def test_a_folder_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.docx").write_bytes(b"PK")
    with pytest.raises(InputError, match="CTM"):
        record_files(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        list(iter_records(tmp_path / "none"))


def test_pages_of_one_name_in_two_folders_are_told_by_their_files(tmp_path: Path) -> None:
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        page(folder, equiv("le roi"))
    with pytest.raises(InputError, match=r"a/p.xml and .*b/p.xml: pages of one name with .* 'l0'"):
        load_records(tmp_path)
