"""From folders to pages: what is taken, what is skipped, where the image is."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble_htr.errors import InputError, XMLError
from ensemble_htr.io.documents import document_of
from ensemble_htr.io.finding import find_image, natural_key, page_stem
from ensemble_htr.io.sources import PageSource, find_pages, require_distinct_stems

PAGE = '<PcGts xmlns="p"><Page imageFilename="" imageWidth="9" imageHeight="9"/></PcGts>'
ALTO = '<alto xmlns="a"><Layout/></alto>'
METS = '<mets:mets xmlns:mets="m"/>'
Maker = Callable[..., Path]


def put(tmp_path: Path, **files: str) -> Path:
    """Write files; ``/`` is spelled ``__in__`` and ``.`` is ``__dot__`` in the keywords."""
    for name, text in files.items():
        path = tmp_path / name.replace("__in__", "/").replace("__dot__", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def names(sources: list[PageSource]) -> list[str]:
    return [s.path.name for s in sources]


def test_a_folder_in_natural_order(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    put(tmp_path, p10__dot__xml=PAGE, p2__dot__xml=ALTO, P1__dot__XML=PAGE, mets__dot__xml=METS)
    put(tmp_path, notes__dot__txt="", manifest__dot__csv="doc,xml\n", metadata__dot__xml="<x/>")
    (tmp_path / "._p1.xml").write_text("junk of another system")
    sources = find_pages([tmp_path])
    assert names(sources) == ["P1.XML", "p2.xml", "p10.xml"]
    assert [s.format for s in sources] == ["page", "alto", "page"]
    assert "mets.xml: skipped" in caplog.text and "metadata.xml: skipped" in caplog.text


def test_transkribus_layout(tmp_path: Path, picture: Maker) -> None:
    put(tmp_path, mets__dot__xml=METS, page__in__a__dot__xml=PAGE, page__in__b__dot__xml=PAGE)
    picture("a.JPG")
    picture("b.tif")
    sources = find_pages([tmp_path])
    assert names(sources) == ["a.xml", "b.xml"]
    assert [s.read().image for s in sources] == [tmp_path / "a.JPG", tmp_path / "b.tif"]
    assert find_pages([tmp_path / "a.JPG"]) == sources[:1]  # an image leads to its XML


def test_the_same_page_twice_is_taken_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path, a__dot__xml=PAGE, a__dot__alto__dot__xml=ALTO, alto__in__a__dot__xml=ALTO)
    assert names(find_pages([tmp_path, tmp_path / "a.xml"])) == ["a.xml"]
    assert caplog.text.count("the same page as") == 1 and "(2 files like it)" in caplog.text


def test_line_images(tmp_path: Path, picture: Maker, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("doc__l10.png", "doc__l9.png", "doc__l9.jpg"):
        picture(name, 300, 40)
    pages = [s.read() for s in find_pages([tmp_path])]
    assert [p.lines[0].id for p in pages] == ["doc__l9", "doc__l9.png", "doc__l10"]
    assert {(p.doc, p.width, p.height, p.format, len(p.lines)) for p in pages} == {
        ("doc", 300, 40, "image", 1)
    }
    assert pages[0].lines[0].polygon == ((0, 0), (300, 0), (300, 40), (0, 40))
    picture("page.png", 700, 900)
    [source] = find_pages([tmp_path / "page.png"])
    assert source.whole and source.read().lines == ()


def test_images_without_xml_among_pages_are_mentioned(
    tmp_path: Path, picture: Maker, caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path, a__dot__xml=PAGE)
    picture("a.png")
    picture("b.png")
    assert names(find_pages([tmp_path])) == ["a.xml"]
    assert "1 images have no XML of the same name (the first: b.png)" in caplog.text


def test_one_line_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    put(tmp_path, a__dot__doc="", mets__in__mets__dot__xml=METS, ok__in__a__dot__xml=PAGE)
    put(tmp_path, a__dot__html="<html>a page of the web</html>")
    inputs = [tmp_path / n for n in ("empty", "none", "a.doc", "a.html", "mets", "ok")]
    for path in inputs[:-1]:
        with pytest.raises(InputError, match=f"{path.name}: ") as caught:
            find_pages([path])
        assert "\n" not in str(caught.value)
    errors: list[InputError] = []
    assert names(find_pages(inputs, errors.append)) == ["a.xml"]
    assert len(errors) == 5


def test_broken_xml_is_found_and_says_so_when_read(tmp_path: Path) -> None:
    put(tmp_path, a__dot__xml="<alto", b__dot__xml="<!DOCTYPE a><a/>", c__dot__xml="<TEI/>")
    sources = find_pages([tmp_path])
    assert names(sources) == ["a.xml", "b.xml", "c.xml"]
    for source in sources:
        with pytest.raises(XMLError, match=source.path.name):
            source.read()


def test_loops_of_links(tmp_path: Path) -> None:
    put(tmp_path, a__dot__xml=PAGE)
    os.symlink(tmp_path, tmp_path / "page")
    os.symlink(tmp_path / "loop.xml", tmp_path / "loop.xml")
    os.symlink("nowhere", tmp_path / "dead.xml")
    assert names(find_pages([tmp_path, tmp_path / "page"])) == ["a.xml"]
    with pytest.raises(InputError):
        find_pages([tmp_path / "loop.xml"])


def test_two_pages_of_one_name(tmp_path: Path) -> None:
    put(tmp_path, x__in__a__dot__xml=PAGE, y__in__A__dot__xml=PAGE)
    sources = find_pages([tmp_path / "x", tmp_path / "y"])
    assert len(sources) == 2
    with pytest.raises(InputError, match="two pages are called 'A'"):
        require_distinct_stems(sources)
    require_distinct_stems(sources[:1] * 2)


# file, name in the XML, whether it is found from in/p.xml
IMAGES = [
    ("in/scan.jpg", "scan.jpg", True),
    ("in/SCAN.JPG", "scan.jpg", True),
    ("scan.jpg", "scan.jpg", True),  # one folder up
    ("images/scan.jpg", "scan.jpg", True),
    ("in/images/scan.jpg", "scan.jpg", True),
    ("in/scan.tiff", "scan.jpg", True),  # converted since
    ("in/p.PNG", "scan.jpg", True),  # named as the XML
    ("in/p.webp", "", True),
    ("in/deep/scan.jpg", "deep/scan.jpg", True),
    ("in/deep/scan.jpg", "deep\\scan.jpg", True),
    ("in/scan.jpg", "C:\\work\\scan.jpg", True),
    ("in/scan.jpg", "file:///srv/scan.jpg", True),
    ("in/scan.txt", "scan.txt", False),
    ("other/scan.jpg", "scan.jpg", False),
    ("in/scan.jpg", "p\x00.jpg", False),
]


@pytest.mark.parametrize(("file", "name", "found"), IMAGES)
def test_where_the_image_is(tmp_path: Path, file: str, name: str, found: bool) -> None:
    path = tmp_path / "top" / file
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    (tmp_path / "top" / "in").mkdir(exist_ok=True)
    image = find_image(tmp_path / "top" / "in" / "p.xml", name, "p")
    assert (image is not None and image.samefile(path)) is found


def test_the_image_of_the_xml_is_not_sought_far_away(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "secret.png").write_bytes(b"x")
    for name in ("../../secret.png", str(tmp_path / "secret.png"), "/etc/passwd"):
        assert find_image(tmp_path / "a" / "b" / "p.xml", name, "p") is None


def test_relative_paths_of_the_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "page").mkdir()
    (tmp_path / "p.png").write_bytes(b"x")
    monkeypatch.chdir(tmp_path / "page")
    image = find_image(Path("p.xml"), "", "p")
    assert image is not None and image.samefile(tmp_path / "p.png")


def test_documents(tmp_path: Path) -> None:
    folder = tmp_path / "box7"
    (folder / "page").mkdir(parents=True)
    assert document_of(folder / "p.xml") == "box7"
    assert document_of(folder / "page" / "p.xml") == "box7"
    assert document_of(folder / "will1830__p.xml") == "will1830"
    assert document_of(folder / "__p.xml") == "box7"
    (folder / "manifest.csv").write_text("doc,page,xml\nd1,1,sub/p.xml\n", encoding="utf-8-sig")
    assert document_of(folder / "p.xml") == "d1"
    assert document_of(folder / "q.xml") == "box7"


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"a,b\n1,2\n", b"", b'doc,xml\n"x'])
def test_a_bad_manifest_is_ignored(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "manifest.csv").write_bytes(content)
    assert document_of(tmp_path / "p.xml") == tmp_path.name


@given(st.lists(st.integers(0, 10**6), min_size=1), st.text("ab_", max_size=3))
def test_natural_order_is_the_order_of_the_numbers(numbers: list[int], head: str) -> None:
    files = [f"{head}{n}.xml" for n in numbers]
    assert sorted(files, key=natural_key) == [f"{head}{n}.xml" for n in sorted(numbers)]


@given(st.lists(st.text("aA10.²٣", max_size=5)))
def test_natural_order_is_total(texts: list[str]) -> None:
    backwards = list(reversed(texts))
    assert sorted(texts, key=natural_key) == sorted(backwards, key=natural_key)


def test_stems() -> None:
    assert page_stem(Path("a.xml"), "page") == "a"
    assert page_stem(Path("a.page.xml"), "page") == "a"
    assert page_stem(Path("a.page.xml"), "alto") == "a.page"
    assert page_stem(Path(".page.xml"), "page") == ".page"
