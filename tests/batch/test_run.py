"""One run: the order of a stream, groups cut up when a worker dies over them, what is said."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble_htr.batch.outcomes import Outcome
from ensemble_htr.batch.places import Folder, Stream
from ensemble_htr.batch.progress import Progress
from ensemble_htr.batch.run import RunOptions, formats_argument, run
from ensemble_htr.batch.spool import Spool
from ensemble_htr.errors import UsageError


@dataclass(frozen=True)
class Numbers:
    first: int
    values: tuple[int, ...]

    @property
    def pages(self) -> Sequence[tuple[int, str, str]]:
        return [(self.first + i, str(v), f"page {v}") for i, v in enumerate(self.values)]

    def split(self) -> Sequence[Numbers]:
        return [Numbers(self.first + i, (v,)) for i, v in enumerate(self.values)]


class Writer:
    """Writes its numbers; the number 13 kills it."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def __call__(self, task: Numbers) -> list[Outcome]:
        if 13 in task.values:
            os.kill(os.getpid(), signal.SIGKILL)
        return [
            Outcome(order, key, path, files=((f"{key}.txt", key.encode()),), lines=1)
            for order, key, path in task.pages
        ]


@pytest.mark.slow
def test_a_killed_group_is_tried_one_by_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = [Numbers(0, (1, 13, 2)), Numbers(3, (3, 4))]
    summary = run(Writer, tasks, 2, Folder(tmp_path), Progress(5))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1.txt", "2.txt", "3.txt", "4.txt"]
    assert summary.done == 4 and summary.lines == 4 and summary.exit_code == 1
    ((path, message),) = summary.failed
    assert path == "page 13" and message.startswith("page 13: the worker process")
    assert capsys.readouterr().err == f"ensemble-htr: error: {message}\n"


@given(st.permutations(range(8)), st.sets(st.integers(0, 7)))
def test_a_stream_keeps_the_order_whatever_comes_first(order: list[int], bad: set[int]) -> None:
    stream = io.BytesIO()
    place = Stream(stream)
    for i in order:
        parts = () if i in bad else (("txt", bytes([65 + i])),)
        place.put(Outcome(i, "", "", "failed" if i in bad else "done", parts=parts))
    place.finish()
    assert stream.getvalue() == bytes(65 + i for i in range(8) if i not in bad)


@settings(deadline=None, max_examples=20)
@given(st.permutations(range(5)))
def test_parts_are_joined_in_order(order: list[int]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as out:
        spool = Path(out) / "parts"
        for half in (order[:2], order[2:]):  # killed between
            place = Folder(Path(out), spool=Spool(spool, "job"), expected=5)
            for i in half:
                place.put(Outcome(i, "", "", parts=(("txt", b"%d\n" % i),), lines=1))
            assert not (Path(out) / "combined.txt").exists()
            place.finish()
        assert (Path(out) / "combined.txt").read_bytes() == b"0\n1\n2\n3\n4\n"
        assert not spool.exists()


def test_away_from_a_terminal_progress_is_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Progress(3, every=0.0) as progress:
        for _ in range(3):
            progress.advance(10)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == ["1 of 3 pages", "2 of 3 pages"]
    with Progress(3, every=60.0) as progress:
        progress.advance(10)
    assert capsys.readouterr().err == ""


def test_arguments() -> None:
    assert formats_argument("page, TXT,page") == ("page", "txt")
    assert formats_argument(None) is None
    for wrong in ("pgae", "", ","):
        with pytest.raises(UsageError):
            formats_argument(wrong)
    with pytest.raises(UsageError, match="txt or jsonl"):
        RunOptions(None, ("txt", "jsonl"))
    with pytest.raises(UsageError, match="journal"):
        RunOptions(None, ("txt",), retry_failed=True)
    with pytest.raises(UsageError, match="stdout"):
        RunOptions(None, ("txt",), explain="a")
