"""Keys within two edits of a word, among millions: segments and signatures.

By pigeonhole, of three segments of a key at least one survives two edits, at nearly the same place:
candidates share one (Li, Deng, Wang and Feng 2011, "Pass-Join", section 4: the multi-match-aware
choice of places). Most of them fall by a signature of the letters they hold, the rest is compared.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["LONGEST", "SHORTEST", "allowed", "candidates", "index", "signatures"]

SHORTEST, LONGEST = 3, 40  # characters of a key that has near ones
_TAU = 2
_CLASSES = 32
Codes = NDArray[np.uint32]
_PRIME, _BITS = 0x01000193, 0xFFFFFFFF
_WEIGHTS = np.cumprod(np.full(LONGEST + 3, _PRIME, np.uint32), dtype=np.uint32)
_INVERSE = [pow(_PRIME, -place, 1 << 32) for place in range(LONGEST + 3)]


def allowed(length: int) -> int:
    """Edits that a word of so many letters may be away: more would make other names of it."""
    return 0 if length < 4 else 1 if length < 8 else _TAU


def _segments(length: int) -> list[tuple[int, int]]:
    """Start and stop of the three segments of a key."""
    return [(part * length // 3, (part + 1) * length // 3) for part in range(3)]


def _hash(codes: Codes) -> NDArray[np.uint32]:
    """Of rows of code points ``(n, width)`` one number each; equal rows, equal numbers."""
    mixed = (codes + np.uint32(1)) * _WEIGHTS[: codes.shape[1]]
    return np.asarray(mixed.sum(axis=1, dtype=np.uint32))


def _summed(word: str) -> list[int]:
    """Of each beginning of a word its `_hash`, not cut to 32 bits: that of ``word[a:b]`` is their
    difference at ``b`` and ``a`` over the prime to the ``a``, modulo 2 ** 32."""
    total, found, weight = 0, [0], 1
    for char in word:
        weight = weight * _PRIME & _BITS
        total += (ord(char) + 1) * weight
        found.append(total)
    return found


def signatures(codes: Codes) -> NDArray[np.uint64]:
    """Of rows of code points: bits for letters held once and twice (by class). One edit changes at
    most two of them."""
    found = np.zeros(len(codes), np.uint64)
    once = np.zeros(len(codes), np.uint64)
    for column in codes.T:
        bit = np.left_shift(np.uint64(1), (column % np.uint32(_CLASSES)).astype(np.uint64))
        found |= np.left_shift(once & bit, np.uint64(32))
        once |= bit
    return found | once


def _signature(word: str) -> int:
    """Of a word what `signatures` gives of its code points."""
    once = twice = 0
    for char in word:
        bit = 1 << ord(char) % _CLASSES
        twice |= once & bit
        once |= bit
    return twice << 32 | once


def index(codes: Codes, first: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """For keys of one length, ``(n, length)``, whose numbers begin at ``first``: the sorted hashes
    of their three segments and their numbers in that order, each ``(3, n)``."""
    hashes, order = [], []
    for start, stop in _segments(codes.shape[1]):
        values = _hash(codes[:, start:stop])
        ranked = np.argsort(values, kind="stable")
        hashes.append(values[ranked])
        order.append((ranked + first).astype(np.uint32))
    return np.stack(hashes), np.stack(order)


def candidates(
    word: str,
    starts: Sequence[int],
    hashes: NDArray[np.uint32],
    numbers: NDArray[np.uint32],
    signed: NDArray[np.uint64],
    most: int,
) -> NDArray[np.uint32]:
    """Numbers of all keys within ``most`` <= 2 edits of ``word``, and of some others.

    Keys are numbered by length: those of length ``m`` are ``starts[m]`` to ``starts[m + 1] - 1``,
    and their segments lie at three times that in ``hashes`` and ``numbers`` (see `index`).
    """
    summed = _summed(word)
    found = []
    for length in range(max(SHORTEST, len(word) - most), min(LONGEST, len(word) + most) + 1):
        low, count = starts[length], starts[length + 1] - starts[length]
        shift = len(word) - length
        for part, (start, stop) in enumerate(_segments(length)) if count else ():
            first = max(start - part, start + shift - (_TAU - part), 0)
            last = min(start + part, start + shift + (_TAU - part), len(word) - (stop - start))
            if first > last:
                continue
            asked = [
                (summed[p + stop - start] - summed[p]) * _INVERSE[p] & _BITS
                for p in range(first, last + 1)
            ]
            begin = 3 * low + part * count
            row, wanted = hashes[begin : begin + count], np.array(asked, np.uint32)
            lefts = row.searchsorted(wanted, "left").tolist()
            rights = row.searchsorted(wanted, "right").tolist()
            for left, right in zip(lefts, rights, strict=True):
                if left < right:
                    found.append(numbers[begin + left : begin + right])
    if not found:
        return np.empty(0, np.uint32)
    together = np.concatenate(found)
    unlike = np.bitwise_xor(signed[together], np.uint64(_signature(word)))
    return np.unique(together[_ones(unlike) <= 2 * most])


def _ones(values: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Set bits of each number (NumPy has `bitwise_count` from 2.0 only)."""
    if hasattr(np, "bitwise_count"):
        return np.asarray(np.bitwise_count(values), np.int64)
    bits = np.unpackbits(values.view(np.uint8).reshape(-1, 8), axis=1)
    return np.asarray(bits.sum(axis=1), np.int64)
