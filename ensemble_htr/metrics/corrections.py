"""What a system did to another's text: mended, missed, broken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

__all__ = ["Corrections", "Sites", "corrections", "sites"]


@dataclass(frozen=True, slots=True)
class Sites:
    """A reading laid along its reference: what it writes for each token (``''`` = nothing), and
    what it adds before each of them and after the last (``gaps``, one more than tokens)."""

    wanted: tuple[str, ...]
    written: tuple[str, ...]
    gaps: tuple[str, ...]


def sites(pairs: Sequence[tuple[str, str]]) -> Sites:
    """Lay out an aligned line (pairs as `alignment_pairs` gives them)."""
    wanted, written, gaps, added = [], [], [], ""
    for want, read in pairs:
        if want:
            wanted.append(want)
            written.append(read)
            gaps.append(added)
            added = ""
        else:
            added += read
    return Sites(tuple(wanted), tuple(written), (*gaps, added))


@dataclass(frozen=True, slots=True)
class Corrections:
    """Additive counts of sites: reference tokens, and gaps where either text adds something (a
    gap is right if nothing is added there)."""

    kept: int = 0  # right before and after
    fixed: int = 0  # wrong, then right
    missed: int = 0  # wrong, and left as it was
    changed: int = 0  # wrong, then wrong in another way
    broken: int = 0  # right, then wrong

    def __add__(self, other: Corrections) -> Corrections:
        return Corrections(
            self.kept + other.kept,
            self.fixed + other.fixed,
            self.missed + other.missed,
            self.changed + other.changed,
            self.broken + other.broken,
        )

    @property
    def over_correction(self) -> float:
        """Share of what was right that is now wrong."""
        return self.broken / max(1, self.kept + self.broken)

    @property
    def recall(self) -> float:
        """Share of what was wrong that is now right."""
        return self.fixed / max(1, self.fixed + self.missed + self.changed)

    @property
    def precision(self) -> float:
        """Share of the changes that mended something."""
        return self.fixed / max(1, self.fixed + self.changed + self.broken)


def corrections(before: Sites, after: Sites) -> Corrections:
    """Compare two readings of the same reference; raises ValueError if references differ."""
    if before.wanted != after.wanted:
        raise ValueError("corrections are counted between readings of one reference")
    kept = fixed = missed = changed = broken = 0
    rows = [*zip(before.wanted, before.written, after.written, strict=True)]
    rows += [("", b, a) for b, a in zip_longest(before.gaps, after.gaps) if b or a]
    for want, old, new in rows:
        if old == want:
            kept += new == want
            broken += new != want
        elif new == want:
            fixed += 1
        else:
            missed += new == old
            changed += new != old
    return Corrections(kept, fixed, missed, changed, broken)
