"""Files appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ensemble_htr.errors import OutputError
from ensemble_htr.files import atomic_write


def test_writes_replaces_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep" / "a.txt"
    atomic_write(path, "é\n")
    assert path.read_bytes() == "é\n".encode()
    atomic_write(path, b"\x00")
    assert path.read_bytes() == b"\x00"
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("name", ["file/a.txt", "folder", "x" * 300])
def test_one_line_for_places_that_cannot_be_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="cannot be written") as caught:
        atomic_write(tmp_path / name, "x")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("**/.*.tmp"))
    assert (tmp_path / "file").read_text() == "in the way"


def test_what_is_no_regular_file_is_written_to(tmp_path: Path) -> None:
    atomic_write(Path("/dev/null"), "x")
    assert not Path("/dev/null").is_file()
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    atomic_write(fifo, "through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    atomic_write(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_text() == "new"
