"""Workers that fail, die or refuse cost what they hold and nothing else."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from ensemble_htr.batch.pool import Died, work
from ensemble_htr.errors import AssetError, EnsembleError


class Double:
    """Doubles a number; the number 13 is bad luck."""

    def __init__(self) -> None:
        self.notices = ["hello"]

    def __call__(self, task: int) -> int:
        if task == 13:
            os.kill(os.getpid(), signal.SIGKILL)
        return 2 * task


class Refusing(Double):
    def __init__(self) -> None:
        raise AssetError("no weights here")


class Dying(Double):
    def __init__(self) -> None:
        os._exit(9)


class Slow(Double):
    def __call__(self, task: int) -> int:
        time.sleep(0 if task == 0 else 60)
        return task


def test_in_process_everything_is_in_order() -> None:
    said: list[str] = []
    assert list(work(Double, [1, 2, 3], 1, said.append)) == [(1, 2), (2, 4), (3, 6)]
    assert said == ["hello"] and list(work(Double, [], 4, said.append)) == []
    with pytest.raises(AssetError):
        list(work(Refusing, [1], 1, said.append))


@pytest.mark.slow
def test_a_killed_worker_costs_one_task() -> None:
    said: list[str] = []
    found = dict(work(Double, [1, 2, 13, 3, 4, 5], 2, said.append))
    death = found.pop(13)
    assert found == {n: 2 * n for n in (1, 2, 3, 4, 5)}
    assert isinstance(death, Died) and "SIGKILL" in death.how and "memory" in death.how
    assert said == ["hello"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("start", "message"), [(Refusing, "no weights here"), (Dying, "while it loaded")]
)
def test_workers_that_cannot_start_end_the_run(start: type[Double], message: str) -> None:
    with pytest.raises(EnsembleError, match=message):
        list(work(start, [1, 2], 2, print))


@pytest.mark.slow
def test_closing_stops_workers_at_once() -> None:
    results = work(Slow, [0, 1, 2], 2, lambda _: None)
    next(results)
    start = time.monotonic()
    results.close()  # type: ignore[attr-defined]
    assert time.monotonic() - start < 2.5
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    if children.exists():
        for pid in children.read_text().split():
            assert b"spawn_main" not in Path(f"/proc/{pid}/cmdline").read_bytes()
