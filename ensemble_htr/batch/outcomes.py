"""The nouns of a run: tasks, what becomes of a page, what became of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, Self

__all__ = ["Outcome", "RunSummary", "State", "Task"]

State = Literal["done", "skipped", "failed", "given up", "busy"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one page (or of some lines without a page).

    ``order`` is its place in the run. ``files`` go into the output folder under their names,
    ``parts`` (format, bytes) into one stream or file together with those of the others. ``given
    up`` failed in earlier runs, ``busy`` is in the hands of another run.
    """

    order: int
    key: str
    path: str  # how a message names it
    state: State = "done"
    message: str = ""
    fingerprint: str = ""
    stamp: str = ""
    files: tuple[tuple[str, bytes], ...] = ()
    parts: tuple[tuple[str, bytes], ...] = ()
    lines: int = 0
    seconds: float = 0.0
    kept: int = 0
    explained: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()  # engine, line whose reading of its was quarantined


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What became of the pages. ``failed`` and ``given_up`` are (path, message), ``explained`` text
    for stdout."""

    done: int = 0
    skipped: int = 0
    failed: tuple[tuple[str, str], ...] = ()
    lines: int = 0
    seconds: float = 0.0
    kept: int = 0  # lines whose confirmed text stayed in the output
    explained: tuple[str, ...] = ()
    given_up: tuple[tuple[str, str], ...] = ()  # failed too often before: not tried
    before: int = 0  # lines of parts that were finished before
    left_out: Mapping[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    """Of each engine how many of its readings were quarantined, and the first lines of them."""

    @property
    def exit_code(self) -> int:
        return 1 if self.failed or self.given_up else 0


class Task(Protocol):
    """A unit of work for one worker; ``split`` cuts it into tasks of one page each."""

    @property
    def pages(self) -> Sequence[tuple[int, str, str]]:
        """Order, key and path of each page."""

    def split(self) -> Sequence[Self]: ...
