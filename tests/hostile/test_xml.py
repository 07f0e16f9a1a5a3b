"""XML from people who wish us ill, or whose disk does."""

from __future__ import annotations

import io
import random
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from lxml import etree

from .conftest import Verdict, draw, page_xml

Read = Callable[..., Verdict]
SECRET = "the-secret-of-this-machine"
GOOD = page_xml("bad")
BOMB = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 12))


def doctype(inside: str) -> bytes:
    head = f"?><!DOCTYPE PcGts {inside}>"
    return GOOD.replace("?>", head, 1).replace("le père", "&x;", 1).encode()


def zipped() -> bytes:
    """A zip whose only member unfolds to 64 MB."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bad.xml", bytes(64 << 20))
    return file.getvalue()


HOSTILE: dict[str, tuple[bytes, str]] = {
    "entity bomb": (doctype(f'[<!ENTITY e0 "ha">{BOMB}<!ENTITY x "&e11;">]'), "DOCTYPE"),
    "external entity": (doctype('[<!ENTITY x SYSTEM "secret.txt">]'), "DOCTYPE"),
    "external DTD": (doctype('SYSTEM "http://127.0.0.1:9/x.dtd"'), "DOCTYPE"),
    "parameter entity": (doctype('[<!ENTITY % p SYSTEM "secret.txt"> %p;]'), "DOCTYPE"),
    "10 MB of noise": (random.Random(1).randbytes(10_000_000), "not well-formed"),
    "10 MB of letters": (b"a" * 10_000_000, "not well-formed"),
    "10 MB of brackets": (b"<" * 10_000_000, "not well-formed"),
    "10 MB in an attribute": (b'<PcGts a="' + b"a" * 10_000_000, "not well-formed"),
    "deep nesting": (b"<PcGts>" + b"<a>" * 200_000 + b"</a>" * 200_000, "depth"),
    "truncated": (GOOD.encode()[:-40], "not well-formed"),
    "empty": (b"", "empty"),
    "blank": (b" \n" * 100, "empty"),
    "zip": (zipped(), "not well-formed"),
    "UTF-16 with a letter too few": (GOOD.encode("utf-16-le")[1:], "not well-formed"),
    "UTF-16 cut in half": (GOOD.encode("utf-16")[:-101], "not well-formed"),
    "Latin-1 that says UTF-8": (GOOD.encode("latin-1"), "not well-formed"),
    "an encoding that nobody has": (GOOD.replace("UTF-8", "x-none").encode(), "encoding"),
    "zeros": (bytes(5000), "not well-formed"),
    "another schema": (b'<TEI xmlns="http://www.tei-c.org/ns/1.0"/>', "<TEI>"),
    "a name of 100,000 letters": (b"<" + b"x" * 100_000 + b"/>", "bad.xml"),
    "escapes for the terminal": (b"<a \x1b[31m/>", "not well-formed"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_xml_is_one_line(case: str, pages: Path, read: Read) -> None:
    data, word = HOSTILE[case]
    (pages / "secret.txt").write_text(SECRET)
    (pages / "bad.xml").write_bytes(data)
    draw(pages / "bad.png")
    begun = time.process_time()
    found = read(pages)
    assert time.process_time() - begun < 20
    found.is_about("bad.xml", word)
    assert SECRET not in found.talk and "\x1b" not in found.talk


@pytest.mark.parametrize("case", ["entity bomb", "external entity", "10 MB of noise", "empty"])
def test_hostile_hocr_is_one_line(case: str, pages: Path, read: Read) -> None:
    (pages / "bad.hocr").write_bytes(HOSTILE[case][0].replace(b"PcGts", b"html"))
    draw(pages / "bad.png")
    found = read(pages)
    found.is_about("bad.hocr")
    assert SECRET not in found.talk


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le"])
def test_wide_letters_without_a_mark_are_known(encoding: str, pages: Path, read: Read) -> None:
    (pages / "bad.xml").write_bytes(GOOD.encode(encoding))
    draw(pages / "bad.png")
    found = read(pages)
    assert found.code == 0 and found.written == {"good.txt", "bad.txt"}


def test_65_mb_of_xml_are_refused_unread(pages: Path, read: Read) -> None:
    with open(pages / "bad.xml", "wb") as file:
        file.write(b"<PcGts>")
        file.truncate(65 << 20)
    read(pages).is_about("bad.xml", "MB of XML")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("mets.xml", '<mets:mets xmlns:mets="http://www.loc.gov/METS/"/>'),  # Transkribus, OCR-D
        ("METS.xml", '<mets xmlns="http://www.loc.gov/METS/"/>'),  # eScriptorium
        ("metadata.xml", "<trpDocMetadata><docId>1</docId></trpDocMetadata>"),  # Transkribus
        ("doc.xml", '<RDF xmlns="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/>'),
    ],
)
def test_metadata_of_exports_is_skipped(name: str, content: str, pages: Path, read: Read) -> None:
    (pages / name).write_text(content)
    found = read(pages)
    assert found.code == 0 and not found.complaints and found.written == {"good.txt"}
    assert sum(f"{name}: skipped" in line for line in found.talk.splitlines()) == 1, found.talk


ABSURD = {
    "not a number": '<Coords points="nan,5 inf,5 195,-inf 5,NaN"/>',
    "a million pixels off": '<Coords points="-999999,5 999999,5 999999,99999 5,35"/>',
    "beyond floats": '<Coords points="1e999,5 1e308,5 5,-1e308"/>',
    "400 digits": f'<Coords points="{"9" * 400},5 1,1 2,2"/>',
    "self-crossing": '<Coords points="5,5 195,35 195,5 5,35 100,0 100,40 5,5"/>',
    "turning back": '<Coords points="5,5 9,9 9,5"/><Baseline points="5,28 195,28 5,28 195,28"/>',
    "a point": '<Coords points="5,5 5,5 5,5"/><Baseline points="7,7 7,7"/>',
    "no height": '<Coords points="5,20 195,20 100,20"/><Baseline points="5,20 195,20"/>',
    "upright": '<Coords points="100,0 101,0 101,40"/><Baseline points="100,40 100,0"/>',
    "100,000 points": f'<Coords points="{"5,5 195,5 195,35 " * 33_000}"/>',
    "words": '<Coords points="a,b c,d"/><Baseline points="x"/>',
    "none": "",
}
DRAWN = ("self-crossing", "turning back", "no height", "upright", "100,000 points")


@pytest.mark.parametrize("case", ABSURD)
def test_absurd_geometry(case: str, pages: Path, read: Read) -> None:
    """It is read as well as may be, or said: never a line a point, never a crash."""
    (pages / "bad.xml").write_text(page_xml("bad", ABSURD[case], lines=2), encoding="utf-8")
    draw(pages / "bad.png")
    begun = time.process_time()
    found = read(pages)
    assert time.process_time() - begun < 20
    assert found.code == len(found.complaints) <= 1, found.talk
    assert "good.txt" in found.written
    said = sum("bad.xml" in line for line in found.talk.splitlines())
    assert (0 if case in DRAWN else 1) <= said <= 3, found.talk


@pytest.mark.parametrize("size", ["1e300", "-5", "0", "nan", "99999999999", ""])
def test_sizes_that_cannot_be(size: str, pages: Path, read: Read) -> None:
    xml = page_xml("bad").replace('imageWidth="200"', f'imageWidth="{size}"')
    (pages / "bad.xml").write_text(xml, encoding="utf-8")
    draw(pages / "bad.png")
    found = read(pages)
    assert found.code == len(found.complaints) <= 1 and "good.txt" in found.written


def test_a_path_out_of_the_folder_is_not_followed(pages: Path, read: Read) -> None:
    outside = pages.parent.parent / f"{pages.parent.name}.png"
    draw(outside)
    for name in (f"../../{outside.name}", str(outside), f"file://{outside}", "\x01", "a" * 9999):
        xml = page_xml("bad").replace('"bad.png"', f'"{name}"').replace("\x01", "&#9;")
        (pages / "bad.xml").write_text(xml, encoding="utf-8")
        read(pages).is_about("bad.xml", "no image was found")
    outside.unlink()


def test_markup_in_ids_and_texts_stays_what_it_is(pages: Path, read: Read, tmp_path: Path) -> None:
    xml = page_xml("good", text="&lt;script&gt;&#x202e;]]&gt; &amp;amp; =cmd()")
    xml = xml.replace('"l0"', '"&lt;a href=&apos;x&apos;&gt; &#10;&quot;,=1+1"')
    (pages / "good.xml").write_text(xml, encoding="utf-8")
    every = ("--format", "page,hocr,tei,txt,csv,jsonl", "--glyphs")
    found = read(pages, options=every)
    assert found.code == 0, found.talk
    out = [p for p in (tmp_path / "out").iterdir() if p.suffix in (".xml", ".hocr", ".html")]
    assert len(out) >= 3
    for path in out:
        tree = etree.parse(path)
        assert not tree.xpath("//*[local-name()='script' or local-name()='a']")
