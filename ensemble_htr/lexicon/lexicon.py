"""Asking lists of names: what is this word, or what might it be?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from ensemble_htr.lexicon import near, store
from ensemble_htr.lexicon.build import compiled, hashed
from ensemble_htr.lexicon.costs import Costs
from ensemble_htr.lexicon.keys import keys

__all__ = ["Lexicon", "Match", "NameList"]

_PER_EDIT = 4.0  # nats that an edit of cost 1 must be outweighed by


@dataclass(frozen=True, slots=True)
class Match:
    """An entry that a word is, or might be."""

    entry: str  # as the list spells it
    list: str  # its list's name
    distance: float  # weighted edits between the keys, 0 = exact
    log_prior: float  # natural log of the entry's share of its list, smoothed by one

    @property
    def exact(self) -> bool:
        return self.distance == 0

    @property
    def rank(self) -> tuple[float, str, str]:
        """Sorts the likeliest match first."""
        return (_PER_EDIT * self.distance - self.log_prior, self.entry, self.list)


@dataclass(frozen=True)
class NameList:
    """One list, mapped into memory: 1 M entries take 81 MB of disk, read as they are
    needed."""

    name: str
    arrays: store.Arrays = field(repr=False)
    total: float  # of all counts, and one for each entry

    @classmethod
    def load(cls, path: Path, name: str = "") -> NameList:
        """From a file of `build`, or from a list of names (built once into the user's cache).
        Raises `AssetError` or `InputError`."""
        own, arrays = store.read(compiled(path, name or path.name.split(".")[0]))
        count = arrays["count"]
        return cls(name or own, arrays, float(count.sum(dtype="f8")) + len(count))

    def __len__(self) -> int:
        return len(self.arrays["count"])

    def find(self, key: str) -> int | None:
        """The number of a key, in O(log n)."""
        starts, hashes = self.arrays["starts"], self.arrays["hash"]
        if len(key) >= len(starts) - 1:
            return None
        low, high = int(starts[len(key)]), int(starts[len(key) + 1])
        wanted = hashed(key)
        place = low + int(hashes[low:high].searchsorted(hashes.dtype.type(wanted)))
        while place < high and int(hashes[place]) == wanted:
            if self.key(place) == key:
                return place
            place += 1
        return None

    def near(self, key: str, most: int) -> list[int]:
        """The numbers of all keys within ``most`` <= 2 plain edits of ``key``, but not its own."""
        if most < 1 or not near.SHORTEST <= len(key) <= near.LONGEST:
            return []
        a = self.arrays
        starts = a["starts"][: near.LONGEST + 2].tolist()
        found = near.candidates(key, starts, a["segment"], a["number"], a["signature"], most)
        return [
            n for n, other in zip(found.tolist(), self._texts("key", found), strict=True)
            if 0 < Levenshtein.distance(other, key, score_cutoff=most) <= most
        ]  # fmt: skip

    def key(self, number: int) -> str:
        return self._text("key", number)

    def matches(self, number: int, distance: float, most: int) -> list[Match]:
        """The entries of a key, the most frequent first."""
        members, counts = self.arrays["members"], self.arrays["count"]
        low = int(members[number])
        stop = min(int(members[number + 1]), low + most)
        chosen = self.arrays["member"][low:stop]
        shares = ((counts[chosen].astype(np.float64) + 1) / self.total).tolist()
        entries = zip(self._texts("entry", chosen), shares, strict=True)
        return [Match(entry, self.name, distance, math.log(share)) for entry, share in entries]

    def entries(self) -> Iterator[tuple[str, float]]:
        """All entries with their shares of the list."""
        for n, count in enumerate(self.arrays["count"].tolist()):
            yield self._text("entry", n), (count + 1) / self.total

    def _text(self, name: str, number: int) -> str:
        return self._texts(name, np.array([number], np.int64))[0]

    def _texts(self, name: str, numbers: NDArray[np.integer]) -> list[str]:
        places, data = self.arrays[name], self.arrays[f"{name}_text"].data
        bounds = zip(places[numbers].tolist(), places[numbers + 1].tolist(), strict=True)
        return [str(data[start:stop], "utf-8", "replace") for start, stop in bounds]


@dataclass
class Lexicon:
    """Several lists, asked together. Not for threads: it remembers what it was asked."""

    lists: Sequence[NameList]
    costs: Costs = field(default_factory=Costs)
    remembered: int = 1 << 14  # answers
    _known: dict[tuple[str, int], tuple[Match, ...]] = field(default_factory=dict, repr=False)

    @classmethod
    def load(cls, paths: Mapping[str, Path], costs: Costs | None = None) -> Lexicon:
        """Lists by name; raises `AssetError` or `InputError`."""
        lists = [NameList.load(path, name) for name, path in paths.items()]
        return cls(lists, costs or Costs())

    def lookup(self, word: str, most: int = 5) -> tuple[Match, ...]:
        """The ``most`` likeliest entries that ``word`` is or might be, over all lists.

        Likelihood weighs distance against frequency, but what is exact comes before all else.
        Near ones lie within one edit (of 4 to 7 letters) or two (from 8), over keys.
        """
        known = self._known.get((word, most))
        if known is None:
            known = tuple(self._asked(word, most))
            if len(self._known) >= self.remembered:
                self._known.clear()
            self._known[word, most] = known
        return known

    def _asked(self, word: str, most: int) -> list[Match]:
        key = "".join(keys(word)[:1])
        if not key or any(char.isdigit() for char in key):
            return []
        found: list[Match] = []
        for each in self.lists:
            exact = each.find(key)
            if exact is not None:
                found += each.matches(exact, 0.0, most)
            for number in each.near(key, near.allowed(len(key))):
                distance = self.costs.distance(each.key(number), key)
                found += each.matches(number, distance, most)
        found.sort(key=lambda match: (not match.exact, match.rank))
        return found[:most]
