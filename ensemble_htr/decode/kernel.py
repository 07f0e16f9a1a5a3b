"""The beam search of `decode.beam`, compiled: the same search over flat arrays.

`decode.beam._Search` is the plain account of it and its oracle; this one asks a language model by
its tables (`types.NGramTables`). To import this module is to import numba, and to compile at the
first call; what was compiled is kept in the user's cache folder where that can be written.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ensemble_htr.decode.compiled import Limits
from ensemble_htr.jit import compiled, leaf
from ensemble_htr.types import NGramTables

__all__ = ["ask", "search"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Codes = NDArray[np.int32]


@leaf
def ask(node: int, token: int, tables: NGramTables) -> tuple[float, int]:
    """Natural log-probability of ``token`` after ``node``, and the node after both."""
    total, at = 0.0, 1 + token
    while node != 0:
        low, high = tables.first[node], tables.first[node + 1]
        stop = high
        while low < high:
            middle = (low + high) // 2
            if tables.token[middle] < token:
                low = middle + 1
            else:
                high = middle
        if low < stop and tables.token[low] == token:
            at = low
            break
        total += tables.bow[node]
        node = tables.suffix[node]
    total += tables.logp[at]
    return min(total, 0.0), tables.following[at]


@compiled
def search(
    blank: Floats, start: Ints, columns: Codes, probs: Floats, idle: Floats,
    ids: Codes, digits: NDArray[np.bool_], runs: Codes, limits: Limits, tables: NGramTables,
) -> tuple[Codes, Codes, Ints, Floats, Ints, float]:  # fmt: skip
    """The last beam of a line, best first: ``(parent, column, beam, mass, context, log_scale)``.

    Frame ``i`` has the symbols ``start[i]`` to ``start[i + 1] - 1`` (columns and probabilities, the
    most probable first) and the probability ``blank[i]`` of its blank; without symbols it is a run
    of blanks of log-probability ``idle[i]``. By column: ``ids`` of the model's tokens, ``digits``,
    and ``runs``, the repeats from which on it is a run (0: never). ``beam`` are nodes of the tree
    of all texts met (``parent`` and ``column`` of each; 0 = the empty text), with their masses and
    the model's contexts after them.
    """
    room, count = 1 << 12, 1
    node = np.zeros((6, room), np.int32)  # parent, column, first child, sibling, context, frame
    mass = np.zeros((6, room), np.float64)  # blank, label, both, next blank, next label, factor
    node[5, 0] = -1
    node[4, 0] = tables.start
    mass[0, 0] = mass[2, 0] = mass[5, 0] = 1.0
    beam = np.zeros(1, np.int64)
    log_scale = 0.0
    for frame in range(len(blank)):
        first, last = start[frame], start[frame + 1]
        if first == last:
            log_scale += idle[frame]
            for i in beam:
                mass[0, i], mass[1, i] = mass[2, i], 0.0
            continue
        # a mass that at least `width` candidates reach, as in beam._crowded
        crowded, better = 0.0, 0
        for m in range(1, min(limits.width, last - first + 1) + 1):
            if better == 0 and (m > last - first or blank[frame] >= probs[first + m - 1]):
                p, better = blank[frame], 1
            else:
                p = probs[first + m - 1 - better]
            n = -(-limits.width // m)
            if n <= len(beam):
                crowded = max(crowded, mass[2, beam[n - 1]] * p)
        floor = max(mass[2, beam[0]] * limits.margin, crowded * limits.reach)
        met = np.empty(len(beam) * (last - first + 1), np.int64)
        seen = 0
        for i in beam:
            mass[3, i] = mass[2, i] * blank[frame]
            if node[5, i] != frame:
                node[5, i] = frame
                mass[4, i] = 0.0
                met[seen] = i
                seen += 1
            for s in range(first, last):
                column, p = columns[s], probs[s]
                share = mass[2, i] * p
                if share < floor:
                    break
                if column == node[1, i]:  # held: only after a blank it is written twice
                    mass[4, i] += mass[1, i] * p
                    share = mass[0, i] * p
                    if share < floor:
                        continue
                child = node[2, i]
                while child != 0 and node[1, child] != column:
                    child = node[3, child]
                if child == 0:
                    if count == room:
                        room *= 2
                        node = np.concatenate((node, np.zeros_like(node)), axis=1)
                        mass = np.concatenate((mass, np.zeros_like(mass)), axis=1)
                    child, count = count, count + 1
                    node[0, child], node[1, child] = i, column
                    node[3, child], node[2, i] = node[2, i], child
                    node[5, child] = -1
                    mass[5, child] = 1.0
                    if limits.alpha > 0:
                        logp, context = ask(node[4, i], ids[column], tables)
                        node[4, child] = context
                        nats = limits.alpha * logp + limits.beta
                        if digits[column]:
                            nats = limits.neutral
                        if column == node[1, i] and runs[column] > 0:
                            times = 3 if node[1, node[0, i]] == column and i != 0 else 2
                            if times >= runs[column]:
                                nats = limits.neutral
                        mass[5, child] = math.exp(nats)
                if node[5, child] != frame:
                    node[5, child] = frame
                    mass[3, child] = 0.0
                    mass[4, child] = share * mass[5, child]
                    met[seen] = child
                    seen += 1
                else:
                    mass[4, child] += share * mass[5, child]
        for i in met[:seen]:
            mass[0, i], mass[1, i] = mass[3, i], mass[4, i]
            mass[2, i] = mass[0, i] + mass[1, i]
        totals = np.empty(seen, np.float64)
        for k in range(seen):
            totals[k] = -mass[2, met[k]]
        order = np.argsort(totals, kind="mergesort")
        best = -totals[order[0]]
        kept = 0
        beam = np.empty(min(limits.width, seen), np.int64)
        for k in order[: limits.width]:
            if kept == 0 or -totals[k] > best * limits.margin:
                beam[kept] = met[k]
                kept += 1
        beam = beam[:kept].copy()
        if best > 0 and not 1e-100 < best < 1e100:
            log_scale += math.log(best)
            for i in beam:
                mass[0, i] /= best
                mass[1, i] /= best
                mass[2, i] /= best
    final = np.empty(len(beam), np.float64)
    contexts = np.empty(len(beam), np.int64)
    for k in range(len(beam)):
        final[k], contexts[k] = mass[2, beam[k]], node[4, beam[k]]
    return node[0, :count].copy(), node[1, :count].copy(), beam, final, contexts, log_scale
