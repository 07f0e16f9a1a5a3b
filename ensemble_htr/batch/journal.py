"""The journal of an output folder: which pages are finished and from what they were made, and which
failed how often. With the leases it is also who is at work on which.

One SQLite file, ``OUT/.ensemble-htr/journal.sqlite``, written by parent processes only, without
write-ahead log (so that it is one file, and works on network drives). Every change is one
transaction: a run that is killed at any moment leaves a whole journal.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ensemble_htr.batch.base import raw, told, transaction
from ensemble_htr.batch.leases import Leases
from ensemble_htr.errors import OutputError
from ensemble_htr.files import is_temporary, temporary_name

__all__ = ["HIDDEN", "LINES", "Attempt", "Finished", "Journal", "require_writable"]

HIDDEN = ".ensemble-htr"
LINES = "/lines"  # the key of all lines without a page together
_TABLES = """
CREATE TABLE IF NOT EXISTS pages (
    key TEXT PRIMARY KEY,        -- stem of the page; with "/" before it something else
    fingerprint TEXT NOT NULL,   -- sha256 over image, XML, models and options
    outputs TEXT NOT NULL,       -- JSON list of file names in OUT
    lines INTEGER NOT NULL,
    seconds REAL NOT NULL,
    stamp TEXT NOT NULL          -- sizes and times of what was read; "" = not to be trusted
);
CREATE TABLE IF NOT EXISTS attempts (
    key TEXT PRIMARY KEY,        -- of a page that failed
    path TEXT NOT NULL,
    error TEXT NOT NULL,         -- the last one
    count INTEGER NOT NULL,      -- of failures in a row, with inputs of this stamp
    stamp TEXT NOT NULL,
    at REAL NOT NULL             -- seconds since the epoch
);
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_PAGE = "SELECT fingerprint, outputs, stamp FROM pages WHERE key = ?"
_FAILED = """INSERT INTO attempts VALUES (?1, ?2, ?3, 1, ?4, ?5) ON CONFLICT (key) DO UPDATE SET
    count = CASE WHEN stamp = excluded.stamp THEN count + 1 ELSE 1 END,
    path = excluded.path, error = excluded.error, stamp = excluded.stamp, at = excluded.at"""
_CHANGED = """INSERT INTO notes VALUES ('changed', '1') ON CONFLICT (name) DO UPDATE SET
    value = CAST(value AS INTEGER) + 1"""
_ATTEMPT = "SELECT key, path, error, count, stamp FROM attempts"
_CHECKS = (_PAGE.replace("= ?", "= ''"), _ATTEMPT, "SELECT name, value FROM notes")
_WAIT = 60.0  # seconds for another run (a shard) to finish its write

Statement = tuple[str, tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Finished:
    """A page that an earlier run finished and whose files are still there ("" = none is known)."""

    fingerprint: str = ""
    stamp: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A page that failed ``count`` times in a row, the last time with ``error``."""

    key: str
    path: str
    error: str
    count: int
    stamp: str


class Journal:
    """Open it with `Journal.open`, close it, or use it as a context manager."""

    def __init__(
        self, out: Path, base: sqlite3.Connection, leases: Leases, say: Callable[[str], object]
    ) -> None:
        self._out = out
        self._base: sqlite3.Connection | None = base
        self._leases: Leases | None = leases
        self._say = say

    @classmethod
    def open(cls, out: Path, say: Callable[[str], object]) -> Journal:
        """Open or begin the journal of ``out`` (made if missing), forget the leases of runs that
        were killed and clear away their temporary files. A journal that is no database or is
        damaged is put aside, said and begun anew. Raises `OutputError`."""
        require_writable(out)
        path = out / HIDDEN / "journal.sqlite"
        try:
            path.parent.mkdir(exist_ok=True)
            leases = Leases(path.with_name("leases.sqlite"), lambda: _clear(out))
            try:
                base = _connect(path)
            except sqlite3.OperationalError:  # locked, read-only: not a matter of its content
                raise
            except sqlite3.DatabaseError as error:
                aside = path.with_name("journal.damaged")
                os.replace(path, aside)
                say(f"{path}: damaged ({error}); put aside, a new one is begun: every page counts "
                    "as unfinished")  # fmt: skip
                base = _connect(path)
        except (OSError, sqlite3.Error) as error:
            raise OutputError(f"{path}: the journal cannot be written: {error}") from None
        return cls(out, base, leases, say)

    # ---- what earlier runs did -----------------------------------------------------------

    def finished(self, key: str) -> Finished:
        """What page ``key`` was finished with; nothing if it was not, or if one of its output
        files is no longer there."""
        row = next(iter(self._read(_PAGE, key)), None)
        return Finished(str(row[0]), str(row[2])) if row and self._there(row[1]) else Finished()

    def other_lines(self) -> int | None:
        """How many lines without a page are finished; None if an output of anything that is
        finished is no longer there."""
        lines = 0
        for key, outputs, count in self._read("SELECT key, outputs, lines FROM pages"):
            if not self._there(outputs):
                return None
            lines += count if key == LINES else 0
        return lines

    def attempts(self) -> dict[str, Attempt]:
        """The pages that failed when they were read last, by key."""
        return {row[0]: Attempt(*row) for row in self._read(f"{_ATTEMPT} ORDER BY rowid")}

    def note(self, name: str) -> str:
        """What `set_note` kept under this name, "" if nothing. ``changed`` is a number that every
        `record` raises."""
        return next((str(row[0]) for row in
                     self._read("SELECT value FROM notes WHERE name = ?", name)), "")  # fmt: skip

    # ---- what this run does --------------------------------------------------------------

    def claim(self, keys: Sequence[str]) -> dict[str, str]:
        """Lease the pages to this run; those that another living run has are returned with who
        it is. Without a journal (it failed) all are ours."""
        try:
            return {} if self._leases is None else self._leases.claim(keys)
        except sqlite3.Error as error:
            self._give_up(error)
            return {}

    def record(
        self, key: str, finished: Finished, outputs: Sequence[str], lines: int, seconds: float
    ) -> None:
        """Page ``key`` is finished: its ``outputs`` (names in OUT) are on disk."""
        row = (key, finished.fingerprint, json.dumps(list(outputs)), lines, seconds, finished.stamp)
        self._write(
            ("REPLACE INTO pages VALUES (?, ?, ?, ?, ?, ?)", row),
            (_CHANGED, ()),
            ("DELETE FROM attempts WHERE key = ?", (key,)),
        )
        self.release(key)

    def forget(self, key: str) -> list[str]:
        """``key`` is no longer finished; returns the names of its outputs, [] if it was not."""
        row = next(iter(self._read(_PAGE, key)), None)
        if row is None:
            return []
        self._write(("DELETE FROM pages WHERE key = ?", (key,)), (_CHANGED, ()))
        with contextlib.suppress(ValueError, TypeError):
            return list(json.loads(row[1]))
        return []

    def restamp(self, key: str, stamp: str) -> None:
        """Page ``key`` is still finished, though its files were touched."""
        self._write(("UPDATE pages SET stamp = ? WHERE key = ?", (stamp, key)))

    def failed(self, key: str, path: str, error: str, stamp: str) -> None:
        """Page ``key`` failed; it no longer counts as finished."""
        self._write(
            (_FAILED, (key, path, error, stamp, time.time())),
            ("DELETE FROM pages WHERE key = ?", (key,)),
        )
        self.release(key)

    def release(self, key: str) -> None:
        """The page is done with; others may have it."""
        try:
            if self._leases is not None:
                self._leases.release(key)
        except sqlite3.Error as error:
            self._give_up(error)

    def set_note(self, name: str, value: str) -> None:
        """Keep a word for later runs."""
        self._write(("REPLACE INTO notes VALUES (?, ?)", (name, value)))

    def close(self) -> None:
        """Give back all leases of this run."""
        leases, self._leases = self._leases, None
        base, self._base = self._base, None
        if leases is not None:
            with contextlib.suppress(sqlite3.Error):  # then their run is seen to be dead
                leases.close()
        if base is not None:
            base.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- inside --------------------------------------------------------------------------

    def _write(self, *statements: Statement) -> None:
        """One transaction; nothing where the journal has failed."""
        if self._base is None:
            return
        try:
            with transaction(self._base) as base:
                for query, values in statements:
                    base.execute(query, tuple(map(raw, values)))
        except sqlite3.Error as error:
            self._give_up(error)

    def _read(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        try:
            if self._base is None:
                return []
            rows = self._base.execute(query, tuple(map(raw, values))).fetchall()
            return [tuple(map(told, row)) for row in rows]
        except sqlite3.Error as error:
            self._give_up(error)
            return []

    def _there(self, outputs: str) -> bool:
        """Whether there are outputs, each of them still a file."""
        try:
            names = json.loads(outputs)
        except ValueError as error:
            self._give_up(error)
            return False
        return bool(names) and all(os.path.isfile(os.path.join(self._out, n)) for n in names)

    def _give_up(self, error: Exception) -> None:
        """Results matter more than the journal: go on without it."""
        self._say(f"the journal of {self._out} fails ({error}): pages of this run that it does not "
                  "know will be read again next time")  # fmt: skip
        self.close()


def _connect(path: Path) -> sqlite3.Connection:
    base = sqlite3.connect(path, timeout=_WAIT, isolation_level=None)
    try:
        base.execute("PRAGMA journal_mode = DELETE")
        with transaction(base):
            for table in _TABLES.split(";\n"):
                base.execute(table)
        for check in _CHECKS:
            base.execute(check).fetchone()
        (state,) = base.execute("PRAGMA quick_check(1)").fetchone()
        if state != "ok":
            raise sqlite3.DatabaseError(state)
    except sqlite3.OperationalError as error:
        base.close()
        if "no such column" in str(error) or "has no column" in str(error):
            raise sqlite3.DatabaseError(str(error)) from None
        raise
    except BaseException:
        base.close()
        raise
    return base


def _clear(out: Path) -> None:
    """Remove what killed runs left half-written."""
    for folder, folders, names in os.walk(out / HIDDEN):
        for name in folders:
            if name.startswith(".merge-"):
                shutil.rmtree(os.path.join(folder, name), ignore_errors=True)
        _clear_files(folder, names)
    with os.scandir(out) as entries:
        _clear_files(out, [entry.name for entry in entries if is_temporary(entry.name)])


def _clear_files(folder: str | Path, names: Iterable[str]) -> None:
    for name in names:
        if is_temporary(name):
            Path(folder, name).unlink(missing_ok=True)


def require_writable(out: Path) -> None:
    """Make the folder ``out`` if it is missing; raises `OutputError` if it takes no files."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        temporary = out / temporary_name()
        temporary.touch(exist_ok=False)
        temporary.unlink(missing_ok=True)  # another shard may have cleared it away
    except OSError as error:
        reason = error.strerror or str(error)
        if out.exists() and not out.is_dir():
            reason = "it is a file, wanted a folder"
        raise OutputError(
            f"{out}: nothing can be written there: {reason}; "
            "choose an output folder that you may write to"
        ) from None
