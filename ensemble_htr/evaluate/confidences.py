"""Calibration of a system: its confidences, carried through the profile, against what was right."""

from __future__ import annotations

from collections.abc import Sequence

from ensemble_htr.evaluate.report import Calibration
from ensemble_htr.io.records import Record
from ensemble_htr.metrics import alignment_pairs, auroc, ece, reliability_bins
from ensemble_htr.text import Profile, graphemes

__all__ = ["carried_confidences", "character_calibration", "line_calibration"]


def character_calibration(
    lines: Sequence[tuple[str, Record]], profile: Profile
) -> Calibration | None:
    """Calibration of the characters of readings; ``lines`` are (normalised reference, record).

    A character read is right if it is a hit in the alignment; characters left out carry no
    confidence and do not count. None if no record has confidences.
    """
    claimed: list[float] = []
    right: list[bool] = []
    given = False
    for reference, record in lines:
        if record.confidences is None:
            continue
        given = True
        tokens, confidences = carried_confidences(record, profile)
        claimed += confidences
        pairs = alignment_pairs(graphemes(reference), tokens)
        right += [wanted == read for wanted, read in pairs if read]
    return _calibration(claimed, right) if given else None


def line_calibration(lines: Sequence[tuple[str, Record]], profile: Profile) -> Calibration | None:
    """Calibration of whole lines: is a line read without any error? None without confidences."""
    rows = [
        (record.confidence, profile.apply(record.text) == reference)
        for reference, record in lines
        if record.confidence is not None
    ]
    return _calibration([c for c, _ in rows], [r for _, r in rows]) if rows else None


def carried_confidences(
    record: Record, profile: Profile
) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """The record's tokens under ``profile`` with their confidences (the record must have some).

    Where normalisation changes the text, both texts are aligned: a token takes the confidence of
    the token it came from; one that came from none takes that of the token before it (or after).
    """
    before, after = graphemes(record.text), profile.tokens(record.text)
    confidences = record.confidences or ()
    if len(before) == len(after):
        return after, confidences
    carried: list[float] = []
    position = 0
    for raw, token in alignment_pairs(before, after):
        if token:
            source = position if raw else max(0, position - 1)
            carried.append(confidences[min(source, len(confidences) - 1)])
        position += bool(raw)
    return after, tuple(carried)


def _calibration(claimed: Sequence[float], right: Sequence[bool]) -> Calibration:
    return Calibration(
        count=len(claimed),
        ece=ece(claimed, right),
        auroc=auroc(claimed, right),
        bins=tuple(reliability_bins(claimed, right)),
    )
