"""XML from people who wish us ill, or whose disk does."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from lxml import etree

from .conftest import Verdict, draw, good_page, page_xml

Transcribe = Callable[..., Verdict]
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
    "a DOCTYPE behind 2 MB of nothing": (
        doctype(f'[<!ENTITY e0 "ha">{BOMB}<!ENTITY x "&e11;">]').replace(
            b"<!DOCTYPE", b"<!--" + b" " * (2 << 20) + b"--><!DOCTYPE"
        ),
        "no root",
    ),
    "10 MB of noise": (random.Random(1).randbytes(10_000_000), "not well-formed"),
    "10 MB of letters": (b"a" * 10_000_000, "no root"),
    "10 MB of brackets": (b"<" * 10_000_000, "not well-formed"),
    "10 MB in an attribute": (b'<PcGts a="' + b"a" * 10_000_000, "no root"),
    "60 MB in a comment": (b"<!--" + b"a" * 60_000_000, "no root"),
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
    "a name of 100,000 letters": (b"<" + b"x" * 100_000 + b"/>", ""),
    "escapes for the terminal": (b"<a \x1b[31m/>", "not well-formed"),
}
HTML = {
    f"hOCR: {case}": (HOSTILE[case][0].replace(b"PcGts", b"html"), "")
    for case in ("entity bomb", "external entity", "10 MB of noise", "empty")
}
FILES = {case: f"x{i:02}.xml" for i, case in enumerate(HOSTILE)}
FILES |= {case: f"h{i:02}.hocr" for i, case in enumerate(HTML)}


@pytest.fixture(scope="module")
def crowd(transcribe: Transcribe, tmp_path_factory: pytest.TempPathFactory) -> Verdict:
    folder = good_page(tmp_path_factory.mktemp("xml"))
    (folder / "secret.txt").write_text(SECRET)
    for name, (data, _) in {**HOSTILE, **HTML}.items():
        stem = FILES[name].rsplit(".")[0]
        (folder / FILES[name]).write_bytes(data)
        draw(folder / f"{stem}.png")
    with open(folder / "large.xml", "wb") as file:
        file.write(b"<PcGts>")
        file.truncate(65 << 20)
    return transcribe(folder)


@pytest.mark.parametrize("case", [*HOSTILE, *HTML])
def test_hostile_xml_is_one_line(case: str, crowd: Verdict) -> None:
    crowd.complaint(FILES[case], {**HOSTILE, **HTML}[case][1])


def test_65_mb_of_xml_are_refused_unread(crowd: Verdict) -> None:
    crowd.complaint("large.xml", "MB of XML")


def test_they_cost_little_and_tell_nothing(crowd: Verdict) -> None:
    assert crowd.seconds < 40
    assert crowd.written == {"good"} and len(crowd.complaints) == len(FILES) + 1
    assert SECRET not in crowd.talk and "\x1b" not in crowd.talk


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le"])
def test_wide_letters_without_a_mark_are_known(
    encoding: str, tmp_path: Path, transcribe: Transcribe
) -> None:
    folder = good_page(tmp_path / "pages")
    (folder / "bad.xml").write_bytes(GOOD.encode(encoding))
    draw(folder / "bad.png")
    found = transcribe(folder)
    assert found.code == 0 and found.written == {"good", "bad"}


METADATA = {
    "mets.xml": '<mets:mets xmlns:mets="http://www.loc.gov/METS/"/>',  # Transkribus, OCR-D
    "METS.xml": '<mets xmlns="http://www.loc.gov/METS/"/>',  # eScriptorium
    "metadata.xml": "<trpDocMetadata><docId>1</docId></trpDocMetadata>",  # Transkribus
    "doc.xml": '<RDF xmlns="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/>',
}


def test_metadata_of_exports_is_skipped(tmp_path: Path, transcribe: Transcribe) -> None:
    folder = good_page(tmp_path / "pages")
    for name, content in METADATA.items():
        (folder / name).write_text(content)
    found = transcribe(folder)
    assert found.code == 0 and found.written == {"good"}
    for name in METADATA:
        assert sum(f"{name}: skipped" in line for line in found.lines) == 1, found.talk


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
    "24,000 points": f'<Coords points="{"5,5 195,5 195,35 " * 8_000}"/>',
    "words": '<Coords points="a,b c,d"/><Baseline points="x"/>',
    "none": "",
}
DRAWN = ("self-crossing", "turning back", "no height", "upright", "24,000 points")


SIZES = ("1e300", "-5", "0", "nan", "99999999999", "")


@pytest.fixture(scope="module")
def shapes(transcribe: Transcribe, tmp_path_factory: pytest.TempPathFactory) -> Verdict:
    folder = good_page(tmp_path_factory.mktemp("shapes"))
    for i, geometry in enumerate(ABSURD.values()):
        (folder / f"g{i:02}.xml").write_text(page_xml(f"g{i:02}", geometry, lines=2), "utf-8")
        draw(folder / f"g{i:02}.png")
    for i, size in enumerate(SIZES):
        xml = page_xml(f"s{i:02}").replace('imageWidth="200"', f'imageWidth="{size}"')
        (folder / f"s{i:02}.xml").write_text(xml, "utf-8")
        draw(folder / f"s{i:02}.png")
    return transcribe(folder)


@pytest.mark.parametrize("case", ABSURD)
def test_absurd_geometry(case: str, shapes: Verdict) -> None:
    """It is read as well as may be, or said: never a line a point, never a crash."""
    stem = f"g{list(ABSURD).index(case):02}"
    said = [line for line in shapes.lines if f"{stem}.xml" in line]
    assert (0 if case in DRAWN else 1) <= len(said) <= 3, shapes.talk
    complaints = [line for line in said if line in shapes.complaints]
    assert len(complaints) == (stem not in shapes.written)


@pytest.mark.parametrize("size", SIZES)
def test_sizes_that_cannot_be(size: str, shapes: Verdict) -> None:
    stem = f"s{SIZES.index(size):02}"
    complaints = [line for line in shapes.complaints if f"{stem}.png" in line]
    assert len(complaints) == (stem not in shapes.written)


def test_absurd_geometry_costs_little(shapes: Verdict) -> None:
    assert shapes.seconds < 40 and "good" in shapes.written


def test_a_path_out_of_the_folder_is_not_followed(tmp_path: Path, transcribe: Transcribe) -> None:
    folder = tmp_path / "a" / "b"
    folder.parent.mkdir()
    good_page(folder)
    draw(tmp_path / "outside.png")
    names = [
        "../../outside.png",
        tmp_path / "outside.png",
        "file:///outside.png",
        "&#9;",
        "a" * 9999,
    ]
    for i, name in enumerate(names):
        xml = page_xml(f"p{i}").replace(f'"p{i}.png"', f'"{name}"')
        (folder / f"p{i}.xml").write_text(xml, "utf-8")
    found = transcribe(folder)
    for i in range(len(names)):
        found.complaint(f"p{i}.xml", "no image was found")


def test_markup_in_ids_and_texts_stays_what_it_is(tmp_path: Path, transcribe: Transcribe) -> None:
    folder = good_page(tmp_path / "pages")
    xml = page_xml("good", text="&lt;script&gt;&#x202e;]]&gt; &amp;amp; =cmd()")
    xml = xml.replace('"l0"', '"&lt;a href=&apos;x&apos;&gt; &#10;&quot;,=1+1"')
    (folder / "good.xml").write_text(xml, encoding="utf-8")
    found = transcribe(folder, options=("--format", "page,hocr,tei,txt,csv,jsonl", "--glyphs"))
    assert found.code == 0, found.talk
    trees = [p for p in found.out.iterdir() if p.suffix in (".xml", ".hocr", ".html")]
    assert len(trees) >= 3
    for path in trees:
        tree = etree.parse(path)
        assert not tree.xpath("//*[local-name()='script' or local-name()='a']")
