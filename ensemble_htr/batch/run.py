"""One run: tasks go to workers, what comes back goes to its place, and the sum is told."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal, Protocol, Self, TypeVar

from ensemble_htr.batch.journal import Journal
from ensemble_htr.batch.pool import Died, Handler, work
from ensemble_htr.batch.progress import Progress
from ensemble_htr.errors import UsageError
from ensemble_htr.io.files import atomic_write
from ensemble_htr.io.results import WriteOptions

__all__ = [
    "STREAMED",
    "Folder",
    "Outcome",
    "Place",
    "RunOptions",
    "RunSummary",
    "Stream",
    "Task",
    "cores",
    "formats_argument",
    "run",
]

STREAMED = ("txt", "jsonl")  # formats that can follow one another in one stream
_MOST_JOBS = 8  # by default: a worker with our recognizers takes about half a gigabyte


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

    @property
    def write(self) -> WriteOptions:
        """What the writers want to know; raises `UsageError` for absurd numbers."""
        return WriteOptions(self.overwrite, self.alternatives, self.glyphs)

    def __post_init__(self) -> None:
        if self.out is None and self.explain is not None:
            raise UsageError("--explain writes to stdout, and so does -o -; give -o a folder")
        if self.out is None and (len(self.formats or ()) != 1 or self.formats[0] not in STREAMED):  # type: ignore[index]
            found = ",".join(self.formats or ()) or "none"
            raise UsageError(f"-o - is one stream: wanted --format txt or jsonl, found {found}")


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What became of the pages. ``failed`` is (path, message), ``explained`` text for stdout."""

    done: int = 0
    skipped: int = 0
    failed: tuple[tuple[str, str], ...] = ()
    lines: int = 0
    seconds: float = 0.0
    kept: int = 0  # lines whose confirmed text stayed in the output
    explained: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        return 1 if self.failed else 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one page (or of some lines without a page).

    ``order`` is its place in the run. ``files`` go into the output folder under their names,
    ``parts`` (format, bytes) into one stream or file together with those of the others.
    """

    order: int
    key: str
    path: str  # how a message names it
    state: Literal["done", "skipped", "failed"] = "done"
    message: str = ""
    fingerprint: str = ""
    files: tuple[tuple[str, bytes], ...] = ()
    parts: tuple[tuple[str, bytes], ...] = ()
    lines: int = 0
    seconds: float = 0.0
    kept: int = 0
    explained: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


class Task(Protocol):
    """A unit of work for one worker; ``split`` cuts it into tasks of one page each."""

    @property
    def pages(self) -> Sequence[tuple[int, str, str]]:
        """Order, key and path of each page."""

    def split(self) -> Sequence[Self]: ...


T = TypeVar("T", bound=Task)


class Place(Protocol):
    """Where outcomes go."""

    def put(self, outcome: Outcome) -> None: ...

    def finish(self) -> None: ...


@dataclass(slots=True)
class Folder:
    """Files into ``out``, known to the journal; parts are joined in order as ``combined.FORMAT``
    when all is done."""

    out: Path
    journal: Journal | None = None
    _parts: dict[str, list[tuple[int, bytes]]] = field(default_factory=dict)

    def put(self, outcome: Outcome) -> None:
        for name, data in outcome.files:
            atomic_write(self.out / name, data)
        if self.journal is not None and outcome.files:
            names = [name for name, _ in outcome.files]
            self.journal.record(
                outcome.key, outcome.fingerprint, names, outcome.lines, outcome.seconds
            )
        for name, data in outcome.parts:
            self._parts.setdefault(name, []).append((outcome.order, data))

    def finish(self) -> None:
        for name, parts in self._parts.items():
            data = b"".join(part for _, part in sorted(parts, key=lambda p: p[0]))
            atomic_write(self.out / f"combined.{name}", data)


@dataclass(slots=True)
class Stream:
    """Parts to one stream, in order: a page waits for those before it."""

    stream: BinaryIO = field(default_factory=lambda: sys.stdout.buffer)
    _next: int = 0
    _waiting: dict[int, bytes] = field(default_factory=dict)

    def put(self, outcome: Outcome) -> None:
        self._waiting[outcome.order] = b"".join(data for _, data in outcome.parts)
        while self._next in self._waiting:
            self.stream.write(self._waiting.pop(self._next))
            self._next += 1
        self.stream.flush()

    def finish(self) -> None:
        for order in sorted(self._waiting):
            self.stream.write(self._waiting[order])
        self.stream.flush()


def run(
    start: Callable[[], Handler[T, list[Outcome]]],
    tasks: Sequence[T],
    jobs: int,
    place: Place,
    unit: str = "page",
) -> RunSummary:
    """Do ``tasks`` and put what comes of them in its place; failures are said and counted.

    Raises what stops the whole run: models that cannot be loaded, an output that cannot be
    written, Ctrl-C. What is finished by then stays.
    """
    begun = time.monotonic()
    seen: list[Outcome] = []
    with Progress(sum(len(task.pages) for task in tasks), unit) as progress:

        def take(outcome: Outcome) -> None:
            for notice in outcome.notices:
                progress.say(notice)
            if outcome.state == "failed":
                progress.say(f"ensemble-htr: error: {outcome.message}")
            place.put(outcome)
            seen.append(_slim(outcome))
            progress.advance(outcome.lines)

        again: Sequence[T] = tasks
        while again:
            again = _round(start, again, jobs, take, progress.say)
        place.finish()
    return RunSummary(
        done=sum(o.state == "done" for o in seen),
        skipped=sum(o.state == "skipped" for o in seen),
        failed=tuple((o.path, o.message) for o in seen if o.state == "failed"),
        lines=sum(o.lines for o in seen),
        seconds=time.monotonic() - begun,
        kept=sum(o.kept for o in seen),
        explained=tuple(text for o in seen for text in o.explained),
    )


def _round(
    start: Callable[[], Handler[T, list[Outcome]]],
    tasks: Sequence[T],
    jobs: int,
    take: Callable[[Outcome], None],
    say: Callable[[str], None],
) -> list[T]:
    """All tasks once; returns what must be tried page by page since a worker died over it."""
    again: list[T] = []
    results = work(start, tasks, jobs, say)
    try:
        for task, result in results:
            if not isinstance(result, Died):
                for outcome in result:
                    take(outcome)
            elif len(task.pages) > 1:
                again += task.split()
            else:
                ((order, key, path),) = task.pages
                message = f"{path}: the worker process that had this page was killed ({result.how})"
                take(Outcome(order, key, path, "failed", message))
    finally:
        results.close()  # type: ignore[attr-defined]
    return again


def _slim(outcome: Outcome) -> Outcome:
    """What the summary needs; the bytes may go."""
    from dataclasses import replace

    return replace(outcome, files=(), parts=(), notices=())


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
