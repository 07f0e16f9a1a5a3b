"""Whatever bytes a file holds, reading it succeeds or raises one of our errors, in bounded time."""

from __future__ import annotations

import itertools
import math
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble_htr.errors import EnsembleError
from ensemble_htr.io.pages import page_count, page_format, read_page
from ensemble_htr.io.readings import load_records
from ensemble_htr.io.sources import find_pages
from ensemble_htr.types import Page

from .mutate import broken
from .seeds import SEEDS, SUFFIXES

SECONDS = 3.0  # of the processor, for an input of some kilobytes
_COUNT = itertools.count()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fuzz") / "in"
    folder.mkdir()
    return folder


@contextmanager
def written(place: Path, data: bytes, suffix: str) -> Iterator[Path]:
    path = place / f"f{next(_COUNT)}{suffix}"  # never the same name: readers may remember
    path.write_bytes(data)
    try:
        yield path
    finally:
        path.unlink()


def tried(work: Callable[[], object], path: Path) -> None:
    begun = time.process_time()
    try:
        work()
    except EnsembleError as error:
        message = str(error)
        assert path.name in message and "\n" not in message and len(message) < 1000, message
    assert time.process_time() - begun < SECONDS


def read_all(path: Path) -> None:
    for source in find_pages([path]):
        check(source.read())
    for part in range(page_count(path, page_format(path))):
        check(read_page(path, part))


def check(page: Page) -> None:
    names = [line.id for line in page.lines]
    assert all(names) and len(set(names)) == len(names)
    assert math.isfinite(page.width) and page.width >= 0 and page.height >= 0
    for line in page.lines:
        assert all(math.isfinite(v) and v >= 0 for p in (*line.baseline, *line.polygon) for v in p)
        assert len(line.baseline) != 1 and len(line.polygon) not in (1, 2)


def load(path: Path) -> None:
    for record in load_records(path):
        assert unicodedata.is_normalized("NFC", record.text) and record.id
        (record.text + record.id + record.page + record.doc).encode("utf-8")


@pytest.mark.parametrize("kind", sorted(SEEDS))
def test_the_seeds_are_whole(kind: str, place: Path) -> None:
    with written(place, SEEDS[kind], SUFFIXES[kind]) as path:
        assert len(load_records(path)) >= 2
        if kind not in ("jsonl", "tsv"):
            read_all(path)


@pytest.mark.parametrize("kind", ["page", "alto", "hocr"])
def test_pages(kind: str, place: Path) -> None:
    @settings(settings.get_profile("fuzz"))
    @given(broken(kind))
    def run(data: bytes) -> None:
        with written(place, data, SUFFIXES[kind]) as path:
            tried(lambda: read_all(path), path)
            tried(lambda: load(path), path)

    run()


@pytest.mark.parametrize("kind", ["jsonl", "tsv"])
def test_rows(kind: str, place: Path) -> None:
    @settings(settings.get_profile("fuzz"))
    @given(broken(kind), st.sampled_from([SUFFIXES[kind], ".txt", ".jsonl"]))
    def run(data: bytes, suffix: str) -> None:
        with written(place, data, suffix) as path:
            tried(lambda: load(path), path)

    run()
