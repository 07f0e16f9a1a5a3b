"""The journal says finished only of what is finished and still there."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from ensemble_htr.batch.journal import Finished, Journal, require_writable
from ensemble_htr.batch.pages import refresh_review
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


def test_failures_are_counted_while_nothing_changes(tmp_path: Path) -> None:
    with Journal.open(tmp_path, print) as journal:
        for stamp in ("s", "s", "t"):
            journal.failed("p", "in/p.xml", f"broken {stamp}", stamp)
        journal.failed("caf\udce9", "in/caf\udce9.xml", "broken", "s")
        found = journal.attempts()
        assert [(a.key, a.error, a.count) for a in found.values()] == [
            ("p", "broken t", 1), ("caf\udce9", "broken", 1),
        ]  # fmt: skip
        journal.failed("p", "in/p.xml", "broken", "t")
        assert journal.attempts()["p"].count == 2
        (tmp_path / "p.txt").write_text("x")
        journal.record("p", Finished("f"), ["p.txt"], 1, 1.0)
        assert list(journal.attempts()) == ["caf\udce9"]
        journal.failed("p", "in/p.xml", "broken", "u")
        assert not journal.finished("p").fingerprint


def test_only_what_the_dead_left_is_cleared_away(tmp_path: Path) -> None:
    left = [".0123456789abcdef.tmp", ".ensemble-htr/review/pages/.0123456789abcdef.tmp",
            ".ensemble-htr/review/.merge-x/run-0.csv"]  # fmt: skip
    stays = ["a.tmp", ".hidden", "notes/.0123456789abcdef.tmp", ".ensemble-htr/review/pages/p.csv"]

    def make() -> None:
        for name in left + stays:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("x")

    make()
    with Journal.open(tmp_path, print):
        assert [(tmp_path / name).exists() for name in left + stays] == [False] * 3 + [True] * 4
        make()
        with Journal.open(tmp_path, print):  # somebody may be writing these
            assert all((tmp_path / name).exists() for name in left)


def test_a_probe_that_another_run_clears_away_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch = Path.touch

    def cleared(self: Path, mode: int = 0o666, exist_ok: bool = True) -> None:
        touch(self, mode, exist_ok)
        self.unlink()

    monkeypatch.setattr(Path, "touch", cleared)
    require_writable(tmp_path / "out")


def test_an_older_review_in_place_of_the_newer_one_is_made_again(tmp_path: Path) -> None:
    review = tmp_path / "review.csv"
    with Journal.open(tmp_path, print) as journal:
        refresh_review(tmp_path, journal)
        whole, seen = review.read_bytes(), review.stat()
        refresh_review(tmp_path, journal)
        assert review.stat().st_ino == seen.st_ino  # nothing has changed, nothing is written
        older = tmp_path / "older.csv"  # a run that began before has its merge finished after
        older.write_text("page\n")
        older.replace(review)
        refresh_review(tmp_path, journal)
        assert review.read_bytes() == whole
