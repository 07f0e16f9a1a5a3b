"""The joint search of `decode.joint`, compiled: the same over flat arrays.

`decode.joint._Plain` is the plain account of it and its oracle. To import this module is to import
numba. Masses of a prefix are plain products, kept in range by a log factor of each net, and only
for the frames where they are more than `_NOTHING` of their peak.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ensemble_htr.decode.kernel import ask
from ensemble_htr.jit import compiled, leaf
from ensemble_htr.types import NGramTables, WordTable

__all__ = ["Beam", "Symbols", "Weights", "search"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_NOTHING = 1e-12
_SLACK = 1e-9  # nats: more than rounding makes of a bound
_NEVER = -1e9


class Symbols(NamedTuple):
    """By column (0 = blank): the language model's id, whether it is an exempt digit, from how many
    repeats on it is an exempt run (0: never), its code point (-1: of more than one), and whether
    it is a letter."""

    ids: NDArray[np.int32]
    digits: NDArray[np.bool_]
    runs: NDArray[np.int32]
    codes: NDArray[np.int32]
    letters: NDArray[np.bool_]


class Weights(NamedTuple):
    nets: Floats
    alpha: float  # 0 = no language model
    beta: float
    words: float  # 0 = no words
    unknown: float  # what a letter takes off that leads to no known word
    longest: int  # letters of an unknown word that count
    floor: float
    width: int
    tries: int
    n_best: int
    behind: float
    patience: float


class Beam(NamedTuple):
    """The prefixes kept; by prefix and frame (of all nets, one after the other) the masses of its
    paths that end there in its last symbol or in a blank, both over exp(``scale``)."""

    label: Floats  # (width, frames)
    blank: Floats
    low: Ints  # (width, nets): the frames that hold them
    high: Ints
    scale: Floats
    prefix: Floats  # (width, nets): log of the mass of all paths that begin so
    score: Floats  # (width,)
    node: Ints
    context: Ints
    last: Ints
    run: Ints
    first: Ints  # the words of the table that begin as its last word does
    stop: Ints
    letters: Ints  # of its last word


class Room(NamedTuple):
    """Arrays that the search of a line fills in anew for each length of prefixes."""

    order: Ints  # (width, columns): of each prefix, its likeliest columns
    counts: Ints  # (width,): how many
    ends: Floats  # (width,): what its last word says if it ends here
    best: Floats  # (width,): the highest scores so far
    places: Ints  # (width,): where they are


@compiled
def _beam(width: int, frames: int, nets: int) -> Beam:
    return Beam(
        np.zeros((width, frames)), np.zeros((width, frames)),
        np.zeros((width, nets), np.int64), np.zeros((width, nets), np.int64),
        np.zeros((width, nets)), np.zeros((width, nets)), np.zeros(width),
        np.zeros(width, np.int64), np.zeros(width, np.int64), np.zeros(width, np.int64),
        np.zeros(width, np.int64), np.zeros(width, np.int64), np.zeros(width, np.int64),
        np.zeros(width, np.int64),
    )  # fmt: skip


@leaf
def _narrow(low: int, high: int, depth: int, code: int, words: WordTable) -> tuple[int, int]:
    """Of the words ``low`` to ``high``, alike in their first ``depth`` letters, those that go on
    with ``code``."""
    bounds = (low, high)
    for side in range(2):
        a, b = low, high
        while a < b:
            middle = (a + b) // 2
            place = words.start[middle] + depth
            here = words.text[place] if place < words.start[middle + 1] else -1
            if here < code or (side == 1 and here == code):
                a = middle + 1
            else:
                b = middle
        bounds = (a, bounds[1]) if side == 0 else (bounds[0], a)
    return bounds


@leaf
def _ended(first: int, stop: int, letters: int, weights: Weights, words: WordTable) -> float:
    """What a word says that ends here; one that has led to no known word has paid already."""
    if letters == 0 or first >= stop:
        return 0.0
    if words.start[first + 1] - words.start[first] == letters:
        return float(words.value[first])
    return -weights.unknown * min(letters, weights.longest)


@leaf
def _wording(
    beam: Beam, h: int, c: int, symbols: Symbols, weights: Weights, words: WordTable
) -> float:
    """What symbol ``c`` after prefix ``h`` changes in what the words say."""
    letters = beam.letters[h]
    if not symbols.letters[c]:
        return _ended(beam.first[h], beam.stop[h], letters, weights, words)
    if beam.first[h] >= beam.stop[h]:
        return -weights.unknown if letters < weights.longest else 0.0
    a, b = _narrow(beam.first[h], beam.stop[h], letters, symbols.codes[c], words)
    return 0.0 if a < b else -weights.unknown * min(letters + 1, weights.longest)


@leaf
def _said(
    beam: Beam, h: int, c: int, symbols: Symbols, weights: Weights, tables: NGramTables,
    words: WordTable,
) -> float:  # fmt: skip
    """What language says of symbol ``c`` after prefix ``h``."""
    total = 0.0
    if weights.alpha > 0:
        run = beam.run[h] + 1 if c == beam.last[h] else 1
        repeats = symbols.runs[c]
        if not (symbols.digits[c] or (repeats > 0 and run >= repeats)):
            logp, _ = ask(beam.context[h], symbols.ids[c], tables)
            total += weights.alpha * logp + weights.beta
    if weights.words > 0:
        total += weights.words * _wording(beam, h, c, symbols, weights, words)
    return total


@leaf
def _reach(beam: Beam, h: int, k: int, probs: Floats, begin: int, end: int, mass: Floats) -> None:
    """``mass`` becomes that of all paths of net ``k`` that begin with prefix ``h`` and each symbol,
    over exp(scale)."""
    mass[:] = 0.0
    symbols = len(mass)
    if beam.node[h] == 0:
        for c in range(1, symbols):
            mass[c] = probs[begin, c]
    last, again = beam.last[h], 0.0
    for t in range(beam.low[h, k], min(beam.high[h, k], end - begin - 1)):
        here = beam.label[h, begin + t] + beam.blank[h, begin + t]
        after = begin + t + 1
        for c in range(1, symbols):
            mass[c] += here * probs[after, c]
        again += beam.blank[h, begin + t] * probs[after, last]
    if last > 0:
        mass[last] = again


@leaf
def _grow(
    old: Beam, h: int, new: Beam, g: int, k: int, c: int, probs: Floats, begin: int, end: int
) -> bool:
    """Net ``k``'s masses of prefix ``h`` with symbol ``c``, as prefix ``g``; False if there are
    none."""
    low, high = old.low[h, k], old.high[h, k]
    empty, same = old.node[h] == 0, c == old.last[h]
    label = blank = best = 0.0
    first = stop = low if empty else low + 1
    for t in range(first, end - begin):
        before = begin + t - 1
        comes = 0.0
        if t == 0:
            comes = 1.0
        elif low < t <= high:
            comes = old.blank[h, before] + (0.0 if same else old.label[h, before])
        blank = (blank + label) * probs[begin + t, 0]
        label = (label + comes) * probs[begin + t, c]
        new.label[g, begin + t], new.blank[g, begin + t] = label, blank
        best = max(best, label + blank)
        stop = t + 1
        if t >= high and label + blank < _NOTHING * best:
            break
    new.low[g, k] = new.high[g, k] = 0
    if best <= 0.0:
        new.scale[g, k] = _NEVER
        return False
    while new.label[g, begin + first] + new.blank[g, begin + first] < _NOTHING * best:
        first += 1
    for t in range(begin + first, begin + stop):
        new.label[g, t] /= best
        new.blank[g, t] /= best
    new.low[g, k], new.high[g, k] = first, stop
    new.scale[g, k] = old.scale[h, k] + math.log(best)
    return True


@leaf
def _whole(beam: Beam, h: int, start: Ints, weights: Weights, words: WordTable) -> float:
    """The score of prefix ``h`` as a whole line, but for what the language model says of its
    end."""
    total = float(beam.score[h])
    for k in range(len(weights.nets)):
        mass = 0.0
        if beam.high[h, k] == start[k + 1] - start[k]:
            mass = beam.label[h, start[k + 1] - 1] + beam.blank[h, start[k + 1] - 1]
        change = -weights.floor
        if mass > 0:
            change = max(change, math.log(mass) + beam.scale[h, k] - beam.prefix[h, k])
        total += weights.nets[k] * change
    if weights.words > 0:
        total += weights.words * _ended(
            beam.first[h], beam.stop[h], beam.letters[h], weights, words
        )
    return total


@leaf
def _begin(beam: Beam, probs: Floats, start: Ints, tables: NGramTables, words: WordTable) -> None:
    """The empty prefix."""
    beam.context[0] = tables.start
    beam.stop[0] = len(words.value)
    for k in range(len(start) - 1):
        mass = 1.0
        for t in range(start[k], start[k + 1]):
            mass *= probs[t, 0]
            beam.blank[0, t] = mass
            beam.high[0, k] = t + 1 - start[k]
            if mass < _NOTHING:
                break


@leaf
def _heard(
    beam: Beam, h: int, probs: Floats, start: Ints, weights: Weights, mass: Floats, scores: Floats
) -> None:
    """``scores`` of all symbols after prefix ``h`` by the nets alone, and ``mass``, by net, of the
    paths that begin so, over exp(scale)."""
    scores[:] = beam.score[h]
    scores[0] = -math.inf
    for k in range(len(weights.nets)):
        _reach(beam, h, k, probs, start[k], start[k + 1], mass[k])
        past = beam.prefix[h, k] - beam.scale[h, k]
        least = math.exp(min(past - weights.floor, 700.0))
        for c in range(1, len(scores)):
            change = -weights.floor
            if mass[k, c] > least:
                change = min(0.0, math.log(mass[k, c]) - past)
            scores[c] += weights.nets[k] * change


@leaf
def _keep(heap: Floats, count: int, value: float) -> int:
    """``heap`` with ``count`` of the highest values met, the lowest first, with ``value`` too; how
    many it holds then."""
    if count < len(heap):
        i = count
        count += 1
        while i > 0 and heap[(i - 1) // 2] > value:
            heap[i] = heap[(i - 1) // 2]
            i = (i - 1) // 2
    elif value <= heap[0]:
        return count
    else:
        i = 0
        while 2 * i + 1 < count:
            child = 2 * i + 1
            if child + 1 < count and heap[child + 1] < heap[child]:
                child += 1
            if heap[child] >= value:
                break
            heap[i] = heap[child]
            i = child
    heap[i] = value
    return count


@leaf
def _ranked(heard: Floats, tries: int, order: Ints) -> int:
    """``order`` begins with the columns of the ``tries`` highest scores of one prefix (and those
    that equal the last of them), the highest first; how many they are."""
    count = 0
    for c in range(1, len(heard)):
        if count >= tries and heard[c] < heard[order[tries - 1]]:
            continue
        i = count
        count += 1
        while i > 0 and heard[order[i - 1]] < heard[c]:
            order[i] = order[i - 1]
            i -= 1
        order[i] = c
        while count > tries and heard[order[count - 1]] < heard[order[tries - 1]]:
            count -= 1
    return count


@leaf
def _spoken(
    beam: Beam, alive: int, heard: Floats, symbols: Symbols, weights: Weights,
    tables: NGramTables, words: WordTable, room: Room, scores: Floats,
) -> None:  # fmt: skip
    """``scores`` are those ``heard`` with what language says; -inf for all but the likeliest by the
    nets after each prefix, and for what cannot be among the best whatever language says: a language
    model has no praise, nor has a word that goes on. The likeliest of all prefixes are asked first,
    then the second of each and so on: the sooner the best are known, the fewer are asked."""
    order, counts, ends, best = room.order, room.counts, room.ends, room.best
    held, top, most = 0, -math.inf, 0
    praise = (max(0.0, weights.beta) if weights.alpha > 0 else 0.0) + _SLACK
    for h in range(alive):
        ends[h] = 0.0
        scores[h] = -math.inf
        counts[h] = _ranked(heard[h], weights.tries, order[h])
        most = max(most, counts[h])
        if weights.words > 0:
            said = _ended(beam.first[h], beam.stop[h], beam.letters[h], weights, words)
            ends[h] = weights.words * said
    for rank in range(most):
        for h in range(alive):
            if rank >= counts[h]:
                continue
            c = order[h, rank]
            bound = heard[h, c] + praise
            full = held == weights.width
            least = max(top - weights.behind, best[0] if full else -math.inf)
            if bound + max(0.0, ends[h]) < least:
                counts[h] = rank  # nor can those after it
            elif bound + (0.0 if symbols.letters[c] else ends[h]) >= least:
                said = _said(beam, h, c, symbols, weights, tables, words)
                scores[h, c] = heard[h, c] + said
                top = max(top, scores[h, c])
                held = _keep(best, held, scores[h, c])


@leaf
def _extend(
    old: Beam, h: int, new: Beam, g: int, c: int, symbols: Symbols, weights: Weights,
    tables: NGramTables, words: WordTable,
) -> None:  # fmt: skip
    """All but the masses of prefix ``h`` with symbol ``c``."""
    new.last[g] = c
    new.run[g] = old.run[h] + 1 if c == old.last[h] else 1
    if weights.alpha > 0:
        _, new.context[g] = ask(old.context[h], symbols.ids[c], tables)
    new.first[g], new.stop[g], new.letters[g] = 0, len(words.value), 0
    if symbols.letters[c]:
        letters = old.letters[h]
        a, b = _narrow(old.first[h], old.stop[h], letters, symbols.codes[c], words)
        new.first[g], new.stop[g], new.letters[g] = a, b, letters + 1


@leaf
def _likeliest(scores: Floats, alive: int, least: float, places: Ints) -> int:
    """``places`` (row * columns + column) of the highest scores of ``least`` or more (and above
    -inf), as many as it takes, the highest first, the first of equals before the others; how many
    they are."""
    columns, count = scores.shape[1], 0
    for h in range(alive):
        for c in range(1, columns):
            score = scores[h, c]
            if score < least or score == -math.inf:
                continue
            i = count
            if count == len(places):
                last = places[count - 1]
                if score <= scores[last // columns, last % columns]:
                    continue
                i -= 1
            else:
                count += 1
            while i > 0:
                before = places[i - 1]
                if scores[before // columns, before % columns] >= score:
                    break
                places[i] = before
                i -= 1
            places[i] = h * columns + c
    return count


@compiled
def search(
    probs: Floats, start: Ints, symbols: Symbols, weights: Weights, tables: NGramTables,
    words: WordTable,
) -> tuple[Floats, Ints, Ints, Ints, Ints]:  # fmt: skip
    """The best whole lines: ``(scores, nodes, contexts, parent, column)``, -inf where there is
    none; ``parent`` and ``column`` are the tree of all texts met (0 = the empty one).

    ``probs (frames of all nets, columns)``; net ``k`` has the frames ``start[k]`` to
    ``start[k + 1] - 1``.
    """
    nets, columns, width = len(weights.nets), probs.shape[1], weights.width
    longest = 0
    for k in range(nets):
        longest = max(longest, start[k + 1] - start[k])
    now, then = _beam(width, len(probs), nets), _beam(width, len(probs), nets)
    parent, column = (
        np.zeros(width * longest + 2, np.int64),
        np.zeros(width * longest + 2, np.int64),
    )
    best = np.full(weights.n_best, -math.inf)
    nodes, contexts = np.zeros(weights.n_best, np.int64), np.zeros(weights.n_best, np.int64)
    mass, heard = np.zeros((width, nets, columns)), np.zeros((width, columns))
    scores = np.zeros((width, columns))
    room = Room(
        np.zeros((width, columns), np.int64), np.zeros(width, np.int64), np.zeros(width),
        np.zeros(width), np.zeros(width, np.int64),
    )  # fmt: skip
    _begin(now, probs, start, tables, words)
    alive, made = 1, 1
    for length in range(longest + 1):
        for h in range(alive):
            score, i = _whole(now, h, start, weights, words), weights.n_best - 1
            if score > best[i]:
                while i > 0 and best[i - 1] < score:
                    best[i], nodes[i], contexts[i] = best[i - 1], nodes[i - 1], contexts[i - 1]
                    i -= 1
                best[i], nodes[i], contexts[i] = score, now.node[h], now.context[h]
            _heard(now, h, probs, start, weights, mass[h], heard[h])
        if length == longest:
            break
        _spoken(now, alive, heard, symbols, weights, tables, words, room, scores)
        top, grown = scores[:alive].max(), 0
        if top == -math.inf or top < best[-1] - weights.patience:
            break
        for rank in range(_likeliest(scores, alive, top - weights.behind, room.places)):
            h, c = room.places[rank] // columns, room.places[rank] % columns
            possible = False
            for k in range(nets):
                if _grow(now, h, then, grown, k, c, probs, start[k], start[k + 1]):
                    possible = True
                then.prefix[grown, k] = _NEVER
                if mass[h, k, c] > 0:
                    then.prefix[grown, k] = math.log(mass[h, k, c]) + now.scale[h, k]
            if possible:
                then.score[grown] = scores[h, c]
                _extend(now, h, then, grown, c, symbols, weights, tables, words)
                parent[made], column[made] = now.node[h], c
                then.node[grown] = made
                made += 1
                grown += 1
        if grown == 0:
            break
        now, then, alive = then, now, grown
    return best, nodes, contexts, parent, column
