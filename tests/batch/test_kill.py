"""``kill -9`` at any moment: nothing is lost, nothing doubled, nothing half-written stays."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]
PAGES, OTHERS, DEATHS = 200, 320, 30

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def born(words: list[str]) -> int:
    """The command in a process group of its own (a fork, so that 30 of them take little time)."""
    child = os.fork()
    if child:
        return child
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        from ensemble_htr.cli.main import main

        main(words)
    except SystemExit as end:
        os._exit(int(end.code or 0))
    finally:
        os._exit(99)


def visible(out: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in out.glob("*") if not p.name.startswith(".")}


def work_done(out: Path) -> int:
    """Pages and parts that are finished."""
    count = len(list(out.glob("*.txt")))
    try:
        base = sqlite3.connect(f"file:{out}/.ensemble-htr/parts.sqlite?mode=ro", uri=True)
        count += base.execute("SELECT COUNT(*) FROM parts").fetchone()[0]
        base.close()
    except sqlite3.Error:
        pass
    return count


def killed_somewhere(words: list[str], out: Path, dice: random.Random, patience: float) -> bool:
    """One life, ended after some more work or some time; whether it was still at work."""
    life = born(words)
    begun, limit = work_done(out), time.monotonic() + dice.uniform(0.0, patience)
    more = dice.randrange(12) if dice.random() < 0.7 else PAGES
    ended = 0
    while not ended and work_done(out) < begun + more and time.monotonic() < limit:
        time.sleep(dice.uniform(0.0, 0.004))
        ended, status = os.waitpid(life, os.WNOHANG)
    if ended:
        assert status == 0
        return False
    os.killpg(life, signal.SIGKILL) if os.getpgid(life) == life else os.kill(life, signal.SIGKILL)
    os.waitpid(life, 0)
    return True


def assert_whole(out: Path, expected: dict[str, bytes]) -> None:
    """All is there, once, and nothing else."""
    assert visible(out) == expected
    left = [p.name for p in out.rglob("*") if p.name.endswith(".tmp") or p.name.startswith("parts")]
    assert left == [] and not list((out / ".ensemble-htr" / "review").glob(".merge-*"))
    base = sqlite3.connect(out / ".ensemble-htr" / "leases.sqlite")
    for table in ("leases", "runs"):
        assert base.execute(f"SELECT COUNT(*) FROM {table}").fetchone() == (0,)
    base.close()


@pytest.mark.slow
def test_thirty_deaths(job: Callable[[int, int], list[str]], here: Run, tmp_path: Path) -> None:
    words = job(PAGES, OTHERS)
    begun = time.monotonic()
    code, _, talk = here(*words, "-o", tmp_path / "whole", "--jobs", 1)
    assert code == 0, talk
    took, expected = time.monotonic() - begun, visible(tmp_path / "whole")
    assert len(expected) == 2 * PAGES + 3  # combined.txt, matching.json, review.csv

    dice, deaths, out = random.Random(7), 0, tmp_path / "out0"
    while deaths < DEATHS:
        jobs = "2" if deaths % 10 == 3 else "1"
        patience = took / 3 if jobs == "1" else 20.0  # processes take a while to start
        killed = killed_somewhere([*words, "-o", str(out), "--jobs", jobs], out, dice, patience)
        for name, data in visible(out).items():
            assert name == "review.csv" or data == expected[name], name
        if not killed:  # too quick for us: it is finished, so begin the next one
            assert_whole(out, expected)
            out = tmp_path / f"out{deaths}"
        deaths += killed

    code, _, talk = here(*words, "-o", out, "--jobs", 1)
    assert code == 0, talk
    assert_whole(out, expected)
    code, _, talk = here(*words, "-o", out)
    assert code == 0 and f"{PAGES} skipped" in talk and visible(out) == expected
