"""Cut lines come back as they went in, or are cut again; no entry can do harm."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble_htr.errors import OutputError
from ensemble_htr.io.cache import LineCache
from ensemble_htr.types import Line, Page

BOX = ((0.1, 0.2), (30.7, 0.0), (1e-3, 9.0))


def page_at(folder: Path, **changes: object) -> Page:
    image = folder / "p.jpg"
    if not image.exists():
        image.write_bytes(b"the bytes of an image")
    lines = (Line("a", polygon=BOX, text="x"), Line("b", baseline=BOX[:2], confirmed=True))
    return replace(Page("p", lines, 100, 200, image, format="page"), **changes)  # type: ignore[arg-type]


class Cutter:
    """Cuts pages into noise and counts."""

    def __init__(self) -> None:
        self.pages = 0

    def __call__(self, page: Page) -> tuple[Page, list[Line]]:
        self.pages += 1
        rng = np.random.default_rng(len(page.lines))
        page = replace(page, width=50, height=70)
        shape = 48, 30
        return page, [
            replace(x, image=rng.integers(0, 256, shape).astype(np.uint8)) for x in page.lines
        ]


def entry(folder: Path) -> Path:
    (path,) = folder.glob("*.lines")
    return path


def assert_same(one: tuple[Page, list[Line]], two: tuple[Page, list[Line]]) -> None:
    assert one == two
    for a, b in zip(one[1], two[1], strict=True):
        assert a.image is not None and b.image is not None
        assert a.image.dtype == b.image.dtype and np.array_equal(a.image, b.image)


def test_the_second_time_nothing_is_cut(tmp_path: Path) -> None:
    make, page = Cutter(), page_at(tmp_path)
    first = LineCache(tmp_path / "kept", "v1").cut(page, make)
    cache = LineCache(tmp_path / "kept", "v1")
    assert_same(cache.cut(page, make), first)
    assert (make.pages, cache.hits, cache.misses) == (1, 1, 0)
    assert not [p for p in (tmp_path / "kept").iterdir() if p.suffix == ".tmp"]


def test_whatever_decides_the_lines_is_in_the_name(tmp_path: Path) -> None:
    page, cache = page_at(tmp_path), LineCache(tmp_path, "v1")
    moved = replace(page.lines[0], polygon=((1.0, 2.0), *BOX[1:]))
    other = tmp_path / "q.jpg"
    other.write_bytes(b"another image")
    names = {
        cache.name(page),
        LineCache(tmp_path, "v2").name(page),
        cache.name(replace(page, lines=(moved, page.lines[1]))),
        cache.name(replace(page, lines=page.lines[:1])),
        cache.name(replace(page, width=101)),
        cache.name(replace(page, image=other)),
        cache.name(replace(page, frame=1)),
    }
    assert len(names) == 7
    read = replace(page.lines[0], text="another text")
    assert cache.name(replace(page, lines=(read, page.lines[1]))) == cache.name(page)
    assert cache.name(page_at(tmp_path)) == cache.name(page)


def test_the_text_is_the_files_own(tmp_path: Path) -> None:
    make, cache, page = Cutter(), LineCache(tmp_path, "v"), page_at(tmp_path)
    cache.cut(page, make)
    lines = tuple(replace(x, text="new") for x in page.lines)
    _, cut = cache.cut(replace(page, lines=lines), make)
    assert [x.text for x in cut] == ["new", "new"] and make.pages == 1


def test_lines_that_were_found_on_the_page_come_back(tmp_path: Path) -> None:
    """A page that came without lines: a segmenter's work is kept too."""
    page, cache, calls = page_at(tmp_path, lines=(), format="image"), LineCache(tmp_path, "v"), []

    def make(bare: Page) -> tuple[Page, list[Line]]:
        calls.append(bare)
        page = page_at(tmp_path, format="image")
        lines = tuple(Line(x.id, x.baseline, x.polygon) for x in page.lines)
        return Cutter()(replace(page, lines=lines))

    first = cache.cut(page, make)
    assert_same(cache.cut(page, make), first)
    assert len(calls) == 1 and len(first[0].lines) == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:40],
        lambda data: data[:-3],
        lambda data: data + b"x",
        lambda data: data[:60] + bytes([data[60] ^ 1]) + data[61:],
        lambda data: b"PK\x03\x04" + data[4:],
    ],
    ids=["empty", "head", "short", "long", "bit", "other"],
)
def test_a_damaged_entry_is_made_again(
    damage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:  # type: ignore[no-untyped-def]
    make, page, cache = Cutter(), page_at(tmp_path), LineCache(tmp_path, "v")
    first = cache.cut(page, make)
    whole = entry(tmp_path).read_bytes()
    entry(tmp_path).write_bytes(damage(whole))
    with caplog.at_level(logging.WARNING, "ensemble_htr"):
        assert_same(cache.cut(page, make), first)
    assert make.pages == 2 and "damaged" in caplog.text and "cut again" in caplog.text
    assert entry(tmp_path).read_bytes() == whole


def forged(head: object, pixels: bytes = b"") -> bytes:
    """An entry with a good checksum and anything inside."""
    raw = head if isinstance(head, bytes) else json.dumps(head).encode()
    rest = len(raw).to_bytes(8, "little") + raw + zlib.compress(pixels)
    return b"EHTRLINES1\n" + hashlib.sha256(rest).digest() + rest


GOOD = {"page": [50, 70], "lines": [["a", "", [], [], 2, 2], ["b", "", [], [], 2, 2]]}
HOSTILE = [
    [],
    "text",
    b"[" * 100_000,
    b"\xff\xfe",
    {"lines": []},
    {"page": [1, 2], "lines": [["a"]]},
    {"page": [1, 2], "lines": [["a", "", [], [], 48, 10**12]]},
    {"page": [1, 2], "lines": [["a", "", [], [], -48, -10]]},
    {"page": [1, 2], "lines": [["a", "", [], [], "wide", 10]]},
    {"page": [1, 2], "lines": [["a", "", [], [], float("inf"), 10]]},
    {"page": [1, 2], "lines": [["a", "", [], [], 48, 2**14]] * 400},
    {**GOOD, "lines": [["a", "", [[float("nan"), 0]], [], 2, 2], GOOD["lines"][1]]},
    {**GOOD, "page": None},
    {**GOOD, "page": ["x", 2]},
    {**GOOD, "lines": [["a", "", 7, [], 2, 2], GOOD["lines"][1]]},
]


@pytest.mark.parametrize("head", HOSTILE, ids=range(len(HOSTILE)))
def test_a_forged_entry_does_no_harm(
    head: object, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make, page, cache = Cutter(), page_at(tmp_path), LineCache(tmp_path, "v")
    (tmp_path / f"{cache.name(page)}.lines").write_bytes(forged(head, b"\0" * 8))
    with caplog.at_level(logging.WARNING, "ensemble_htr"):
        cache.cut(page, make)
    assert make.pages == 1 and "damaged" in caplog.text


def test_a_bomb_is_not_inflated(tmp_path: Path) -> None:
    make, page, cache = Cutter(), page_at(tmp_path), LineCache(tmp_path, "v")
    bomb = forged(GOOD, b"\0" * 10_000_000)  # 10 kB on the disk; 8 bytes are wanted
    (tmp_path / f"{cache.name(page)}.lines").write_bytes(bomb)
    _, lines = cache.cut(page, make)
    assert make.pages == 0 and all(x.image is not None and x.image.size == 4 for x in lines)


@given(data=st.binary(max_size=200))
@settings(max_examples=60, deadline=None)
def test_no_bytes_crash_it(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("c")
    make, page, cache = Cutter(), page_at(folder), LineCache(folder, "v")
    (folder / f"{cache.name(page)}.lines").write_bytes(forged(data))
    cache.cut(page, make)
    assert make.pages == 1


def test_workers_side_by_side(tmp_path: Path) -> None:
    page, first = page_at(tmp_path), Cutter()(page_at(tmp_path))
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(30):
                assert_same(LineCache(tmp_path, "v").cut(page, Cutter()), first)
                for path in tmp_path.glob("*.lines"):
                    path.unlink(missing_ok=True)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_a_place_that_is_no_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="choose another --cache"):
        LineCache(tmp_path / "file", "v")


def test_what_cannot_be_kept_is_cut_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make, page, cache = Cutter(), page_at(tmp_path), LineCache(tmp_path / "kept", "v")
    (tmp_path / "kept").rmdir()
    (tmp_path / "kept").write_text("now a file")
    with caplog.at_level(logging.WARNING, "ensemble_htr"):
        for _ in range(2):
            cache.cut(page, make)
    assert make.pages == 2
    assert sum("going on without" in r.getMessage() for r in caplog.records) == 1
