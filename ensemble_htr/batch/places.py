"""Where outcomes go: files into a folder, or one stream."""

from __future__ import annotations

import errno
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, Protocol

from ensemble_htr.batch.journal import LINES, Finished, Journal
from ensemble_htr.batch.outcomes import Outcome
from ensemble_htr.batch.spool import Spool
from ensemble_htr.errors import OutputError
from ensemble_htr.files import atomic_write

__all__ = ["Folder", "Place", "Stream"]

_OF_THE_PAGE = (errno.ENAMETOOLONG, errno.EISDIR, errno.EINVAL, errno.EILSEQ)
_IN_MEMORY = 8 << 20  # bytes that wait for their turn in memory; more wait on disk


class Place(Protocol):
    """Where outcomes go."""

    def claim(self, keys: Sequence[str]) -> dict[str, str]:
        """Take pages for this run; returns those that another run has, and who it is."""

    def put(self, outcome: Outcome) -> Outcome:
        """Keep the outcome; returns it as it was kept (a page may fail at last in writing)."""

    def finish(self) -> None:
        """All outcomes are there."""


@dataclass(slots=True)
class Folder:
    """Files into ``out``, known to the journal. Outcomes from order ``first_part`` on are parts:
    they go to the ``spool`` and are joined as ``combined.FORMAT`` when all ``expected`` are there,
    or have failed (0: they were joined before, and stay as they are)."""

    out: Path
    journal: Journal | None = None
    spool: Spool | None = None
    first_part: int = 0
    expected: int = 0
    joined: Finished = field(default_factory=Finished)  # what the joined files are known by
    _failed: int = 0

    def claim(self, keys: Sequence[str]) -> dict[str, str]:
        return {} if self.journal is None else self.journal.claim(keys)

    def put(self, outcome: Outcome) -> Outcome:
        if outcome.state == "done":
            outcome = self._written(outcome)
        if self._is_part(outcome):
            self._failed += outcome.state == "failed"
            if self.journal is not None:
                self.journal.release(outcome.key)
        elif self.journal is not None:
            _note(self.journal, outcome)
        return outcome

    def finish(self) -> None:
        if self.spool is None:
            return
        found = self.spool.positions()
        if not self.expected:
            self.spool.close(remove=True)
            return
        if len(found) + self._failed < self.expected:
            self.spool.close()
            return
        names = self.spool.join(self.out)
        whole = len(found) == self.expected
        if whole and self.journal is not None and names:
            self.journal.record(LINES, self.joined, names, sum(found.values()), 0.0)
        self.spool.close(remove=whole)

    def _written(self, outcome: Outcome) -> Outcome:
        try:
            for name, data in outcome.files:
                atomic_write(self.out / name, data)
        except OutputError as error:
            if getattr(error.__cause__, "errno", None) not in _OF_THE_PAGE:
                raise  # the next page would fare no better
            message = f"{outcome.path}: {error}"
            return replace(outcome, state="failed", message=message, files=(), parts=(), lines=0)
        if self.spool is not None and self._is_part(outcome):
            self.spool.add(outcome.order, outcome.parts, outcome.lines)
        return outcome

    def _is_part(self, outcome: Outcome) -> bool:
        return self.spool is not None and outcome.order >= self.first_part


def _note(journal: Journal, outcome: Outcome) -> None:
    """Tell the journal what became of a page."""
    if outcome.state == "done":
        names = [name for name, _ in outcome.files]
        finished = Finished(outcome.fingerprint, outcome.stamp)
        journal.record(outcome.key, finished, names, outcome.lines, outcome.seconds)
    elif outcome.state == "failed":
        journal.failed(outcome.key, outcome.path, outcome.message, outcome.stamp)
    elif outcome.state == "skipped":
        if outcome.stamp:
            journal.restamp(outcome.key, outcome.stamp)
        if outcome.fingerprint:  # it was looked into, hence leased
            journal.release(outcome.key)


@dataclass(slots=True)
class Stream:
    """Parts to one stream, in order: a page waits, on disk if need be, for those before it."""

    stream: BinaryIO = field(default_factory=lambda: sys.stdout.buffer)
    _next: int = 0
    _waiting: dict[int, tuple[int, int]] = field(default_factory=dict)  # start and length in:
    _store: tempfile.SpooledTemporaryFile[bytes] = field(
        default_factory=lambda: tempfile.SpooledTemporaryFile(_IN_MEMORY)
    )

    def claim(self, keys: Sequence[str]) -> dict[str, str]:
        return {}

    def put(self, outcome: Outcome) -> Outcome:
        data = b"".join(data for _, data in outcome.parts)
        if outcome.order == self._next:
            self.stream.write(data)
            self._next += 1
            while self._next in self._waiting:
                self._release(self._next)
                self._next += 1
            self.stream.flush()
        else:
            start = self._store.seek(0, 2)
            self._store.write(data)
            self._waiting[outcome.order] = start, len(data)
        return outcome

    def finish(self) -> None:
        for order in sorted(self._waiting):
            self._release(order)
        self.stream.flush()
        self._store.close()

    def _release(self, order: int) -> None:
        start, length = self._waiting.pop(order)
        self._store.seek(start)
        self.stream.write(self._store.read(length))
        if not self._waiting:
            self._store.seek(0)
            self._store.truncate()
