"""Work spread over processes that may be killed without taking the run with them.

Each worker has a pipe of its own and one task at a time, so that a worker's death (the system's
memory killer, a crash in native code) costs the task in flight and nothing else; that is what
``concurrent.futures`` does not give, whose pool breaks as a whole. Workers compute, the parent
writes: a worker can be stopped at any moment and leaves nothing half-written.
"""

from __future__ import annotations

import itertools
import os
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from ensemble_htr.errors import EnsembleError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

__all__ = ["DEBUG_VARIABLE", "Died", "Handler", "explanation", "work"]

DEBUG_VARIABLE = "ENSEMBLE_HTR_DEBUG"
_THREADS = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS", "OPENCV_FOR_THREADS_NUM",
)  # fmt: skip

T = TypeVar("T")
R = TypeVar("R")
T_contra = TypeVar("T_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)


class Handler(Protocol[T_contra, R_co]):
    """What a worker builds once and then gives its tasks to. ``notices`` are said once."""

    notices: list[str]

    def __call__(self, task: T_contra, /) -> R_co: ...


@dataclass(frozen=True, slots=True)
class Died:
    """In place of a result: the worker that had the task is gone, and how."""

    how: str


def work(
    start: Callable[[], Handler[T, R]],
    tasks: Iterable[T],
    jobs: int,
    notify: Callable[[str], object],
) -> Iterator[tuple[T, R | Died]]:
    """Give every task to a handler that ``start`` builds; results come as they are ready.

    With ``jobs`` 1 (or one task) all happens in this process, in order. Else up to ``jobs``
    processes of one thread each are spawned; ``start``, tasks and results must then be picklable.
    A task is taken from ``tasks`` when somebody is free to do it; an iterator that has ended is
    asked again as long as results come in. Closing the generator stops the workers at once. Raises
    what ``start`` raises (as `EnsembleError`).
    """
    source = iter(tasks)
    first = list(itertools.islice(source, 1 if jobs == 1 else 2))
    if len(first) < 2:
        handler = start() if first else None
        for task in itertools.chain(first, source):
            assert handler is not None
            for notice in handler.notices:
                notify(notice)
            handler.notices = []
            yield task, handler(task)
        return
    pool: _Pool[T, R] = _Pool(start, jobs, notify)
    try:
        yield from pool.results(first, source)
    finally:
        pool.close()


def explanation(error: BaseException) -> str:
    """One line for an error of any kind; the traceback goes to stderr on demand."""
    if isinstance(error, EnsembleError):
        return str(error)
    if os.environ.get(DEBUG_VARIABLE):
        traceback.print_exception(error)
    if isinstance(error, MemoryError):
        return "not enough memory; fewer --jobs need less"
    name = type(error).__name__
    return f"unexpected {name}: {error}; run with {DEBUG_VARIABLE}=1 for the traceback"


@dataclass(slots=True)
class _Member(Generic[T]):
    process: BaseProcess
    connection: Connection[Any, Any]
    ready: bool = False
    task: T | None = None


class _Pool(Generic[T, R]):
    def __init__(
        self, start: Callable[[], Handler[T, R]], jobs: int, notify: Callable[[str], object]
    ) -> None:
        self._start = start
        self._jobs = jobs
        self._notify = notify
        self._members: list[_Member[T]] = []
        self._told = False

    def results(self, first: Iterable[T], source: Iterator[T]) -> Iterator[tuple[T, R | Died]]:
        from multiprocessing.connection import wait

        queue = deque(first)
        while True:
            self._staff(queue, source)
            if not queue and all(m.task is None for m in self._members):
                return
            readable = wait([member.connection for member in self._members])
            for member in [m for m in self._members if m.connection in readable]:
                try:
                    kind, value = member.connection.recv()
                except (EOFError, OSError):
                    task, death = member.task, self._bury(member)
                    if task is not None:
                        yield task, death
                    continue
                if kind == "done":
                    assert member.task is not None
                    task, member.task = member.task, None
                    yield task, value
                else:
                    self._greet(member, kind, value)

    def _staff(self, queue: deque[T], source: Iterator[T]) -> None:
        """Take as many tasks as there are hands, hire where hands are missing, hand out."""
        while True:
            idle = [member for member in self._members if member.task is None]
            room = len(self._members) < self._jobs
            queue.extend(itertools.islice(source, max(0, len(idle) + room - len(queue))))
            if not room or len(queue) <= len(idle):
                break
            self._hire()
        for member in idle:
            if queue and member.ready:
                self._give(member, queue)

    def close(self) -> None:
        """Stop all workers now; they have nothing to lose."""
        for member in self._members:
            member.process.terminate()
            member.connection.close()
        for member in self._members:
            member.process.join(2.0)
            if member.process.is_alive():
                member.process.kill()
                member.process.join()
        self._members = []

    def _hire(self) -> None:
        import multiprocessing

        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(self._start, theirs), daemon=True)
        with _one_thread(), _no_interrupts():
            process.start()
        theirs.close()  # so that we see the end of the pipe when the worker is gone
        self._members.append(_Member(process, ours))

    def _give(self, member: _Member[T], queue: deque[T]) -> None:
        try:
            member.connection.send(queue[0])
        except OSError:
            return  # gone since; its end of the pipe tells so next
        member.task = queue.popleft()

    def _greet(self, member: _Member[T], kind: str, value: Any) -> None:
        if kind == "refused":
            code, message = value
            error = EnsembleError(message)
            error.exit_code = code
            raise error
        member.ready = True
        if not self._told:
            for notice in value:
                self._notify(notice)
        self._told = True

    def _bury(self, member: _Member[T]) -> Died:
        """Take a dead worker out; raises if it died before its first task."""
        member.connection.close()
        member.process.join(5.0)
        self._members.remove(member)
        code = member.process.exitcode
        how = f"status {code}"
        if code is not None and code < 0:
            how = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        hint = "; out of memory? fewer --jobs need less" if code == -signal.SIGKILL else ""
        if not member.ready:
            raise EnsembleError(f"a worker process ended while it loaded the models ({how}{hint})")
        return Died(f"{how}{hint}")


def _serve(start: Callable[[], Handler[Any, Any]], connection: Connection[Any, Any]) -> None:
    """A worker's life: build the handler, then task by task until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    try:
        try:
            handler = start()
        except Exception as error:
            code = error.exit_code if isinstance(error, EnsembleError) else 1
            connection.send(("refused", (code, explanation(error))))
            return
        connection.send(("ready", handler.notices))
        while True:
            connection.send(("done", handler(connection.recv())))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent is done, or gone


@contextmanager
def _one_thread() -> Iterator[None]:
    """The environment of a process that keeps to one thread; numerical libraries look at it when
    they are loaded, hence before the process starts."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """A process started here ignores Ctrl-C from its first moment on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
