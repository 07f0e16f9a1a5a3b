"""The programmes of `align.profile`, `align.network` and `align.exact`, compiled.

Those are the plain account of what is done here, and the oracle: costs, moves and ties are the
same to the bit. Strings are codes, 0 = EPSILON; ``table`` holds the cost of every pair of codes;
``paths`` is ``int32 (strings, slots)``. To import this module is to import numba.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ensemble_htr.jit import compiled

__all__ = ["FIRST", "join", "lead", "progress", "realign", "thread", "three", "without"]

Ints = NDArray[np.int64]
Codes = NDArray[np.int32]
Columns = tuple[Ints, Codes, Ints, Ints, Codes]

FIRST = 3  # codes below: EPSILON, a letter and a space that are in no string
_FAR = 1 << 60
_MATCH, _INSERT, _SKIP = 0, 1, 2


@compiled
def _columns(paths: Codes, weights: Ints, table: Ints) -> Columns:
    """The distinct codes of every column with their weights (those of column j from ``first[j]``
    on, in the order of the rows), what it costs to skip it, and no paths that were seen there."""
    n, slots = paths.shape
    first = np.empty(slots + 1, np.int64)
    codes = np.empty(n * slots, np.int32)
    amounts = np.empty(n * slots, np.int64)
    skip = np.zeros(slots, np.int64)
    end = 0
    for j in range(slots):
        first[j] = end
        for i in range(n):
            code = paths[i, j]
            at = first[j]
            while at < end and codes[at] != code:
                at += 1
            if at == end:
                codes[at], amounts[at] = code, 0
                end += 1
            amounts[at] += weights[i]
            skip[j] += weights[i] * table[0, code]
    first[slots] = end
    return first, codes[:end], amounts[:end], skip, paths[:0]


@compiled
def _preferred(paths: Codes, weights: Ints, table: Ints) -> Columns:
    """The columns of those first of the ``paths`` that have ``weights``. What no path takes there
    costs a step more, which only decides between equals (`profile.Profile` with ``seen``)."""
    first, codes, amounts, skip, _ = _columns(paths[: len(weights)], weights, table)
    for j in range(len(skip)):
        skip[j] += _unseen(0, j, paths)
    return first, codes, amounts, skip, paths


@compiled
def _unseen(code: int, j: int, paths: Codes) -> int:
    """1 where no path takes ``code`` in column ``j``; 0 also where there are no paths."""
    for k in range(len(paths)):
        if paths[k, j] == code:
            return 0
    return min(1, len(paths))


@compiled
def _fill(costs: Ints, code: int, start: int, columns: Columns, table: Ints) -> None:
    """What ``code`` costs in the columns from ``start`` on, as many as ``costs`` holds."""
    first, codes, amounts, _, seen = columns
    for j in range(start, start + len(costs)):
        cost = 0
        for at in range(first[j], first[j + 1]):
            cost += amounts[at] * table[code, codes[at]]
        costs[j - start] = cost + _unseen(code, j, seen)


@compiled
def _against(code: int, j: int, columns: Columns, table: Ints) -> int:
    """What ``code`` costs in column ``j``."""
    first, codes, amounts, _, _ = columns
    cost = 0
    for at in range(first[j], first[j + 1]):
        cost += amounts[at] * table[code, codes[at]]
    return cost


@compiled
def _solve(
    tokens: Codes, columns: Columns, insert: int, table: Ints, low: Ints, high: Ints
) -> tuple[int, NDArray[np.uint8]]:
    """The cost and the moves of the cheapest way in a band (`profile.solve`)."""
    skip, rows = columns[3], len(tokens)
    slots = len(skip)
    start = np.zeros(rows + 2, np.int64)  # where the moves of each row begin
    for i in range(1, rows + 1):
        start[i + 1] = start[i] + high[i] - low[i]
    moves = np.empty(start[rows + 1], np.uint8)
    row = np.full(slots + 1, _FAR, np.int64)
    row[0] = 0
    for j in range(1, high[0]):
        row[j] = row[j - 1] + skip[j - 1]
    whole = start[rows + 1] == rows * (slots + 1)  # then costs are filled in once for each code
    place = np.full(len(table), -1, np.int64)
    match = np.empty((min(rows, len(table)) if whole else 1, slots), np.int64)
    filled = 0
    for i in range(1, rows + 1):
        code, here = tokens[i - 1], start[i] - low[i]
        if not whole:
            before = max(0, low[i] - 1)
            costs = match[0]
            _fill(costs[before : high[i] - 1], code, before, columns, table)
        else:
            if place[code] < 0:
                _fill(match[filled], code, 0, columns, table)
                place[code] = filled
                filled += 1
            costs = match[place[code]]
        corner = row[low[i] - 1] if low[i] > 0 else _FAR
        left = _FAR
        if low[i] > 0:
            row[low[i] - 1] = _FAR
        for j in range(low[i], high[i]):
            above = row[j]
            shared = _FAR if j == 0 else corner + costs[j - 1]
            best, move = shared, _MATCH
            if above + insert < best:
                best, move = above + insert, _INSERT
            if j > 0 and left + skip[j - 1] < best:
                best, move = left + skip[j - 1], _SKIP
            moves[here + j] = move
            row[j], corner, left = best, above, best
    path = np.empty(rows + slots, np.uint8)
    i, j, at = rows, slots, rows + slots
    while i > 0 or j > 0:
        step = moves[start[i] - low[i] + j] if i > 0 else _SKIP
        at -= 1
        path[at] = step
        i -= step != _SKIP
        j -= step != _INSERT
    return row[slots], path[at:]


@compiled
def _joined(paths: Codes, tokens: Codes, moves: NDArray[np.uint8], place: int) -> Codes:
    """``paths`` with slots opened for ``tokens``, whose own path comes in as row ``place``."""
    n = paths.shape[0]
    new = np.zeros((n + 1, len(moves)), np.int32)
    i = j = 0
    for slot in range(len(moves)):
        if moves[slot] != _SKIP:
            new[place, slot] = tokens[i]
            i += 1
        if moves[slot] != _INSERT:
            for k in range(n):
                new[k + (k >= place), slot] = paths[k, j]
            j += 1
    return new


@compiled
def _whole(rows: int, slots: int) -> tuple[Ints, Ints]:
    return np.zeros(rows + 1, np.int64), np.full(rows + 1, slots + 1, np.int64)


@compiled
def join(
    paths: Codes, weights: Ints, tokens: Codes, table: Ints, low: Ints, high: Ints
) -> tuple[int, Codes]:
    """The cost of ``tokens`` against ``paths`` in a band, and the paths with its own at the end;
    in the whole table if ``low`` is empty."""
    if len(low) == 0:
        low, high = _whole(len(tokens), paths.shape[1])
    insert = weights.sum() * table[0, 1]
    cost, moves = _solve(tokens, _columns(paths, weights, table), insert, table, low, high)
    return cost, _joined(paths, tokens, moves, paths.shape[0])


@compiled
def without(paths: Codes, index: int, weights: Ints, table: Ints) -> tuple[int, Codes, Ints]:
    """What row ``index`` costs where it is; the others, without slots that only it fills, and their
    weights."""
    n, slots = paths.shape
    others = np.empty((n - 1, slots), np.int32)
    shares = np.empty(n - 1, np.int64)
    cost = kept = 0
    for k in range(n - 1):
        shares[k] = weights[k + (k >= index)]
    for j in range(slots):
        filled = False
        for k in range(n - 1):
            code = paths[k + (k >= index), j]
            others[k, kept] = code
            filled |= code != 0
            cost += shares[k] * table[paths[index, j], code]
        kept += filled
    return cost, others[:, :kept].copy(), shares


@compiled
def realign(
    paths: Codes, index: int, weights: Ints, tokens: Codes, table: Ints, low: Ints, high: Ints
) -> Codes:
    """The paths with row ``index`` aligned anew to all others, if that is cheaper."""
    now, others, shares = without(paths, index, weights, table)
    if len(low) == 0:
        low, high = _whole(len(tokens), others.shape[1])
    insert = shares.sum() * table[0, 1]
    cost, moves = _solve(tokens, _columns(others, shares, table), insert, table, low, high)
    return _joined(others, tokens, moves, index) if cost < now else paths


@compiled
def progress(flat: Codes, starts: Ints, weights: Ints, table: Ints, rounds: int) -> Codes:
    """The paths of all strings (string k is ``flat[starts[k]:starts[k + 1]]``): each aligned to
    those before it, then each anew to all others, ``rounds`` times."""
    n = len(weights)
    nothing = np.empty(0, np.int64)
    paths = flat[: starts[1]].copy().reshape(1, -1)
    for k in range(1, n):
        tokens = flat[starts[k] : starts[k + 1]]
        paths = join(paths, weights[:k], tokens, table, nothing, nothing)[1]
    if n > 2:
        for _ in range(rounds):
            for k in range(n):
                tokens = flat[starts[k] : starts[k + 1]]
                paths = realign(paths, k, weights, tokens, table, nothing, nothing)
    return paths


@compiled
def lead(paths: Codes, weights: Ints, table: Ints) -> tuple[Ints, Ints, Ints]:
    """Of every column: the code of the most rows (-1 where more are empty), what it costs at the
    least whatever is done with it, what skipping it costs."""
    columns = _columns(paths, weights, table)
    first, codes, amounts, skip, _ = columns
    leads = np.full(len(skip), -1, np.int64)
    least = np.empty(len(skip), np.int64)
    for j in range(len(skip)):
        least[j] = skip[j]
        for code in range(1, FIRST):
            least[j] = min(least[j], _against(code, j, columns, table))
        most = empty = 0
        for at in range(first[j], first[j + 1]):
            if codes[at] == 0:
                empty = amounts[at]
            else:
                least[j] = min(least[j], _against(codes[at], j, columns, table))
                if amounts[at] > most:
                    most, leads[j] = amounts[at], codes[at]
        if most < empty:
            leads[j] = -1
    return leads, least, skip


_STEPS = np.array(
    [(1, 1, 1), (0, 1, 1), (1, 0, 1), (1, 1, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)], np.int64
)  # the order of `exact`


@compiled
def three(a: Codes, b: Codes, c: Codes, weights: Ints, table: Ints) -> Codes:
    """The exact alignment of three strings (`exact.align_three`)."""
    sizes = (len(a) + 1, len(b) + 1, len(c) + 1)
    best = np.full(sizes, _FAR, np.int64)
    taken = np.zeros(sizes, np.int8)
    best[0, 0, 0] = 0
    ab, ac, bc = weights[0] * weights[1], weights[0] * weights[2], weights[1] * weights[2]
    for i in range(sizes[0]):
        for j in range(sizes[1]):
            for k in range(sizes[2]):
                for s in range(7):
                    x, y, z = _STEPS[s]
                    if x > i or y > j or z > k:
                        continue
                    p = a[i - 1] if x else 0
                    q = b[j - 1] if y else 0
                    r = c[k - 1] if z else 0
                    cost = best[i - x, j - y, k - z]
                    cost += ab * table[p, q] + ac * table[p, r] + bc * table[q, r]
                    if cost < best[i, j, k]:
                        best[i, j, k], taken[i, j, k] = cost, s
    i, j, k = len(a), len(b), len(c)
    paths = np.zeros((3, i + j + k), np.int32)
    at = i + j + k
    while i or j or k:
        x, y, z = _STEPS[taken[i, j, k]]
        at -= 1
        paths[0, at] = a[i - 1] if x else 0
        paths[1, at] = b[j - 1] if y else 0
        paths[2, at] = c[k - 1] if z else 0
        i, j, k = i - x, j - y, k - z
    return paths[:, at:]


@compiled
def _alike(a: Codes, b: Codes) -> tuple[int, int]:
    """How many codes two strings share at the start, and of the rest at the end."""
    most, head, tail = min(len(a), len(b)), 0, 0
    while head < most and a[head] == b[head]:
        head += 1
    while tail < most - head and a[len(a) - 1 - tail] == b[len(b) - 1 - tail]:
        tail += 1
    return head, tail


@compiled
def _nearest(tokens: Codes, texts: Codes, lengths: Ints) -> tuple[int, int, int]:
    """The first text that shares the most with ``tokens`` at both ends, and how many codes it
    shares at the start and at the end (`network._Draft`)."""
    least, twin, head, tail = -1, 0, 0, 0
    for k in range(len(lengths)):
        first, last = _alike(tokens, texts[k, : lengths[k]])
        changed = max(len(tokens), lengths[k]) - first - last
        if least < 0 or changed < least:
            least, twin, head, tail = changed, k, first, last
            if changed == 1:
                break
    return twin, head, tail


@compiled
def _between(path: Codes, head: int, tail: int) -> tuple[int, int]:
    """The slots of a path after its first ``head`` codes and before its last ``tail``."""
    low, high, left = 0, len(path), tail
    while left > 0:
        high -= 1
        left -= path[high] != 0
    while head > 0:
        head -= path[low] != 0
        low += 1
    return low, high


@compiled
def _open(paths: Codes, size: int, low: int, moves: NDArray[np.uint8]) -> int:
    """Open a slot, empty in all ``paths`` so far, wherever ``moves`` (from slot ``low`` on) insert
    one; ``size`` slots are in use, and then as many as this returns."""
    opened = (moves == _INSERT).sum()
    high = low + len(moves) - opened
    if opened:
        paths[:, high + opened : size + opened] = paths[:, high:size].copy()
        held, j = paths[:, low:high].copy(), 0
        for at in range(len(moves)):
            if moves[at] == _INSERT:
                paths[:, low + at] = 0
            else:
                paths[:, low + at] = held[:, j]
                j += 1
    return int(size + opened)


@compiled
def thread(
    paths: Codes, weights: Ints, flat: Codes, starts: Ints, table: Ints, margin: int, most: int
) -> Codes:
    """The ``paths`` of rows, and below them one for each string of ``flat``: beside the nearest
    path outside of the changed middle, cheapest against the rows within it (`network._Draft`). No
    paths at all where the table of a middle has more than ``most`` cells."""
    rows, size = paths.shape
    count = rows + len(starts) - 1
    new = np.zeros((count, size + len(flat)), np.int32)  # no string opens more slots than it has
    new[:rows, :size] = paths
    texts = np.zeros((count, max(size, len(flat))), np.int32)
    lengths = np.zeros(count, np.int64)
    insert = weights.sum() * table[0, 1] + 2
    for k in range(rows):
        own = paths[k][paths[k] != 0]
        lengths[k] = len(own)
        texts[k, : len(own)] = own
    for here in range(rows, count):
        tokens = flat[starts[here - rows] : starts[here - rows + 1]]
        twin, head, tail = _nearest(tokens, texts, lengths[:here])
        head, tail = max(0, head - margin), max(0, tail - margin)
        low, high = _between(new[twin, :size], head, tail)
        middle = tokens[head : len(tokens) - tail]
        if (len(middle) + 1) * (high - low + 1) > most:
            return new[:0]
        columns = _preferred(new[:here, low:high], weights, table)
        moves = _solve(middle, columns, insert, table, *_whole(len(middle), high - low))[1]
        size = _open(new[:here], size, low, moves)
        new[here, :size] = new[twin, :size]
        new[here, low : low + len(moves)] = 0
        new[here, low : low + len(moves)][moves != _SKIP] = middle
        texts[here, : len(tokens)], lengths[here] = tokens, len(tokens)
    return new[:, :size].copy()
