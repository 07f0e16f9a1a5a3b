"""What it costs to read one letter as another: 0 for the same, 1 for the unlikely.

A weighted edit distance over folded letters (Wagner and Fischer 1974) with moves of one letter to
two and back (``m`` / ``rn``), as Ristad and Yianilos (1998) learn edit costs from pairs, but from
their cheapest alignment instead of all alignments.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rapidfuzz.distance import Levenshtein

from ensemble_htr.errors import AssetError
from ensemble_htr.lexicon.keys import keys

__all__ = ["Costs", "learn", "load_costs"]

_LEAST = 0.2  # no confusion is free
_HALF = 5.0  # unseen confusions are worth as many sightings, spread over all letters
# shapes that hands of the 19th century share: a plain default where nothing was learned
_ALIKE = ("un", "uv", "nr", "ec", "ao", "il", "ij", "ft", "lt", "bh", "gq", "gy", "sf", "nm", "ce",
          "ea", "vr", "kh", "lb", "rs", "ie", "iy", "dc", "au", "nv")  # fmt: skip
_SPLIT = ("m=rn", "m=in", "m=ni", "n=ii", "u=ii", "w=vv", "d=cl", "h=li", "m=nr", "m=iu", "m=ui")


def _default() -> dict[tuple[str, str], float]:
    table = {}
    for pair in _ALIKE:
        table[pair[0], pair[1]] = table[pair[1], pair[0]] = 0.5
    for pair in _SPLIT:
        one, _, two = pair.partition("=")
        table[one, two] = table[two, one] = 0.6
    return table


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs of moves ``(written, read)``, one letter to none (``""``), one or two; others cost 1.

    Every cost lies in [0.2, 1]; so the weighted distance never exceeds the plain one but for a move
    of one letter to two, which plainly costs two.
    """

    table: Mapping[tuple[str, str], float] = field(default_factory=_default)

    def __post_init__(self) -> None:
        for move, cost in self.table.items():
            if not _LEAST <= cost <= 1 or max(map(len, move)) > 2:
                raise ValueError(f"the cost of {move} must lie in {_LEAST} to 1, of 0 to 2 letters")

    def distance(self, written: str, read: str) -> float:
        """The cost of the cheapest moves that make ``written`` into ``read``, where what they begin
        and end with alike, but for one letter each, stays as it is; O(len * len) in the rest."""
        written, read = _unlike(written, read)
        get = self.table.get
        before: list[float] = []
        previous: list[float] = []
        for i in range(len(written) + 1):
            row = [0.0] * (len(read) + 1)
            for j in range(len(read) + 1):
                if not i and not j:
                    continue
                best = math.inf
                if i:
                    best = previous[j] + get((written[i - 1], ""), 1.0)
                if j:
                    best = min(best, row[j - 1] + get(("", read[j - 1]), 1.0))
                if i and j:
                    a, b = written[i - 1], read[j - 1]
                    best = min(best, previous[j - 1] + (0.0 if a == b else get((a, b), 1.0)))
                    if j > 1:
                        best = min(best, previous[j - 2] + get((a, read[j - 2 : j]), 2.0))
                    if i > 1:
                        best = min(best, before[j - 1] + get((written[i - 2 : i], b), 2.0))
                row[j] = best
            before, previous = previous, row
        return previous[-1]

    def save(self) -> str:
        """As JSON: ``[[written, read, cost], ...]`` in order."""
        rows = [[*move, round(cost, 3)] for move, cost in sorted(self.table.items())]
        return json.dumps({"schema": 1, "costs": rows}, ensure_ascii=False) + "\n"


def _unlike(a: str, b: str) -> tuple[str, str]:
    """What is left of both between their common beginning and end, with one letter of each."""
    if a == b:
        return "", ""
    most, head, tail = min(len(a), len(b)), 0, 0
    while head < most and a[head] == b[head]:
        head += 1
    while tail < most - head and a[-1 - tail] == b[-1 - tail]:
        tail += 1
    head, tail = max(0, head - 1), max(0, tail - 1)
    return a[head : len(a) - tail], b[head : len(b) - tail]


def load_costs(path: Path) -> Costs:
    """Read what `Costs.save` wrote; raises `AssetError`."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["schema"] != 1:
            raise ValueError
        return Costs({(str(a), str(b)): float(cost) for a, b, cost in found["costs"]})
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        raise AssetError(f"{path}: no table of confusion costs; build the lexicon again") from None


def learn(pairs: Iterable[tuple[str, str]]) -> Costs:
    """Costs from pairs (truth, reading) of words: a confusion costs its surprise,
    ``-log p(read | written)``, on a scale where one that was never seen costs 1."""
    seen: Counter[tuple[str, str]] = Counter()
    written: Counter[str] = Counter()
    for truth, reading in pairs:
        a, b = ("".join(keys(text)[:1]) for text in (truth, reading))
        if not a or not b or Levenshtein.distance(a, b) > max(2, len(a) // 3):
            continue  # another word altogether
        written.update(a)
        written[""] += len(a)  # places where something might have been added
        for move in Levenshtein.opcodes(a, b):
            if move.tag != "equal":
                written_part = a[move.src_start : move.src_end]
                seen.update(_moves(written_part, b[move.dest_start : move.dest_end]))
    letters = max(2, len(written) - 1)
    table = {}
    for (a, b), count in seen.items():
        total = written[a[:1]] + _HALF
        surprise = math.log((count + _HALF / letters) / total)
        unseen = math.log(_HALF / letters / total)
        if count > 1:
            table[a, b] = max(_LEAST, min(1.0, surprise / unseen))
    return Costs(table)


def _moves(a: str, b: str) -> list[tuple[str, str]]:
    if len(a) == len(b):
        return list(zip(a, b, strict=True))
    if {len(a), len(b)} == {1, 2}:
        return [(a, b)]
    return [(char, "") for char in a] if not b else [("", char) for char in b] if not a else []
