"""Two runs in one folder never have one page; what the dead held is free at once."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from ensemble_htr.batch.leases import EXPIRY, Leases, Run


def leases(path: Path, alone: list[str] | None = None) -> Leases:
    return Leases(path, lambda: alone is not None and alone.append("alone"))


def test_a_page_has_one_run_at_a_time(tmp_path: Path) -> None:
    one, two = leases(tmp_path / "l"), leases(tmp_path / "l")
    assert one.claim(["a", "b"]) == {} == one.claim(["a"])
    taken = two.claim(["b", "c"])
    assert list(taken) == ["b"] and f"process {os.getpid()} on " in taken["b"]
    assert list(one.claim(["c"])) == ["c"]
    one.release("b")
    assert two.claim(["b"]) == {}
    one.close()
    assert two.claim(["a"]) == {}
    two.close()


def test_who_is_alone_may_clear_away(tmp_path: Path) -> None:
    alone: list[str] = []
    one = leases(tmp_path / "l", alone)
    two = leases(tmp_path / "l", alone)
    assert alone == ["alone"]
    one.close()
    two.close()
    leases(tmp_path / "l", alone).close()
    assert alone == ["alone"] * 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_the_leases_of_the_killed_are_free(tmp_path: Path) -> None:
    child = os.fork()
    if not child:
        leases(tmp_path / "l").claim(["a"])
        os._exit(0)  # without goodbye
    os.waitpid(child, 0)
    alone: list[str] = []
    one = leases(tmp_path / "l", alone)
    assert alone == ["alone"] and one.claim(["a"]) == {}
    one.close()


def test_who_is_alive() -> None:
    me = Run.own()
    assert me.alive()
    quiet = time.time() - EXPIRY - 1
    if me.boot and me.started:  # the system tells: the heartbeat does not count
        assert replace(me, beat=quiet).alive()
        assert not replace(me, boot="before").alive()
        assert not replace(me, started=me.started + "0").alive()  # another process of that number
    assert replace(me, host="elsewhere").alive()
    assert not replace(me, host="elsewhere", beat=quiet).alive()


def test_what_a_power_cut_left_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "l").write_bytes(b"torn " * 5000)
    one = leases(tmp_path / "l")
    assert one.claim(["a", "caf\udce9"]) == {}
    one.close()
