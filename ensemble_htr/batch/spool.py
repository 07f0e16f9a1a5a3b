"""Parts of one file that come in any order, kept on disk until all are there.

One SQLite file, ``OUT/.ensemble-htr/parts.sqlite``: a part is in it whole or not at all, and a run
that was killed finds there what it had done. It is gone once the files are joined.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from ensemble_htr.errors import OutputError
from ensemble_htr.files import atomic_stream

__all__ = ["Spool"]

_TABLES = (
    "CREATE TABLE IF NOT EXISTS job (name TEXT PRIMARY KEY)",
    "CREATE TABLE IF NOT EXISTS parts (position INTEGER, format TEXT, lines INTEGER, data BLOB, "
    "PRIMARY KEY (position, format))",
)
_WAIT = 60.0  # seconds for another shard to finish its write

T = TypeVar("T")


class Spool:
    """The parts of ``job``, a name for all that decides them; parts of another job are dropped.

    Several processes may add to one spool: the first of them calls ``begin``, before any other
    can add. Every method raises `OutputError` in one line.
    """

    def __init__(self, path: Path, job: str, begin: Callable[[], None] = lambda: None) -> None:
        self._path = path
        self._job = job
        self._begin = begin
        try:
            self._base = self._connect()
        except sqlite3.OperationalError as error:  # locked, full: not a matter of its content
            raise self._refused(error) from None
        except sqlite3.DatabaseError:  # damaged: what it held is lost, and made again
            path.unlink()
            self._base = self._guarded(self._connect)

    def positions(self) -> dict[int, int]:
        """The parts that are there, and the lines in each."""
        query = "SELECT DISTINCT position, lines FROM parts"
        return dict(self._guarded(lambda: self._base.execute(query).fetchall()))

    def add(self, position: int, parts: Sequence[tuple[str, bytes]], lines: int) -> None:
        """Keep what stands at ``position`` in the file of each format."""

        def change() -> None:
            with self._base:
                self._base.execute("BEGIN IMMEDIATE")
                if self._base.execute("SELECT name FROM job").fetchall() != [(self._job,)]:
                    raise OutputError(
                        f"{self._path.parent.parent}: another run with other inputs or options "
                        "writes there now; choose another output folder"
                    )
                rows = [(position, name, lines, data) for name, data in parts]
                self._base.executemany("REPLACE INTO parts VALUES (?, ?, ?, ?)", rows)

        self._guarded(change)

    def join(self, out: Path) -> list[str]:
        """Write ``combined.FORMAT`` of each format into ``out``, in order and one part at a time
        in memory; returns their names."""
        found = self._guarded(
            lambda: self._base.execute("SELECT DISTINCT format FROM parts").fetchall()
        )
        for (name,) in found:
            self._guarded(lambda name=name: self._write(out / f"combined.{name}", name))  # type: ignore[misc]
        return [f"combined.{name}" for (name,) in found]

    def close(self, *, remove: bool = False) -> None:
        """Close it; with ``remove`` the parts have served."""
        self._base.close()
        if remove:
            self._path.unlink(missing_ok=True)

    def _write(self, path: Path, name: str) -> None:
        query = "SELECT data FROM parts WHERE format = ? ORDER BY position"
        with atomic_stream(path) as stream:
            for (data,) in self._base.execute(query, (name,)):
                stream.write(data)

    def _connect(self) -> sqlite3.Connection:
        base = sqlite3.connect(self._path, timeout=_WAIT, isolation_level=None)
        try:
            with base:
                base.execute("BEGIN IMMEDIATE")
                for table in _TABLES:
                    base.execute(table)
                if base.execute("SELECT name FROM job").fetchall() != [(self._job,)]:
                    base.execute("DELETE FROM job")
                    base.execute("DELETE FROM parts")
                    self._begin()
                    base.execute("INSERT INTO job VALUES (?)", (self._job,))
        except BaseException:
            base.close()
            raise
        return base

    def _guarded(self, act: Callable[[], T]) -> T:
        try:
            return act()
        except (sqlite3.Error, OSError) as error:
            raise self._refused(error) from None

    def _refused(self, error: Exception) -> OutputError:
        return OutputError(
            f"{self._path}: cannot be written: {error}; make room there, or choose another output "
            "folder"
        )
