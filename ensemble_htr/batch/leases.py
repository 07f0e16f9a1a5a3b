"""Who is at work in an output folder, on which pages, and whether they still live.

One SQLite file, ``OUT/.ensemble-htr/leases.sqlite``. It holds nothing that must outlive a power
cut, so it need not wait for the disk, as the journal must. A run is named by its machine, process
and moment, so that a lease of a run that was killed is known as dead at once on the same machine.
Of a run on another machine (an output folder on a network drive) only its heartbeat can tell.
"""

from __future__ import annotations

import functools
import os
import secrets
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from ensemble_htr.batch.base import raw, transaction

__all__ = ["BEAT", "EXPIRY", "Leases", "Run"]

BEAT = 30.0  # seconds between heartbeats
EXPIRY = 600.0  # seconds of silence after which a run elsewhere counts as dead

_TABLES = (
    "CREATE TABLE IF NOT EXISTS leases (key PRIMARY KEY, run TEXT NOT NULL)",
    """CREATE TABLE IF NOT EXISTS runs (
        id TEXT PRIMARY KEY, host TEXT, boot TEXT, pid INTEGER, started TEXT, beat REAL)""",
)
_HOLDER = "SELECT runs.* FROM leases JOIN runs ON leases.run = runs.id WHERE key = ?"
_WAIT = 60.0  # seconds for another run to finish its write


class Leases:
    """Of one run, from its entry (the constructor) to `close`.

    ``alone`` is called, while nobody else can enter, if no other run is at work: then what looks
    half-written is nobody's. The leases of runs that were killed are forgotten. Raises
    `sqlite3.Error` and `OSError`.
    """

    def __init__(self, path: Path, alone: Callable[[], object]) -> None:
        self._run = Run.own()
        self._path = path
        self._ended = threading.Event()
        try:
            self._base = self._enter(alone)
        except sqlite3.OperationalError:  # locked, full: not a matter of its content
            raise
        except sqlite3.DatabaseError:  # after a power cut: nobody in it can be alive
            path.unlink(missing_ok=True)
            self._base = self._enter(alone)
        threading.Thread(target=self._live, daemon=True).start()

    def claim(self, keys: Sequence[str]) -> dict[str, str]:
        """Lease the pages to this run; those that another living run has are returned with who
        it is."""
        taken: dict[str, str] = {}
        with transaction(self._base) as base:
            for key in keys:
                row = base.execute(_HOLDER, (raw(key),)).fetchone()
                holder = Run(*row) if row and row[0] != self._run.id else None
                if holder is not None and holder.alive():
                    taken[key] = str(holder)
                else:
                    base.execute("REPLACE INTO leases VALUES (?, ?)", (raw(key), self._run.id))
        return taken

    def release(self, key: str) -> None:
        """The page is done with."""
        self._base.execute("DELETE FROM leases WHERE key = ?", (raw(key),))

    def close(self) -> None:
        """Give back all that this run still has."""
        self._ended.set()
        try:
            with transaction(self._base) as base:
                _forget(base, self._run.id)
        finally:
            self._base.close()

    def _enter(self, alone: Callable[[], object]) -> sqlite3.Connection:
        base = _connect(self._path)
        try:
            with transaction(base):
                for table in _TABLES:
                    base.execute(table)
                others = [Run(*row) for row in base.execute("SELECT * FROM runs").fetchall()]
                for other in others:
                    if not other.alive():
                        _forget(base, other.id)
                values = astuple(self._run)
                base.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?)", values)
                if not any(other.alive() for other in others):
                    alone()
        except BaseException:
            base.close()
            raise
        return base

    def _live(self) -> None:
        """The heartbeat, in a thread with a connection of its own."""
        while not self._ended.wait(BEAT):
            try:
                base = _connect(self._path)
                base.execute("UPDATE runs SET beat = ? WHERE id = ?", (time.time(), self._run.id))
                base.close()
            except sqlite3.Error:
                continue  # who claims a page next will say what is wrong


def _connect(path: Path) -> sqlite3.Connection:
    base = sqlite3.connect(path, timeout=_WAIT, isolation_level=None)
    base.execute("PRAGMA synchronous = OFF")
    base.execute("PRAGMA journal_mode = TRUNCATE")
    return base


def _forget(base: sqlite3.Connection, run: str) -> None:
    base.execute("DELETE FROM leases WHERE run = ?", (run,))
    base.execute("DELETE FROM runs WHERE id = ?", (run,))


@dataclass(frozen=True, slots=True)
class Run:
    """One process that works in an output folder. ``boot`` and ``started`` are "" where the system
    does not tell them; ``beat`` is seconds since the epoch."""

    id: str
    host: str  # name of the machine, and of the container in it
    boot: str
    pid: int
    started: str  # clock ticks since boot
    beat: float

    @classmethod
    def own(cls) -> Run:
        """This process, from now on."""
        pid = os.getpid()
        return cls(secrets.token_hex(8), _host(), _boot(), pid, _started(pid), time.time())

    def alive(self) -> bool:
        """Whether the run can still be at work."""
        fresh = abs(time.time() - self.beat) < EXPIRY
        if self.host != _host():
            return fresh
        if self.boot and self.started:
            return self.boot == _boot() and self.started == _started(self.pid)
        return fresh and _exists(self.pid)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host.partition(' ')[0]}"


@functools.cache
def _host() -> str:
    import platform

    try:
        space = os.readlink("/proc/self/ns/pid")  # process ids mean something within it only
    except OSError:
        space = ""
    return f"{platform.node()} {space}".strip()


@functools.cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When the process began, in clock ticks since boot; "" if it is gone, a zombie or untold."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in (b"Z", b"X") else fields[19].decode()


def _exists(pid: int) -> bool:
    if sys.platform == "win32":
        return True  # the heartbeat must do
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
