"""Edit counts between a reference and a reading, on tokens (grapheme clusters or words).

The distance is Levenshtein's (unit costs; Levenshtein 1966) as computed by RapidFuzz. The number of
edits is unique; how it splits into substitutions, insertions and deletions depends on which of the
cheapest alignments is taken: always the one that RapidFuzz traces back, a function of the pair.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

from ensemble_htr.text import Profile
from ensemble_htr.types import EPSILON

__all__ = [
    "Counts",
    "alignment_pairs",
    "char_counts",
    "edit_counts",
    "edit_distance",
    "word_counts",
]

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
    def rate(self) -> float:
        """Edits per reference token, a fraction that may exceed 1.

        Against an empty reference every token read is an insertion and the denominator is taken
        as 1, so that the rate is 0 for an empty reading and finite for any other.
        """
        return self.edits / max(1, self.reference)


def edit_counts(reference: Sequence[str], reading: Sequence[str]) -> Counts:
    """Count the edits that turn ``reference`` into ``reading`` (sequences of non-empty tokens)."""
    kinds = {"replace": 0, "insert": 0, "delete": 0}
    for edit in Levenshtein.editops(*_as_strings(reference, reading)):
        kinds[edit.tag] += 1
    hits = len(reference) - kinds["replace"] - kinds["delete"]
    return Counts(hits, kinds["replace"], kinds["insert"], kinds["delete"])


def edit_distance(reference: Sequence[str], reading: Sequence[str]) -> int:
    """Levenshtein distance of two token sequences (faster than `edit_counts`: no traceback)."""
    return Levenshtein.distance(*_as_strings(reference, reading))


def alignment_pairs(reference: Sequence[str], reading: Sequence[str]) -> list[tuple[str, str]]:
    """Align two token sequences: pairs (reference token or ``''``, reading token or ``''``).

    Leaving out the empty strings gives back each sequence; the number of unequal pairs is the
    edit distance.
    """
    pairs: list[tuple[str, str]] = []
    i = j = 0
    for edit in Levenshtein.editops(*_as_strings(reference, reading)):
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


def char_counts(reference: str, reading: str, profile: Profile) -> Counts:
    """Edits between grapheme clusters of two texts normalised by ``profile`` (rate = CER)."""
    return edit_counts(profile.tokens(reference), profile.tokens(reading))


def word_counts(reference: str, reading: str, profile: Profile) -> Counts:
    """Edits between whitespace-cut words of two texts normalised by ``profile`` (rate = WER)."""
    return edit_counts(profile.apply(reference).split(), profile.apply(reading).split())


def _as_strings(first: Sequence[str], second: Sequence[str]) -> tuple[str, str]:
    """Code both sequences as strings of one code point per token, equal where tokens are equal."""
    joined = "".join(first), "".join(second)
    if len(joined[0]) == len(first) and len(joined[1]) == len(second):
        return joined
    codes: dict[str, str] = {}
    for token in (*first, *second):
        codes.setdefault(token, chr(_FIRST_CODE + len(codes)))
    return "".join(codes[t] for t in first), "".join(codes[t] for t in second)
