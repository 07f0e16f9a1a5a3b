"""Writing files so that a reader never sees half of one, reading small ones that may be hostile."""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ensemble_htr.errors import OutputError

__all__ = [
    "MAX_BYTES",
    "atomic_stream",
    "atomic_write",
    "is_temporary",
    "read_small",
    "regular_size",
    "temporary_name",
]

MAX_BYTES = 4 << 20  # of a recipe, a lock or a card: the longest of ours has 5 kB

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def atomic_write(path: Path, data: bytes | str) -> None:
    """Write ``data`` (text as UTF-8) to a temporary name beside ``path``, then rename it there.

    Missing parent folders are made. An existing file is replaced whole; what is there and is no
    regular file (``/dev/stdout``, a named pipe) is written to as it is, and a link is followed.
    Raises `OutputError` in one line; whatever stood at ``path`` before is then still whole.
    """
    with atomic_stream(path) as stream:
        stream.write(data.encode("utf-8") if isinstance(data, str) else data)


@contextmanager
def atomic_stream(path: Path) -> Iterator[BinaryIO]:
    """As `atomic_write`, for what comes piece by piece: the file is there when the block ends, and
    not at all where it raises."""
    path = _behind_links(path)
    temporary = path.parent / temporary_name()
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            with open(path, "wb") as stream:
                yield stream
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "xb") as stream:
                yield stream
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        advice = "choose an output folder that you may write to"
        if error.errno in _FULL:
            advice = "make room there, or choose another output folder"
        reason = error.strerror or error
        raise OutputError(f"{path}: cannot be written: {reason}; {advice}") from error


def read_small(path: Path) -> bytes:
    """What a regular file of at most `MAX_BYTES` holds; raises `OSError` for any other."""
    regular_size(path)
    with path.open("rb") as stream:
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise OSError(errno.EFBIG, f"it is larger than {MAX_BYTES >> 20} MiB")
    return data


def regular_size(path: Path) -> int:
    """The bytes of a regular file, links followed; raises `OSError` for any other, a pipe or a
    device, which might be read without end."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "no regular file")
    return found.st_size


def temporary_name() -> str:
    """A new hidden name; what bears one is nobody's once the process that made it is gone."""
    return f".{secrets.token_hex(8)}.tmp"


def is_temporary(name: str) -> bool:
    """Whether `temporary_name` gives such names."""
    return re.fullmatch(r"\.[0-9a-f]{16}\.tmp", name) is not None


def _behind_links(path: Path) -> Path:
    """The file that a link leads to, so that the link stays one; ``path`` itself if it is none."""
    try:
        return path.resolve() if path.is_symlink() and path.is_file() else path
    except (OSError, RuntimeError):  # a loop of links
        return path
