"""Writing files so that a reader never sees half of one."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from ensemble_htr.errors import OutputError

__all__ = ["atomic_write"]


def atomic_write(path: Path, data: bytes | str) -> None:
    """Write ``data`` (text as UTF-8) to a temporary name beside ``path``, then rename it there.

    Missing parent folders are made. An existing file is replaced whole; what is there and is no
    regular file (``/dev/stdout``, a named pipe) is written to as it is, and a link is followed.
    Raises `OutputError` in one line; whatever stood at ``path`` before is then still whole.
    """
    raw = data.encode("utf-8") if isinstance(data, str) else data
    path = _behind_links(path)
    temporary = path.parent / f".{secrets.token_hex(8)}.tmp"
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            path.write_bytes(raw)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "xb") as stream:
                stream.write(raw)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written: {error.strerror or error}; "
            "choose an output folder that you may write to"
        ) from None


def _behind_links(path: Path) -> Path:
    """The file that a link leads to, so that the link stays one; ``path`` itself if it is none."""
    try:
        return path.resolve() if path.is_symlink() and path.is_file() else path
    except (OSError, RuntimeError):  # a loop of links
        return path
