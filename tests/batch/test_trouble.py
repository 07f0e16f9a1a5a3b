"""A full disk, a place to read only, a worker that dies, pages that fail: one line, exit 1, what is
finished stays, and the same command completes it."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ensemble_htr.batch.journal import Journal

Run = Callable[..., tuple[int, str, str]]
Job = Callable[[int, int], list[str]]
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def forked(words: list[object], before: Callable[[], object], talk: Path) -> tuple[int, str]:
    """The command in a child where ``before`` was done: exit status, stderr."""
    from ensemble_htr.cli.main import main

    child = os.fork()
    if not child:
        try:
            sys.stderr = open(talk, "w", buffering=1)
            before()
            main([str(word) for word in words])
        except SystemExit as end:
            os._exit(int(end.code or 0))
        finally:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), talk.read_text()


def errors(talk: str) -> list[str]:
    assert "Traceback" not in talk
    return [line for line in talk.splitlines() if line.startswith("ensemble-htr: error: ")]


def texts(out: Path) -> set[str]:
    return {p.name for p in out.glob("*.txt")}


@forks
def test_a_full_disk(job: Job, here: Run, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    words = [*job(6, 0), "--jobs", 1, "-o", tmp_path / "out"]
    page = tmp_path / "one" / "p0003.xml"
    line = '<TextLine id="n{}"><TextEquiv><Unicode>vente</Unicode></TextEquiv></TextLine>'
    more = "".join(line.format(i) for i in range(1000))
    page.write_text(page.read_text().replace("</TextRegion>", f"{more}</TextRegion>"))

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    code, talk = forked(words, full, tmp_path / "talk")
    (said,) = errors(talk)
    assert code == 1 and "p0003" in said and "File too large; make room" in said
    assert texts(tmp_path / "out") == {f"p000{i}.txt" for i in range(3)}
    assert not list((tmp_path / "out").rglob("*.tmp"))
    code, _, talk = here(*words)
    assert code == 0 and "3 pages done" in talk and "3 skipped" in talk
    assert len(texts(tmp_path / "out")) == 6


@forks
def test_a_place_to_read_only(job: Job, here: Run, tmp_path: Path) -> None:
    words = [*job(2, 0), "--jobs", 1, "-o", tmp_path / "out"]
    (tmp_path / "out").mkdir(mode=0o555)
    home = Path(os.environ["ENSEMBLE_HTR_HOME"])
    for folder in (home, tmp_path, *list(tmp_path.parents)[:2]):
        folder.chmod(0o755)  # the test must be able to look in when it is not root

    def humble() -> None:
        if os.geteuid() == 0:
            os.setegid(65534)
            os.seteuid(65534)

    code, talk = forked(words, humble, tmp_path / "talk")
    (said,) = errors(talk)
    assert code == 1 and "nothing can be written there" in said and "choose an output" in said
    (tmp_path / "out").chmod(0o755)
    assert here(*words)[0] == 0 and len(texts(tmp_path / "out")) == 2


def test_a_name_that_cannot_be_written_fails_alone(job: Job, here: Run, tmp_path: Path) -> None:
    words = [*job(3, 0), "--jobs", 1, "-o", tmp_path / "out"]
    (tmp_path / "out" / "p0001.txt").mkdir(parents=True)
    code, _, talk = here(*words)
    (said,) = errors(talk)
    assert code == 1 and "p0001.txt: cannot be written: Is a directory" in said
    assert "2 pages done" in talk and "1 FAILED" in talk
    (tmp_path / "out" / "p0001.txt").rmdir()
    code, _, talk = here(*words)
    assert code == 0 and "1 page done" in talk and "2 skipped" in talk


def test_failed_pages_are_tried_thrice_then_on_request(job: Job, here: Run, tmp_path: Path) -> None:
    words = [*job(3, 0), "--jobs", 1, "-o", tmp_path / "out"]
    assert "nothing to try again" in here(*words, "--retry-failed")[2]
    (tmp_path / "out" / "p0001.txt").mkdir(parents=True)
    for _ in range(3):
        code, _, talk = here(*words)
        assert code == 1 and len(errors(talk)) == 1
    code, _, talk = here(*words)
    assert code == 1 and errors(talk) == []
    assert "left out: " in talk and "1 left out that failed 3 times before" in talk
    assert "--retry-failed tries again" in talk
    code, _, talk = here(*words, "--retry-failed")
    assert code == 1 and len(errors(talk)) == 1 and "skipped" not in talk
    (tmp_path / "out" / "p0001.txt").rmdir()
    code, _, talk = here(*words, "--retry-failed")
    assert code == 0 and "1 page done" in talk and "skipped" not in talk
    code, _, talk = here(*words)
    assert code == 0 and "3 skipped" in talk


def test_pages_in_other_hands_are_left_to_them(job: Job, here: Run, tmp_path: Path) -> None:
    words = [*job(3, 70), "--jobs", 1, "-o", tmp_path / "out"]
    with Journal.open(tmp_path / "out", print) as other:
        assert other.claim(["p0001", "part 4"]) == {}
        code, _, talk = here(*words)
        assert code == 1 and len(errors(talk)) == 2
        assert all(f"another run (process {os.getpid()} on " in line for line in errors(talk))
        assert texts(tmp_path / "out") == {"p0000.txt", "p0002.txt"}
    code, _, talk = here(*words)
    assert code == 0 and len(texts(tmp_path / "out")) == 4
    assert (tmp_path / "out" / "combined.txt").read_text().count("\n") == 70


@forks
@pytest.mark.slow
def test_shards_at_once_in_one_folder(job: Job, here: Run, tmp_path: Path) -> None:
    words = [*job(12, 300), "--jobs", "1"]
    assert here(*words, "-o", tmp_path / "whole")[0] == 0
    children = []
    for shard in ("1/3", "2/3", "3/3"):
        child = os.fork()
        if not child:
            place = ["--shard", shard, "-o", tmp_path / "out"]
            os._exit(forked([*words, *place], lambda: None, tmp_path / f"talk{shard[0]}")[0])
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    code, _, talk = here(*words, "-o", tmp_path / "out")
    assert code == 0 and "12 skipped" in talk
    for path in (tmp_path / "whole").iterdir():
        if path.is_file():
            assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_journal_without_room_stops_nothing(job: Job, here: Run, tmp_path: Path) -> None:
    words = [*job(2, 0), "--jobs", 1, "-o", tmp_path / "out"]
    assert here(*words)[0] == 0
    base = sqlite3.connect(tmp_path / "out" / ".ensemble-htr" / "journal.sqlite")
    base.execute(
        "CREATE TRIGGER full BEFORE INSERT ON pages BEGIN SELECT RAISE(ABORT, 'full'); END"
    )
    base.commit()
    base.close()
    (tmp_path / "out" / "p0001.txt").unlink()
    code, _, talk = here(*words)
    assert code == 0 and "read again next time" in talk and len(texts(tmp_path / "out")) == 2
