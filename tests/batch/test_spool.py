"""Parts of one file, added by several runs at once."""

from __future__ import annotations

from pathlib import Path

from ensemble_htr.batch.spool import Spool


def test_only_the_first_run_of_a_job_begins_it(tmp_path: Path) -> None:
    begun: list[str] = []
    one = Spool(tmp_path / "parts.sqlite", "job", lambda: begun.append("one"))
    two = Spool(tmp_path / "parts.sqlite", "job", lambda: begun.append("two"))
    assert begun == ["one"]  # though no part is there yet: the other may be writing its first
    two.add(3, [("txt", b"drei\n")], 1)
    three = Spool(tmp_path / "parts.sqlite", "job", lambda: begun.append("three"))
    assert three.positions() == {3: 1} and begun == ["one"]
    other = Spool(tmp_path / "parts.sqlite", "other job", lambda: begun.append("other"))
    assert other.positions() == {} and begun == ["one", "other"]
    for spool in (one, two, three, other):
        spool.close()
