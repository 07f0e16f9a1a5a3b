"""Folders as eScriptorium, Transkribus, OCR-D and kraken leave them; bare images, PDFs, TIFFs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from ensemble_htr.errors import ImageError, InputError
from ensemble_htr.io.pages import read_page
from ensemble_htr.io.readings import load_records
from ensemble_htr.io.sources import (
    PageSource,
    find_pages,
    images_argument,
    require_distinct_stems,
)

Maker = Callable[..., Path]
METS = (
    '<mets:mets xmlns:mets="http://www.loc.gov/METS/"><mets:fileSec>{}</mets:fileSec></mets:mets>'
)


def page_xml(image: str, lines: int = 1) -> str:
    body = "".join(
        f'<TextLine id="l{i}"><Coords points="1,1 90,1 90,20"/><TextEquiv><Unicode>text {i}'
        "</Unicode></TextEquiv></TextLine>"
        for i in range(lines)
    )
    return (
        '<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15">'
        f'<Page imageFilename="{image}" imageWidth="200" imageHeight="100">'
        f'<TextRegion id="r">{body}</TextRegion></Page></PcGts>'
    )


def alto_xml(image: str) -> str:
    return (
        '<alto xmlns="http://www.loc.gov/standards/alto/ns-v4#"><Description>'
        f"<sourceImageInformation><fileName>{image}</fileName></sourceImageInformation>"
        '</Description><Layout><Page WIDTH="200" HEIGHT="100"><PrintSpace><TextBlock ID="b">'
        '<TextLine ID="l0" HPOS="1" VPOS="1" WIDTH="90" HEIGHT="20"><String CONTENT="text 0"/>'
        "</TextLine></TextBlock></PrintSpace></Page></Layout></alto>"
    )


@pytest.fixture
def put(tmp_path: Path) -> Callable[[str, str], Path]:
    def make(name: str, text: str = "") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return make


def facts(sources: list[PageSource]) -> list[tuple[str, str | None, str]]:
    """Stem, name of the image and document of each page."""
    pages = [s.read() for s in sources]
    return [(p.stem, p.image.name if p.image else None, p.doc) for p in pages]


# ---------------------------------------------------------------- exports


@pytest.mark.parametrize("kind", ["page", "alto"])
def test_escriptorium(
    tmp_path: Path, put: Maker, picture: Maker, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    for i in (1, 2):
        picture(f"export/scan_{i}.png")
        xml = page_xml(f"scan_{i}.png") if kind == "page" else alto_xml(f"scan_{i}.png")
        put(f"export/scan_{i}.xml", xml)
    put("export/METS.xml", METS.format(""))
    found = facts(find_pages([tmp_path / "export"]))
    assert found == [(f"scan_{i}", f"scan_{i}.png", "export") for i in (1, 2)]
    assert "METS.xml: skipped" in caplog.text and len(caplog.records) == 1
    assert [r.page for r in load_records(tmp_path / "export")] == ["scan_1", "scan_2"]


@pytest.mark.parametrize("above", ["", "job_77/"])  # the export of a collection has a folder more
def test_transkribus(
    tmp_path: Path, put: Maker, picture: Maker, caplog: pytest.LogCaptureFixture, above: str
) -> None:
    for i in (1, 2):
        picture(f"{above}Wills/000{i}.jpg")
        picture(f"{above}Wills/thumbs/000{i}.jpg")
        put(f"{above}Wills/page/000{i}.xml", page_xml(f"000{i}.jpg"))
        put(f"{above}Wills/alto/000{i}.xml", alto_xml(f"000{i}.jpg"))
    put(f"{above}Wills/metadata.xml", '<trpDocMetadata docId="1"/>')
    put(f"{above}Wills/mets.xml", METS.format(""))
    put(f"{above}Wills/Wills.tei.xml", '<TEI xmlns="http://www.tei-c.org/ns/1.0"/>')
    folder = tmp_path / (above or "Wills")
    assert facts(find_pages([folder])) == [(f"000{i}", f"000{i}.jpg", "Wills") for i in (1, 2)]
    for name in ("metadata.xml: skipped", "mets.xml: skipped", "tei.xml: skipped", "2 files like"):
        assert name in caplog.text
    assert len(load_records(folder)) == 2


def workspace(put: Maker, picture: Maker, groups: list[tuple[str, int]]) -> None:
    """A METS workspace with a page and its image; each group's XML has so many lines."""
    uses = "".join(f'<mets:fileGrp USE="{name}"/>' for name, _ in groups)
    put("ws/mets.xml", METS.format(uses))
    picture("ws/OCR-D-IMG/p0001.png")
    for name, lines in groups:
        if name != "OCR-D-IMG":
            put(f"ws/{name}/{name}_0001.xml", page_xml("OCR-D-IMG/p0001.png", lines))


# the groups in the order of the METS, the one that is read
GROUPS = [
    ([("OCR-D-IMG", 0), ("OCR-D-SEG-LINE", 2)], "OCR-D-SEG-LINE"),
    ([("OCR-D-SEG-PAGE", 0), ("OCR-D-SEG-LINE", 2)], "OCR-D-SEG-LINE"),
    ([("Z-SEG-LINE", 2), ("A-OCR", 2)], "A-OCR"),  # METS decides, not the alphabet
    ([("OCR-D-SEG-LINE", 2), ("OCR-D-EMPTY", 0)], "OCR-D-SEG-LINE"),  # no lines
    ([("OCR-D-SEG-REGION", 0)], "OCR-D-SEG-REGION"),
]


@pytest.mark.parametrize(("groups", "chosen"), GROUPS)
def test_ocrd(
    tmp_path: Path, put: Maker, picture: Maker, groups: list[tuple[str, int]], chosen: str
) -> None:
    workspace(put, picture, groups)
    found = facts(find_pages([tmp_path / "ws"]))
    assert found == [(f"{chosen}_0001", "p0001.png", "ws")]
    assert facts(find_pages([tmp_path / "ws" / chosen])) == found


def test_ocrd_says_what_it_took(
    tmp_path: Path, put: Maker, picture: Maker, caplog: pytest.LogCaptureFixture
) -> None:
    workspace(put, picture, [("SEG", 1), ("OCR", 1)])
    find_pages([tmp_path / "ws"])
    assert "read from OCR (name the folder to read SEG)" in caplog.text
    assert [r.page for r in load_records(tmp_path / "ws")] == ["OCR_0001"]


def test_a_mets_that_cannot_be_read(tmp_path: Path, put: Maker, picture: Maker) -> None:
    workspace(put, picture, [("A", 1), ("B", 1)])
    put("ws/mets.xml", "<!DOCTYPE a><mets>")
    assert facts(find_pages([tmp_path / "ws"])) == [("B_0001", "p0001.png", "ws")]


def test_kraken_beside_the_images(tmp_path: Path, put: Maker, picture: Maker) -> None:
    picture("a.png")
    picture("a.seg.png")
    put("a.xml", alto_xml("a.png"))
    assert facts(find_pages([tmp_path])) == [("a", "a.png", tmp_path.name)]


# ---------------------------------------------------------------- lines with their texts


def test_line_images_with_their_texts(
    tmp_path: Path, put: Maker, picture: Maker, caplog: pytest.LogCaptureFixture
) -> None:
    picture("doc__1.png", 300, 400)  # whatever its shape
    picture("doc__2.bin.png", 300, 40)
    put("doc__1.gt.txt", "\ufeffde\u0301ja\u0300 vu\n")
    put("doc__2.gt.txt", "two\nhalves\n")
    sources = find_pages([tmp_path])
    pages = [s.read() for s in sources]
    assert all(s.is_line for s in sources) and not caplog.records
    assert [(p.stem, p.lines[0].id, p.lines[0].text, p.doc) for p in pages] == [
        ("doc__1", "doc__1", "déjà vu", "doc"),
        ("doc__2", "doc__2", "two halves", "doc"),
    ]
    assert not pages[0].lines[0].confirmed  # it must not come out as if it had been read
    records = load_records(tmp_path)
    assert [(r.id, r.page, r.text, r.doc) for r in records] == [
        ("doc__1", "", "déjà vu", "doc"),
        ("doc__2", "", "two halves", "doc"),
    ]
    assert load_records(tmp_path / "doc__1.gt.txt") == records[:1]


def test_what_an_engine_wrote_beside_line_images(
    tmp_path: Path, put: Maker, caplog: pytest.LogCaptureFixture
) -> None:
    put("1.pred.txt", "machine")
    assert [r.text for r in load_records(tmp_path)] == ["machine"]
    put("1.gt.txt", "human")
    assert [r.text for r in load_records(tmp_path)] == ["human"]
    assert "holds both" in caplog.text


@pytest.mark.parametrize(
    ("data", "said"), [(b"\xff\xfea", "not UTF-8"), (b"a" * (2 << 20), "more than 1 MB")]
)
def test_texts_that_are_none(tmp_path: Path, picture: Maker, data: bytes, said: str) -> None:
    picture("1.png", 300, 40)
    (tmp_path / "1.gt.txt").write_bytes(data)
    [source] = find_pages([tmp_path])
    for read in (source.read, lambda: load_records(tmp_path)):
        with pytest.raises(InputError, match=f"1.gt.txt.*{said}"):
            read()


# ---------------------------------------------------------------- bare images

# sizes of the images of a folder, which of them are lines
SHAPES = [
    ([(400, 100)], [True]),
    ([(400, 128)], [True]),  # low
    ([(2000, 500)], [True]),  # four times wider than high
    ([(1900, 500)], [False]),  # neither: a page where nothing speaks for lines
    ([(1900, 500), (800, 60)], [True, True]),  # ... and a line among lines
    ([(1900, 500), (800, 60), (700, 900), (700, 901)], [False, True, False, False]),
    ([(700, 900)], [False]),
    ([(900, 700), (800, 60), (800, 61)], [False, True, True]),
]


@pytest.mark.parametrize(("sizes", "lines"), SHAPES)
def test_lines_and_pages(
    tmp_path: Path, picture: Maker, caplog: pytest.LogCaptureFixture,
    sizes: list[tuple[int, int]], lines: list[bool],
) -> None:  # fmt: skip
    for i, (width, height) in enumerate(sizes):
        picture(f"{i}.png", width, height)
    for inputs in ([tmp_path], sorted(tmp_path.iterdir())):
        caplog.clear()
        assert [s.is_line for s in find_pages(inputs)] == lines
        assert len(caplog.records) == 1
        said = f"{sum(lines)} were taken for single lines, {len(lines) - sum(lines)} for whole"
        assert said in caplog.text
    for images, one in (("lines", True), ("pages", False)):
        caplog.clear()
        chosen = find_pages([tmp_path], images=images_argument(images))
        assert {s.is_line for s in chosen} == {one} and not caplog.records


def test_a_whole_page_has_no_lines_yet(tmp_path: Path, picture: Maker) -> None:
    picture("box__p.png", 700, 900)
    page = find_pages([tmp_path])[0].read()
    assert (page.stem, page.doc, page.format, page.lines) == ("box__p", "box", "image", ())
    assert (page.width, page.height, page.frame) == (700, 900, 0)


def test_bare_images_among_pages(tmp_path: Path, put: Maker, picture: Maker) -> None:
    put("a.xml", page_xml("a.png"))
    picture("a.png")
    picture("b.png", 700, 900)
    assert [s.stem for s in find_pages([tmp_path])] == ["a"]
    assert [s.stem for s in find_pages([tmp_path], images="pages")] == ["a", "b"]


def test_an_image_that_cannot_be_read(tmp_path: Path, picture: Maker) -> None:
    picture("a.png", 700, 900)
    for name in ("b.png", "c.tif"):
        (tmp_path / name).write_bytes(b"junk")
    sources = find_pages([tmp_path])
    assert [s.stem for s in sources] == ["a", "b", "c"]
    for source in sources[1:]:
        with pytest.raises(ImageError, match=source.path.name):
            source.read()


def tiff(path: Path, count: int, thumbnails: bool = False) -> Path:
    frames = [Image.new("L", (70 + i, 90), 20 * i) for i in range(count)]
    with Image.new("L", (1, 1)) as small:
        if not thumbnails:
            frames[0].save(path, save_all=True, append_images=frames[1:])
            return path
        small.encoderinfo = {"tiffinfo": {254: 1}}  # a smaller copy of the page before it
        for frame in frames:
            frame.encoderinfo = {}
        mixed = [each for frame in frames for each in (frame, small)]
        mixed[0].save(path, save_all=True, append_images=mixed[1:])
    return path


def test_a_tiff_of_several_pages(tmp_path: Path) -> None:
    tiff(tmp_path / "deed.tif", 3)
    sources = find_pages([tmp_path])
    assert [(s.stem, s.part, s.whole) for s in sources] == [
        (f"deed__p00{i + 1}", i, True) for i in range(3)
    ]
    pages = [s.read() for s in sources]
    assert [(p.width, p.frame, p.doc) for p in pages] == [(70 + i, i, "deed") for i in range(3)]
    require_distinct_stems(sources)
    put_back = tmp_path / "deed__p002.xml"  # what was made of it finds its page again
    put_back.write_text(page_xml("deed.tif"))
    page = read_page(put_back)
    assert (page.image, page.frame) == (tmp_path / "deed.tif", 1)


def test_thumbnails_in_a_tiff_are_no_pages(tmp_path: Path) -> None:
    tiff(tmp_path / "a.tif", 1, thumbnails=True)
    tiff(tmp_path / "b.tif", 2, thumbnails=True)
    sources = find_pages([tmp_path], images="pages")
    assert [(s.stem, s.part) for s in sources] == [("a", 0), ("b__p001", 0), ("b__p002", 2)]


def test_pdfs(tmp_path: Path, picture: Maker) -> None:
    pytest.importorskip("pypdfium2")
    frames = [Image.new("L", (100, 140), 90 * i) for i in range(2)]
    frames[0].save(tmp_path / "box.pdf", save_all=True, append_images=frames[1:])
    (tmp_path / "bad.pdf").write_bytes(b"junk")
    picture("z.png", 700, 900)
    sources = find_pages([tmp_path])
    assert [(s.stem, s.whole) for s in sources] == [
        ("bad", True), ("box__p001", True), ("box__p002", True), ("z", True)
    ]  # fmt: skip
    page = sources[2].read()
    assert (page.doc, page.frame, page.width) == ("box", 1, 0)
    (tmp_path / "out").mkdir()
    back = tmp_path / "box__p002.page.xml"
    back.write_text(page_xml("box.pdf"))
    assert (read_page(back).image, read_page(back).frame) == (tmp_path / "box.pdf", 1)


# ---------------------------------------------------------------- the hostile


def test_loops_of_folders(tmp_path: Path, put: Maker) -> None:
    put("top/deep/a.xml", page_xml("a.png"))
    os.symlink(tmp_path / "top", tmp_path / "top" / "deep" / "loop")
    os.symlink(tmp_path, tmp_path / "top" / "up")
    assert [s.stem for s in find_pages([tmp_path / "top"])] == ["a"]
    assert len(load_records(tmp_path / "top")) == 1


def test_folders_are_not_searched_for_ever(tmp_path: Path, put: Maker) -> None:
    put("/".join("abcdefgh") + "/a.xml", page_xml("a.png"))
    with pytest.raises(InputError, match="no pages"):
        find_pages([tmp_path])


@pytest.mark.parametrize("name", [b"a\nb", b"\xff\xfe", "\u202ea".encode(), b"-x", b"a;b $(c)"])
def test_names_of_any_bytes(tmp_path: Path, picture: Maker, name: bytes) -> None:
    for ending in (b".png", b".gt.txt", b".xml", b".hocr", b".pdf"):
        try:
            path = tmp_path / ending[1:].decode() / os.fsdecode(name + ending)
            path.parent.mkdir()
            path.write_bytes(b"")
        except OSError:
            pytest.skip("this file system does not take the name")
        for read in (lambda p=path: find_pages([p])[0].read(), lambda p=path: load_records(p)):
            try:
                read()
            except InputError:
                pass
    picture("ok.png", 700, 900).rename(tmp_path / os.fsdecode(name + b".png"))
    [source] = [s for s in find_pages([tmp_path]) if s.image]
    assert source.read().stem == os.fsdecode(name)


def test_another_name_for_what_images_are() -> None:
    with pytest.raises(InputError.__base__, match="did you mean 'lines'"):  # type: ignore[arg-type]
        images_argument("line")
