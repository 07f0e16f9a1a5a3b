"""A list of names as one file of flat arrays, mapped into memory: no pickle, nothing believed
before it is measured.

``EHTRLEX1``, the length of a JSON head (uint32, little-endian), the head (name, array -> type,
offset, length), the arrays, each at a multiple of 64 bytes. Keys are numbered by length, then hash.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ensemble_htr.errors import AssetError
from ensemble_htr.lexicon.keys import MOST

__all__ = ["ARRAYS", "read", "write"]

MAGIC = b"EHTRLEX1"
_HEAD = 1 << 16  # bytes of the JSON head, at most
ARRAYS: Mapping[str, str] = {
    "starts": "<u4",  # (MOST + 2): the first key of each length
    "hash": "<u8",  # (keys): within a length in order
    "key": "<u4",  # (keys + 1): places in key_text
    "key_text": "|u1",  # UTF-8
    "signature": "<u8",  # (keys)
    "segment": "<u4",  # (3 * keys): see `near.index`
    "number": "<u4",  # (3 * keys)
    "members": "<u4",  # (keys + 1): places in member
    "member": "<u4",  # entries of each key, the most frequent first
    "entry": "<u4",  # (entries + 1): places in entry_text
    "entry_text": "|u1",
    "count": "<f4",  # (entries)
}
Arrays = dict[str, NDArray[Any]]


def write(file: BinaryIO, name: str, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write the arrays of a list called ``name``."""
    stored = {key: np.ascontiguousarray(arrays[key], kind) for key, kind in ARRAYS.items()}
    table, place = {}, 0
    for key, array in stored.items():
        table[key] = [ARRAYS[key], place, len(array)]
        place += -(-array.nbytes // 64) * 64
    head = json.dumps({"name": name, "arrays": table}, ensure_ascii=False).encode()
    head += b" " * (-(len(MAGIC) + 4 + len(head)) % 64)
    file.write(MAGIC + struct.pack("<I", len(head)) + head)
    for array in stored.values():
        file.write(array.tobytes() + b"\0" * (-array.nbytes % 64))


def read(path: Path) -> tuple[str, Arrays]:
    """The name of a list and its arrays, mapped; raises `AssetError` for what is no such file."""
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise ValueError
            (size,) = struct.unpack("<I", file.read(4))
            if size > _HEAD:
                raise ValueError
            head = json.loads(file.read(size))
        raw = np.memmap(path, np.uint8, "r")
        base = len(MAGIC) + 4 + size
        arrays = {}
        for key, kind in ARRAYS.items():
            found, place, length = head["arrays"][key]
            stop = base + place + length * np.dtype(kind).itemsize
            if found != kind or place < 0 or length < 0 or place % 64 or stop > len(raw):
                raise ValueError
            arrays[key] = np.asarray(raw[base + place : stop].view(kind))
        name = head["name"]
        if not isinstance(name, str) or not _fit(arrays):
            raise ValueError
    except FileNotFoundError:
        raise AssetError(f"{path}: no such lexicon") from None
    except (OSError, ValueError, TypeError, KeyError, struct.error, RecursionError):
        raise AssetError(f"{path}: no lexicon of ours, or damaged; build it again") from None
    return name, arrays


def _fit(a: Arrays) -> bool:
    keys, entries = len(a["hash"]), len(a["count"])
    sizes = {"starts": MOST + 2, "key": keys + 1, "signature": keys, "segment": 3 * keys,
             "number": 3 * keys, "members": keys + 1, "entry": entries + 1}  # fmt: skip
    if any(len(a[name]) != size for name, size in sizes.items()):
        return False
    places = {"starts": keys, "key": len(a["key_text"]), "members": len(a["member"]),
              "entry": len(a["entry_text"])}  # fmt: skip
    if any(a[n][0] or a[n][-1] != end or (np.diff(a[n].astype(np.int64)) < 0).any()
           for n, end in places.items()):  # fmt: skip
        return False
    inside = all(not len(a[n]) or a[n].max() < end for n, end in
                 (("number", max(1, keys)), ("member", max(1, entries))))  # fmt: skip
    return inside and bool(np.isfinite(a["count"]).all()) and not (a["count"] < 0).any()
