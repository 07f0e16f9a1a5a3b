"""Who is at work in an output folder, and whether they still live.

A run is named by its machine, process and moment, so that a lease of a run that was killed is known
as dead at once on the same machine. Of a run on another machine (an output folder on a network
drive) only its heartbeat can tell.
"""

from __future__ import annotations

import functools
import os
import secrets
import sys
import time
from dataclasses import dataclass
from pathlib import Path

__all__ = ["BEAT", "EXPIRY", "Run"]

BEAT = 30.0  # seconds between heartbeats
EXPIRY = 600.0  # seconds of silence after which a run elsewhere counts as dead


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
