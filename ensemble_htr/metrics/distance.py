"""Edit counts between a reference and a reading, on tokens (grapheme clusters or words).

The distance is Levenshtein's (unit costs; Levenshtein 1966) as computed by RapidFuzz. The number of
edits is unique; how it splits into substitutions, insertions and deletions depends on which of the
cheapest alignments is taken: always the one that RapidFuzz traces back, a function of the pair.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from rapidfuzz.distance import Editops, Levenshtein

from ensemble_htr.metrics.bound import distance_bound
from ensemble_htr.metrics.weighted import sclite_pairs
from ensemble_htr.text import Profile
from ensemble_htr.types import EPSILON

__all__ = [
    "Counts",
    "alignment_pairs",
    "char_counts",
    "coded",
    "edit_counts",
    "edit_distance",
    "pair_counts",
    "profile_counts",
    "profile_pairs",
    "word_counts",
]

_LONG_TEXT = 20_000  # tokens from which on a bound pays
_LONG = 1_000  # tokens from which on coding pays
_FIRST_CODE = 0x10000  # distinct tokens become code points from here on (no surrogates above)


@dataclass(frozen=True, slots=True)
class Counts:
    """Additive edit counts, in tokens; ``a + b`` are the counts of the two corpora together."""

    hits: int = 0
    substitutions: int = 0
    insertions: int = 0  # tokens of the reading that the reference lacks
    deletions: int = 0  # tokens of the reference that the reading lacks

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.hits + other.hits,
            self.substitutions + other.substitutions,
            self.insertions + other.insertions,
            self.deletions + other.deletions,
        )

    @classmethod
    def sum(cls, parts: Iterable[Counts]) -> Counts:
        """Add up many counts; the sum of none is all zeros."""
        return sum(parts, cls())

    @property
    def edits(self) -> int:
        return self.substitutions + self.insertions + self.deletions

    @property
    def reference(self) -> int:
        """Number of tokens in the reference: the denominator of `rate`."""
        return self.hits + self.substitutions + self.deletions

    @property
    def hypothesis(self) -> int:
        """Number of tokens in the reading."""
        return self.hits + self.substitutions + self.insertions

    @property
    def alignment(self) -> int:
        """Length of the alignment: reference tokens and insertions."""
        return self.reference + self.insertions

    def over(self, denominator: Literal["reference", "alignment"]) -> int:
        """What errors are divided by."""
        return self.alignment if denominator == "alignment" else self.reference

    @property
    def rate(self) -> float:
        """Edits per reference token, a fraction that may exceed 1.

        Against an empty reference every token read is an insertion and the denominator is taken
        as 1, so that the rate is 0 for an empty reading and finite for any other.
        """
        return self.edits / max(1, self.reference)


def edit_counts(reference: Sequence[str], reading: Sequence[str]) -> Counts:
    """Count the edits that turn ``reference`` into ``reading`` (sequences of non-empty tokens)."""
    kinds = {"replace": 0, "insert": 0, "delete": 0}
    for edit in _editops(reference, reading):
        kinds[edit.tag] += 1
    hits = len(reference) - kinds["replace"] - kinds["delete"]
    return Counts(hits, kinds["replace"], kinds["insert"], kinds["delete"])


def pair_counts(pairs: Iterable[tuple[str, str]]) -> Counts:
    """The counts of an alignment, as `alignment_pairs` gives it."""
    hits = substitutions = insertions = deletions = 0
    for wanted, read in pairs:
        if wanted == read:
            hits += 1
        elif not wanted:
            insertions += 1
        elif not read:
            deletions += 1
        else:
            substitutions += 1
    return Counts(hits, substitutions, insertions, deletions)


def edit_distance(reference: Sequence[str], reading: Sequence[str]) -> int:
    """Levenshtein distance of two token sequences (faster than `edit_counts`: no traceback).

    Exact at any length: that of two texts of a million characters takes a few seconds.
    """
    return _distance(*_as_strings(reference, reading))


def _distance(one: str, two: str) -> int:
    if min(len(one), len(two)) < _LONG_TEXT:
        return Levenshtein.distance(one, two)
    return Levenshtein.distance(one, two, score_cutoff=distance_bound(one, two))


def _editops(reference: Sequence[str], reading: Sequence[str]) -> Editops:
    one, two = _as_strings(reference, reading)
    if min(len(one), len(two)) < _LONG_TEXT:
        return Levenshtein.editops(one, two)
    return Levenshtein.editops(one, two, score_hint=_distance(one, two))


def alignment_pairs(reference: Sequence[str], reading: Sequence[str]) -> list[tuple[str, str]]:
    """Align two token sequences: pairs (reference token or ``''``, reading token or ``''``).

    Leaving out the empty strings gives back each sequence; the number of unequal pairs is the
    edit distance.
    """
    pairs: list[tuple[str, str]] = []
    i = j = 0
    for edit in _editops(reference, reading):
        run = edit.src_pos - i  # equal tokens before this edit
        pairs.extend(zip(reference[i : i + run], reading[j : j + run], strict=True))
        i, j = i + run, j + run
        if edit.tag == "insert":
            pairs.append((EPSILON, reading[j]))
            j += 1
        elif edit.tag == "delete":
            pairs.append((reference[i], EPSILON))
            i += 1
        else:
            pairs.append((reference[i], reading[j]))
            i, j = i + 1, j + 1
    pairs.extend(zip(reference[i:], reading[j:], strict=True))
    return pairs


def profile_pairs(
    reference: Sequence[str], reading: Sequence[str], profile: Profile
) -> list[tuple[str, str]]:
    """Align token sequences with the costs of ``profile``; pairs as `alignment_pairs`."""
    if profile.costs == "sclite":
        return sclite_pairs(reference, reading)
    return alignment_pairs(reference, reading)


def profile_counts(reference: Sequence[str], reading: Sequence[str], profile: Profile) -> Counts:
    """The counts of `profile_pairs`."""
    if profile.costs == "sclite":
        return pair_counts(sclite_pairs(reference, reading))
    return edit_counts(reference, reading)


def char_counts(reference: str, reading: str, profile: Profile) -> Counts:
    """Edits between characters of two texts normalised by ``profile`` (rate = CER)."""
    return profile_counts(profile.tokens(reference), profile.tokens(reading), profile)


def word_counts(reference: str, reading: str, profile: Profile) -> Counts:
    """Edits between whitespace-cut words of two texts normalised by ``profile`` (rate = WER)."""
    words = profile.apply(reference).split(), profile.apply(reading).split()
    return profile_counts(*words, profile)


def _as_strings(first: Sequence[str], second: Sequence[str]) -> tuple[str, str]:
    """Code both sequences as strings of one code point per token, equal where tokens are equal."""
    one, two = coded((first, second))
    return one, two


def coded(sequences: Sequence[Sequence[str]]) -> list[str]:
    """Code token sequences as strings of one code point per token, equal where tokens are equal.

    Up to 256 distinct tokens become the first 256 code points, which RapidFuzz compares fastest.
    """
    joined = ["".join(tokens) for tokens in sequences]
    whole = all(len(text) == len(t) for text, t in zip(joined, sequences, strict=True))
    if whole and (max(map(len, joined), default=0) < _LONG or all(map(str.isascii, joined))):
        return joined
    distinct = dict.fromkeys(token for tokens in sequences for token in tokens)
    first = 0 if len(distinct) <= 256 else _FIRST_CODE
    codes = {token: chr(first + number) for number, token in enumerate(distinct)}
    return ["".join(map(codes.__getitem__, tokens)) for tokens in sequences]
