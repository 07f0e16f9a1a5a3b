"""The journal says finished only of what is finished and still there."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from ensemble_htr.batch.journal import Finished, Journal
from ensemble_htr.errors import OutputError


def test_a_page_is_finished_while_its_files_are_there(tmp_path: Path) -> None:
    said: list[str] = []
    with Journal.open(tmp_path / "out", said.append) as journal:
        assert not journal.finished("p").fingerprint
        (tmp_path / "out" / "p.txt").write_text("x")
        journal.record("p", Finished("f1"), ["p.txt"], 3, 0.5)
        assert journal.finished("p").fingerprint == "f1"
    with Journal.open(tmp_path / "out", said.append) as journal:
        journal.record("p", Finished("f2"), ["p.txt"], 3, 0.5)
        assert journal.finished("p").fingerprint == "f2"
        (tmp_path / "out" / "p.txt").unlink()
        assert not journal.finished("p").fingerprint
    assert said == []
    names = {p.name for p in (tmp_path / "out" / ".ensemble-htr").iterdir()}
    assert names == {"journal.sqlite", "leases.sqlite", "leases.sqlite-journal"}


def _other_table(path: Path) -> None:
    base = sqlite3.connect(path)
    base.execute("CREATE TABLE pages (a, b)")
    base.commit()
    base.close()


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"garbage " * 2000),
        lambda path: path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 4096),
        lambda path: (path.unlink(), _other_table(path)),
    ],
)
def test_a_damaged_journal_is_said_and_begun_anew(damage: object, tmp_path: Path) -> None:
    said: list[str] = []
    (tmp_path / "p.txt").write_text("x")
    with Journal.open(tmp_path, said.append) as journal:
        for i in range(50):
            journal.record(f"p{i}", Finished("f" * 64), ["p.txt"], 3, 0.5)
    damage(tmp_path / ".ensemble-htr" / "journal.sqlite")  # type: ignore[operator]
    with Journal.open(tmp_path, said.append) as journal:
        assert not journal.finished("p1").fingerprint
        journal.record("p1", Finished("g"), ["p.txt"], 1, 1.0)
        assert journal.finished("p1").fingerprint == "g"
    assert len(said) == 1 and "damaged" in said[0]


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/nothing"])
def test_a_place_that_cannot_be_written(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError) as caught:
        Journal.open(tmp_path / place, print)
    assert "\n" not in str(caught.value) and "choose an output folder" in str(caught.value)


def test_a_journal_that_fails_later_stops_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    with Journal.open(tmp_path, said.append) as journal:
        (tmp_path / ".ensemble-htr" / "journal.sqlite").write_bytes(b"x" * 50_000)
        journal.record("p", Finished("f"), ["p.txt"], 1, 1.0)
        journal.record("q", Finished("f"), ["q.txt"], 1, 1.0)
        assert not journal.finished("p").fingerprint
    assert len(said) == 1 and "read again next time" in said[0]
