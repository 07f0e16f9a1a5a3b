"""Same at a glance means same; what was changed, or may yet change unseen, is looked into."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ensemble_htr.batch.stamps import settled, stamp, stamp_of, unchanged
from ensemble_htr.io.sources import PageSource


@pytest.fixture
def source(tmp_path: Path) -> PageSource:
    for name in ("p.xml", "p.png"):
        (tmp_path / name).write_text("content")
        os.utime(tmp_path / name, (1e9, 1e9))
    return PageSource("p", xml=tmp_path / "p.xml", format="page")


def test_a_page_at_rest_is_unchanged_until_something_changes(source: PageSource) -> None:
    image = source.path.with_suffix(".png")
    old = settled(stamp_of("seed", source, image))
    assert old and unchanged(old, "seed", source)
    assert not unchanged(old, "other models", source)
    assert not unchanged(old, "seed", PageSource("p", xml=source.path, format="alto"))
    assert not unchanged("", "seed", source) and not unchanged("[]", "seed", source)
    (source.path.parent / "manifest.csv").write_text("doc,xml\nD,p.xml\n")
    assert not unchanged(old, "seed", source)
    (source.path.parent / "manifest.csv").unlink()
    os.utime(image, (1e9, 1e9 + 1))
    assert not unchanged(old, "seed", source)
    image.unlink()
    assert not unchanged(old, "seed", source)


def test_what_was_just_written_is_not_trusted(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    seen = stamp([tmp_path / "a"], "seed")
    assert seen and settled(seen) == ""
    assert stamp([tmp_path / "gone"], "seed") == "" == settled("")
