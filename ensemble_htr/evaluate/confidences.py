"""Confidences against what was right: calibration, finding errors, the cost of review."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

from ensemble_htr.evaluate.report import Calibration, Confidence, Confidences
from ensemble_htr.io.records import Record, match_records
from ensemble_htr.metrics import (
    alignment_pairs,
    auroc,
    brier,
    ece,
    reliability_bins,
    review_curve,
    words_read,
)
from ensemble_htr.text import Profile, graphemes

__all__ = ["ConfidenceTally", "carried_confidences", "confidences"]


def confidences(
    truth: Sequence[Record], readings: Sequence[Record], profile: Profile, name: str = "readings"
) -> Confidences:
    """How far the confidences of ``readings`` may be trusted, for characters, words and lines.

    Records are matched as `match_records` does; lines with the profile's unread mark are left out,
    a line that is missing counts as least sure of all. Raises `InputError` where matching does.
    """
    tally = ConfidenceTally(profile)
    for wanted, record in zip(truth, match_records(truth, readings, name).found, strict=True):
        if profile.scorable(wanted.text):
            reference = profile.apply(wanted.text)
            read = "" if record is None else record.text
            tally.add(alignment_pairs(profile.cut(reference), profile.tokens(read)), record)
    return tally.confidences()


@dataclass(slots=True)
class _Units:
    """Units of one level: how sure, whether right, and how many edits each holds."""

    sure: array[float] = field(default_factory=lambda: array("d"))
    right: array[int] = field(default_factory=lambda: array("b"))
    edits: array[int] = field(default_factory=lambda: array("l"))

    def add(self, sure: float, right: bool, edits: int) -> None:
        self.sure.append(sure)
        self.right.append(right)
        self.edits.append(edits)

    def confidence(self, edits: int, reference: int) -> Confidence | None:
        if not self.sure:
            return None
        known = Calibration(
            count=len(self.sure),
            ece=ece(self.sure, self.right),
            brier=brier(self.sure, self.right),
            auroc=auroc(self.sure, self.right),
            bins=tuple(reliability_bins(self.sure, self.right)),
        )
        return Confidence(known, review_curve(self.sure, self.edits, edits, reference))


@dataclass(slots=True)
class ConfidenceTally:
    """Collects aligned lines of one system.

    A character read is right if it is a hit in the alignment; one that was left out is charged to
    the less sure of its neighbours, where a reader would find it. A word is right if it and the
    blanks round it are; a misread blank is charged to the word before it. A word without a
    confidence of its own has the product of its characters'; so has a line, where no line of the
    system has one.
    """

    profile: Profile
    characters: _Units = field(default_factory=_Units)
    words: _Units = field(default_factory=_Units)
    lines: _Units = field(default_factory=_Units)
    products: _Units = field(default_factory=_Units)  # lines by the product of their characters
    absent_edits: list[int] = field(default_factory=list)
    edits: int = 0
    reference: int = 0

    def add(self, pairs: Sequence[tuple[str, str]], record: Record | None) -> None:
        """One line; ``pairs`` align its tokens under the profile."""
        edits = sum(wanted != read for wanted, read in pairs)
        self.edits += edits
        self.reference += sum(1 for wanted, _ in pairs if wanted)
        if record is None:
            self.absent_edits.append(edits)
            return
        if record.confidence is not None:
            self.lines.add(record.confidence, edits == 0, edits)
        if record.confidences is None and not record.words:
            return
        sure = None
        if record.confidences is not None:
            _, sure = carried_confidences(record, self.profile)
            _add_characters(self.characters, pairs, sure)
            self.products.add(math.prod(sure), edits == 0, edits)
        _add_words(self.words, pairs, sure, tuple(c for _, c in record.words))

    def confidences(self) -> Confidences:
        """The figures; a level of which nothing is known is None."""
        lines = self.lines if self.lines.sure else self.products
        known = lines.confidence(self.edits, self.reference)
        if (
            known is not None and self.absent_edits
        ):  # to be looked at first, but nothing was claimed
            whole = _Units(lines.sure[:], lines.right[:], lines.edits[:])
            for edits in self.absent_edits:
                whole.add(0.0, edits == 0, edits)
            review = review_curve(whole.sure, whole.edits, self.edits, self.reference)
            known = Confidence(known.calibration, review)
        return Confidences(
            characters=self.characters.confidence(self.edits, self.reference),
            words=self.words.confidence(self.edits, self.reference),
            lines=known,
            given_lines=bool(self.lines.sure),
        )


def _add_characters(units: _Units, pairs: Sequence[tuple[str, str]], sure: Sequence[float]) -> None:
    held = [0] * len(sure)
    right = [False] * len(sure)
    place = 0
    for wanted, read in pairs:
        if read:
            right[place] = wanted == read
            held[place] += wanted != read
            place += 1
        elif sure:
            left, after = max(0, place - 1), min(place, len(sure) - 1)
            held[left if sure[left] <= sure[after] else after] += 1
    for claim, hit, edits in zip(sure, right, held, strict=True):
        units.add(claim, hit, edits)


def _add_words(
    units: _Units,
    pairs: Sequence[tuple[str, str]],
    sure: Sequence[float] | None,
    given: tuple[float, ...],
) -> None:
    """Add each word that was read, as `metrics.words_read` cuts them, with its confidence."""
    words = words_read(pairs)
    claims = given if len(given) == len(words) else ()
    if not claims:
        if sure is None:
            return
        claims = tuple(math.prod(sure[w.start : w.stop]) for w in words)
    for claim, word in zip(claims, words, strict=True):
        units.add(claim, word.right, word.edits)


def carried_confidences(
    record: Record, profile: Profile
) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """The record's tokens under ``profile`` with their confidences (the record must have some).

    Where normalisation changes the text, both texts are aligned: a token takes the confidence of
    the token it came from; one that came from none takes that of the token before it (or after).
    """
    before, after = graphemes(record.text), profile.tokens(record.text)
    claimed = record.confidences or ()
    if len(before) == len(after):
        return after, claimed
    carried: list[float] = []
    position = 0
    for raw, token in alignment_pairs(before, after):
        if token:
            source = position if raw else max(0, position - 1)
            carried.append(claimed[min(source, len(claimed) - 1)])
        position += bool(raw)
    return after, tuple(carried)
