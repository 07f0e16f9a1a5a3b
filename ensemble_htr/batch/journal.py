"""The journal of an output folder: which pages are finished, and from what they were made.

One SQLite file, ``OUT/.ensemble-htr/journal.sqlite``, written by the parent process only, without
write-ahead log (so that it is one file, and works on network drives).
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from ensemble_htr.errors import OutputError

__all__ = ["Journal", "require_writable"]

_TABLE = """CREATE TABLE IF NOT EXISTS pages (
    key TEXT PRIMARY KEY,        -- stem of the page
    fingerprint TEXT NOT NULL,   -- sha256 over image, XML, models and options
    outputs TEXT NOT NULL,       -- JSON list of file names in OUT
    lines INTEGER NOT NULL,
    seconds REAL NOT NULL
)"""
_WAIT = 30.0  # seconds for another run (a shard) to finish its write


class Journal:
    """Open it with `Journal.open`, close it, or use it as a context manager."""

    def __init__(self, out: Path, base: sqlite3.Connection, say: Callable[[str], object]) -> None:
        self._out = out
        self._base: sqlite3.Connection | None = base
        self._say = say

    @classmethod
    def open(cls, out: Path, say: Callable[[str], object]) -> Journal:
        """Open or begin the journal of ``out`` (made if missing). A journal that is no database or
        is damaged is put aside, said and begun anew. Raises `OutputError`."""
        require_writable(out)
        path = out / ".ensemble-htr" / "journal.sqlite"
        try:
            path.parent.mkdir(exist_ok=True)
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
        return cls(out, base, say)

    def finished(self, key: str) -> str:
        """The fingerprint that page ``key`` was finished with; "" if it was not, or if one of its
        output files is no longer there."""
        if self._base is None:
            return ""
        query = "SELECT fingerprint, outputs FROM pages WHERE key = ?"
        try:
            row = self._base.execute(query, (key,)).fetchone()
            names = json.loads(row[1]) if row else []
        except (sqlite3.Error, ValueError) as error:
            self._give_up(error)
            return ""
        if not names or not all((self._out / name).is_file() for name in names):
            return ""
        return str(row[0])

    def record(
        self, key: str, fingerprint: str, outputs: Sequence[str], lines: int, seconds: float
    ) -> None:
        """Page ``key`` is finished: its ``outputs`` (names in OUT) are on disk."""
        if self._base is None:
            return
        row = key, fingerprint, json.dumps(list(outputs)), lines, seconds
        try:
            with self._base:
                self._base.execute("INSERT OR REPLACE INTO pages VALUES (?, ?, ?, ?, ?)", row)
        except sqlite3.Error as error:
            self._give_up(error)

    def close(self) -> None:
        if self._base is not None:
            self._base.close()
            self._base = None

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _give_up(self, error: Exception) -> None:
        """Results matter more than the journal: go on without it."""
        self._say(f"the journal of {self._out} fails ({error}): pages of this run that it does not "
                  "know will be read again next time")  # fmt: skip
        self.close()


def _connect(path: Path) -> sqlite3.Connection:
    base = sqlite3.connect(path, timeout=_WAIT)
    try:
        base.execute("PRAGMA journal_mode = DELETE")
        with base:
            base.execute(_TABLE)
        base.execute("SELECT key, fingerprint, outputs, lines, seconds FROM pages").fetchone()
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


def require_writable(out: Path) -> None:
    """Make the folder ``out`` if it is missing; raises `OutputError` if it takes no files."""
    import tempfile

    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        if out.exists() and not out.is_dir():
            reason = "it is a file, wanted a folder"
        raise OutputError(
            f"{out}: nothing can be written there: {reason}; "
            "choose an output folder that you may write to"
        ) from None
