"""From entries with counts to a file that can be asked."""

from __future__ import annotations

import atexit
import functools
import hashlib
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble_htr.assets import cache_folder
from ensemble_htr.errors import InputError, OutputError
from ensemble_htr.files import atomic_stream
from ensemble_htr.lexicon import near, store
from ensemble_htr.lexicon.keys import MOST, keys
from ensemble_htr.lexicon.lists import read_entries

__all__ = ["build", "compiled", "hashed"]

_FORM = 1


def hashed(key: str) -> int:
    """64 bits of a key."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little")


def build(entries: Mapping[str, float], name: str, out: Path) -> int:
    """Write the list ``name`` to ``out`` (a temporary name, then renamed); the number of its keys.

    Raises `InputError` if no entry has a letter, `OutputError` if ``out`` cannot be written.
    """
    arrays = _arrays(entries)
    if not len(arrays["hash"]):
        raise InputError(f"lexicon '{name}': no entries; wanted one name a line")
    with atomic_stream(out) as file:
        store.write(file, name, arrays)
    return len(arrays["hash"])


def compiled(path: Path, name: str) -> Path:
    """The file to map for ``path``: itself, or for a list of names its copy in the user's cache,
    named by the list's sha256."""
    if path.suffix == ".lex":
        return path
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); wanted a list") from None
    name_of_copy = f"{digest}.{_FORM}.lex"
    try:
        kept = cache_folder() / name_of_copy
        if not kept.is_file():
            build(read_entries(path), name, kept)
    except (
        OSError,
        OutputError,
        RuntimeError,
    ):  # nowhere to keep it
        kept = _unkept() / name_of_copy
        if not kept.is_file():
            build(read_entries(path), name, kept)
    return kept


@functools.cache
def _unkept() -> Path:
    """A folder that is gone with the process."""
    folder = tempfile.mkdtemp(prefix="ensemble-htr-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _arrays(entries: Mapping[str, float]) -> dict[str, NDArray[Any]]:
    spellings = sorted(entries)
    by_key: dict[str, list[int]] = defaultdict(list)
    for number, spelling in enumerate(spellings):
        for key in keys(spelling):
            by_key[key].append(number)
    for numbers in by_key.values():
        numbers.sort(key=lambda n: (-entries[spellings[n]], n))
    ranked = sorted((len(key), hashed(key), key) for key in by_key)
    names = [key for _, _, key in ranked]
    lengths = np.array([size for size, _, _ in ranked], np.int64)
    starts = np.searchsorted(lengths, np.arange(MOST + 2))
    members = [by_key[key] for key in names]
    return {
        "starts": starts,
        "hash": np.array([value for _, value, _ in ranked], np.uint64),
        **_texts("key", names),
        **_near(names, starts),
        "members": np.cumsum([0, *map(len, members)]),
        "member": np.array([n for group in members for n in group], np.uint32),
        **_texts("entry", spellings),
        "count": np.array([entries[s] for s in spellings], np.float32),
    }


def _texts(name: str, texts: Sequence[str]) -> dict[str, NDArray[Any]]:
    coded = [text.encode() for text in texts]
    places = np.cumsum([0, *map(len, coded)])
    return {name: places, f"{name}_text": np.frombuffer(b"".join(coded), np.uint8)}


def _near(names: Sequence[str], starts: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    signature = np.zeros(len(names), np.uint64)
    segment, number = (np.zeros(3 * len(names), np.uint32) for _ in range(2))
    for length in range(near.SHORTEST, near.LONGEST + 1):
        low, high = int(starts[length]), int(starts[length + 1])
        if low == high:
            continue
        joined = "".join(names[low:high]).encode("utf-32-le")
        codes = np.frombuffer(joined, np.uint32).reshape(high - low, length)
        signature[low:high] = near.signatures(codes)
        hashes, order = near.index(codes, low)
        segment[3 * low : 3 * high], number[3 * low : 3 * high] = hashes.ravel(), order.ravel()
    return {"signature": signature, "segment": segment, "number": number}
