"""One run: tasks go to workers, what comes back goes to its place, and the sum is told."""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from ensemble_htr.batch.outcomes import Outcome, RunSummary, Task
from ensemble_htr.batch.places import Place
from ensemble_htr.batch.pool import Died, Handler, work
from ensemble_htr.batch.progress import Progress
from ensemble_htr.errors import UsageError
from ensemble_htr.io.results import WriteOptions

__all__ = ["STREAMED", "RunOptions", "cores", "formats_argument", "run"]

STREAMED = ("txt", "jsonl")  # formats that can follow one another in one stream
_EXAMPLES = 3  # lines named of those that an engine was left out of
_MOST_JOBS = 8  # by default: a worker with our recognizers takes about half a gigabyte

T = TypeVar("T", bound=Task)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a run is done, whatever it does. ``out`` None is one stream to stdout; ``formats`` None
    is what the verb finds fitting; ``jobs`` None is one process a core."""

    out: Path | None
    formats: tuple[str, ...] | None = None
    jobs: int | None = None
    overwrite: bool = False  # replace also a text that a human confirmed
    explain: str | None = None  # id of a line whose reading is to be explained
    alternatives: int = 0  # see `WriteOptions`
    glyphs: bool = False
    retry_failed: bool = False  # only pages that failed in earlier runs, however often

    @property
    def write(self) -> WriteOptions:
        """What the writers want to know; raises `UsageError` for absurd numbers."""
        return WriteOptions(self.overwrite, self.alternatives, self.glyphs)

    def __post_init__(self) -> None:
        if self.out is None and self.explain is not None:
            raise UsageError("--explain writes to stdout, and so does -o -; give -o a folder")
        if self.out is None and self.retry_failed:
            raise UsageError("--retry-failed asks the journal of an output folder; -o - has none")
        if self.out is None and (len(self.formats or ()) != 1 or self.formats[0] not in STREAMED):  # type: ignore[index]
            found = ",".join(self.formats or ()) or "none"
            raise UsageError(f"-o - is one stream: wanted --format txt or jsonl, found {found}")


def run(
    start: Callable[[], Handler[T, list[Outcome]]],
    tasks: Iterable[T | Outcome],
    jobs: int,
    place: Place,
    progress: Progress,
) -> RunSummary:
    """Do ``tasks`` and put what comes of them in its place; failures are said and counted.

    An `Outcome` among the tasks stands for a page that needs no work. Tasks are taken one by one,
    as workers become free. Raises what stops the whole run: models that cannot be loaded, an
    output that cannot be written, Ctrl-C. What is finished by then stays.
    """
    with progress:
        tally = _Tally(place, progress)
        feed = _Feed(tasks, place, tally.take)
        results = work(start, feed, jobs, progress.say)
        try:
            for task, result in results:
                if not isinstance(result, Died):
                    for outcome in result:
                        tally.take(outcome)
                elif len(task.pages) > 1:
                    feed.again(task.split())
                else:
                    ((order, key, path),) = task.pages
                    message = f"{path}: the worker process that had this page was killed"
                    tally.take(Outcome(order, key, path, "failed", f"{message} ({result.how})"))
        finally:
            results.close()  # type: ignore[attr-defined]
        place.finish()
    return tally.summary()


class _Feed(Generic[T]):
    """The tasks in turn, each once its pages are ours; first those that must be done again."""

    def __init__(
        self, tasks: Iterable[T | Outcome], place: Place, take: Callable[[Outcome], None]
    ) -> None:
        self._tasks = iter(tasks)
        self._place = place
        self._take = take
        self._ours: deque[T] = deque()

    def again(self, tasks: Sequence[T]) -> None:
        self._ours.extend(tasks)

    def __iter__(self) -> _Feed[T]:
        return self

    def __next__(self) -> T:
        while not self._ours:
            item = next(self._tasks)
            if isinstance(item, Outcome):
                self._take(item)
            else:
                self._claim(item)
        return self._ours.popleft()

    def _claim(self, task: T) -> None:
        taken = self._place.claim([key for _, key, _ in task.pages])
        if not taken:
            self._ours.append(task)
            return
        for part in task.split() if len(task.pages) > 1 else [task]:
            ((order, key, path),) = part.pages
            if key in taken:
                message = f"{path}: another run ({taken[key]}) has this page in hand"
                self._take(Outcome(order, key, path, "busy", message))
            else:
                self._ours.append(part)


class _Tally:
    """Puts outcomes in their place, says what must be said and counts."""

    def __init__(self, place: Place, progress: Progress) -> None:
        self._place = place
        self._progress = progress
        self._begun = time.monotonic()
        self._counts: Counter[str] = Counter()
        self._failed: list[tuple[str, str]] = []
        self._given_up: list[tuple[str, str]] = []
        self._explained: list[str] = []
        self._left_out: dict[str, tuple[int, tuple[str, ...]]] = {}

    def take(self, outcome: Outcome) -> None:
        for notice in outcome.notices:
            self._progress.say(notice)
        outcome = self._place.put(outcome)
        if outcome.state in ("failed", "busy"):
            self._progress.say(f"ensemble-htr: error: {outcome.message}")
            self._failed.append((outcome.path, outcome.message))
        elif outcome.state == "given up":
            self._given_up.append((outcome.path, outcome.message))
        if outcome.state == "skipped" and outcome.lines:  # a part: no page
            self._counts["before"] += outcome.lines
        else:
            self._counts[outcome.state] += 1
            self._counts["lines"] += outcome.lines
        self._counts["kept"] += outcome.kept
        self._explained += outcome.explained
        for engine, line in outcome.left_out:
            count, lines = self._left_out.get(engine, (0, ()))
            self._left_out[engine] = count + 1, (*lines, line)[:_EXAMPLES]
        self._progress.advance(outcome.lines, outcome.state == "done")

    def summary(self) -> RunSummary:
        return RunSummary(
            done=self._counts["done"],
            skipped=self._counts["skipped"],
            failed=tuple(self._failed),
            lines=self._counts["lines"],
            seconds=time.monotonic() - self._begun,
            kept=self._counts["kept"],
            explained=tuple(self._explained),
            given_up=tuple(self._given_up),
            before=self._counts["before"],
            left_out=self._left_out,
        )


def cores() -> int:
    """Processes to use by default: the cores that we may use, at most eight."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(_MOST_JOBS, usable or 1))


def formats_argument(value: str | None) -> tuple[str, ...] | None:
    """``page,txt`` as format names, each once; raises `UsageError` for an unknown one."""
    from ensemble_htr.io.write import writer

    if value is None:
        return None
    names = [name.strip().lower() for name in value.split(",") if name.strip()]
    if not names:
        raise UsageError("--format names no format; wanted for example page,txt")
    return tuple(dict.fromkeys(writer(name).name for name in names))
