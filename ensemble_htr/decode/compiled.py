"""The way from the beam search's Python objects to its compiled form and back."""

from __future__ import annotations

import math
from types import ModuleType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ensemble_htr import jit
from ensemble_htr.protocols import TabularLanguageModel
from ensemble_htr.text import is_number, is_run
from ensemble_htr.types import NGramTables

__all__ = ["FrameArrays", "Limits", "Symbols", "decode", "kernel", "symbols"]

FrameArrays = tuple[
    NDArray[np.float64],  # (frames,) probability of the blank
    NDArray[np.int64],  # (frames + 1,) where the symbols of each begin
    NDArray[np.int32],  # their columns
    NDArray[np.float64],  # their probabilities, the highest of a frame first
    NDArray[np.float64],  # (frames,) log-probability of a run of blanks
]
Symbols = tuple[NDArray[np.int32], NDArray[np.bool_], NDArray[np.int32]]


class Limits(NamedTuple):
    """What bounds and weighs the search; ``margin`` and ``reach`` are factors, not logarithms."""

    width: int
    margin: float
    reach: float
    alpha: float  # 0 = no language model
    beta: float
    neutral: float


_REAL, _CODE = np.zeros(1, np.float32), np.zeros(2, np.int32)
_NOTHING = NGramTables(_REAL, _REAL, _CODE, _CODE, _CODE, _CODE, 0)  # of no language model


def kernel() -> ModuleType | None:
    """`decode.kernel`, or None where numba is not to be had."""
    return jit.load("ensemble_htr.decode.kernel") if jit.available() else None


def symbols(
    alphabet: tuple[str, ...], lm: TabularLanguageModel | None, digits: bool, runs: bool
) -> Symbols:
    """By column (0 = blank): the model's id, whether it is an exempt digit, and from how many
    repeats on it is an exempt run (0: never)."""
    tokens = ("", *alphabet)
    ids = [0 if lm is None or not t else lm.id_of(t) for t in tokens]
    repeats = [next((n for n in (2, 3) if runs and t and is_run(t, n)), 0) for t in tokens]
    exempt = [bool(digits and t and is_number(t)) for t in tokens]
    return np.array(ids, np.int32), np.array(exempt), np.array(repeats, np.int32)


def decode(
    search: ModuleType,
    frames: FrameArrays,
    known: Symbols,
    limits: Limits,
    lm: TabularLanguageModel | None,
    end: float,
) -> list[tuple[float, list[int]]]:
    """Log scores and columns of the last beam, best first. ``search`` is the answer of `kernel`;
    ``end`` is the weight of the model's opinion on where the line ends."""
    tables = _NOTHING if lm is None else lm.tables
    parent, column, beam, mass, context, log_scale = search.search(*frames, *known, limits, tables)
    scored = []
    for node, m, state in zip(beam.tolist(), mass.tolist(), context.tolist(), strict=True):
        columns: list[int] = []
        while node:
            columns.append(int(column[node]))
            node = int(parent[node])
        score = log_scale + (math.log(m) if m > 0 else -math.inf)
        if lm is not None and end:
            score += end * lm.end(state)
        scored.append((score, columns[::-1]))
    return sorted(scored, key=lambda found: found[0], reverse=True)
