"""What kind of error is it? Edits of an alignment, sorted so that the kinds add up to the edits."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

__all__ = ["SLIP_KINDS", "Slip", "SlipKind", "slips"]

SlipKind = Literal[
    "line lost", "line added", "repetition", "word split", "words merged", "hyphenation",
    "abbreviation", "digit", "accent", "case", "punctuation", "confusable", "letter replaced",
    "letter added", "letter left out", "other",
]  # fmt: skip
SLIP_KINDS: tuple[SlipKind, ...] = get_args(SlipKind)

_RUN = 4  # insertions in a row that repeat something: a decoder that ran away
_HYPHENS = frozenset("-‐‑=⸗¬\u00ad")
_SIGNS = frozenset("^°~\u0303\u0304\u0305")  # marks of superscripts and contractions
# Letters of one shape in Latin cursive. Minims are strokes: any number of them looks like another.
_MINIMS = frozenset("imnruvwıcj")
_SHAPES = tuple(map(frozenset, ("ceo", "aou", "el", "tlif", "bhkl", "gyjzpq", "fſsp", "xnr", "dclo",
                                "SLIJTF", "CEGO", "MNHUV", "PBRD", "ae")))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Slip:
    """One error: ``wanted`` was read as ``read`` (either may be empty); it took ``edits`` edits."""

    wanted: str
    read: str
    kind: SlipKind
    edits: int


def slips(pairs: Sequence[tuple[str, str]]) -> list[Slip]:
    """Sort the edits of an aligned line (pairs as `alignment_pairs` gives them).

    A replacement beside an insertion or a deletion is one slip (m read as rn, ct as d); blanks
    stand alone. Each edit is in exactly one slip.
    """
    if not pairs:
        return []
    if not any(read for _, read in pairs):
        return [Slip("".join(wanted for wanted, _ in pairs), "", "line lost", len(pairs))]
    if not any(wanted for wanted, _ in pairs):
        return [Slip("", "".join(read for _, read in pairs), "line added", len(pairs))]
    found: list[Slip] = []
    place, end = 0, len(pairs)
    while place < end:
        wanted, read = pairs[place]
        if wanted == read:
            place += 1
            continue
        size = _runaway(pairs, place)
        kind: SlipKind = "repetition"
        if not size:
            size = 2 if place + 1 < end and _belong(pairs[place], pairs[place + 1]) else 1
            if size == 2:
                wanted, read = wanted + pairs[place + 1][0], read + pairs[place + 1][1]
            kind = _kind(wanted, read, place + size == end)
        else:
            read = "".join(r for _, r in pairs[place : place + size])
        found.append(Slip(wanted, read, kind, size))
        place += size
    return found


def _runaway(pairs: Sequence[tuple[str, str]], place: int) -> int:
    """Length of the run of insertions at ``place`` if it repeats itself, else 0."""
    end = place
    while end < len(pairs) and not pairs[end][0]:
        end += 1
    if end - place < _RUN:
        return 0
    run = [read for _, read in pairs[place:end]]
    periods = range(1, len(run) // 2 + 1)
    return len(run) if any(run[p:] == run[:-p] for p in periods) else 0


def _belong(one: tuple[str, str], two: tuple[str, str]) -> bool:
    if two[0] == two[1] or any(token.isspace() for token in (*one, *two)):
        return False
    return (all(one) and not all(two)) or (all(two) and not all(one))


@lru_cache(maxsize=1 << 16)
def _kind(wanted: str, read: str, last: bool) -> SlipKind:
    if wanted.isspace() or read.isspace():
        return "words merged" if wanted.isspace() else "word split"
    both = wanted + read
    if last and (set(both) <= _HYPHENS) and not (wanted and read):
        return "hyphenation"
    raised = any(unicodedata.decomposition(c)[:7] == "<super>" for c in both)
    if raised or not _SIGNS.isdisjoint(both):
        return "abbreviation"
    if any(c.isdigit() for c in both):
        return "digit"
    if wanted and read and (alike := _alike(wanted, read)):
        return alike
    if all(unicodedata.category(c)[0] in "PS" for c in both):
        return "punctuation"
    if not (wanted and read):
        letter = (wanted or read)[0].isalpha()
        return ("letter left out" if wanted else "letter added") if letter else "other"
    if not both.replace("\u0301", "").isalpha():
        return "other"
    letters = set(both)
    close = letters <= _MINIMS or any(letters <= shape for shape in _SHAPES)
    return "confusable" if close else "letter replaced"


def _alike(wanted: str, read: str) -> SlipKind | None:
    if wanted.casefold() == read.casefold():
        return "case"
    bare = [
        "".join(c for c in unicodedata.normalize("NFD", t) if unicodedata.category(c) != "Mn")
        for t in (wanted.casefold(), read.casefold())
    ]
    return "accent" if bare[0] == bare[1] else None
