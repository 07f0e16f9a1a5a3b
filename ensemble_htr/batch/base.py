"""What our small SQLite files have in common."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["raw", "told", "transaction"]


@contextmanager
def transaction(base: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All or nothing; others wait until it ends."""
    base.execute("BEGIN IMMEDIATE")
    try:
        yield base
    except BaseException:
        if base.in_transaction:
            base.execute("ROLLBACK")
        raise
    base.execute("COMMIT")


def raw(value: object) -> object:
    """A value as SQLite may hold it: the name of a file need not be UTF-8."""
    if isinstance(value, str) and not value.isascii():
        data = value.encode("utf-8", "surrogatepass")
        return value if data.decode("utf-8", "replace") == value else data
    return value


def told(value: object) -> object:
    """What `raw` was given."""
    return value.decode("utf-8", "surrogatepass") if isinstance(value, bytes) else value
