"""What an evaluation found: computed once, viewed many times (table, JSON, later HTML)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ensemble_htr.metrics import Bin, Counts, ErrorAgreement, Estimate

__all__ = [
    "Calibration",
    "Difference",
    "LineScore",
    "Pair",
    "Report",
    "Scores",
    "SystemReport",
]


@dataclass(frozen=True, slots=True)
class LineScore:
    """One scored line of one system; both texts are normalised by the report's profile."""

    id: str
    page: str
    doc: str
    reference: str
    reading: str  # empty if the system lacks the line
    letters: bool  # whether the reference holds a letter
    missing: bool
    characters: Counts
    words: Counts


@dataclass(frozen=True, slots=True)
class Scores:
    """The figures of a set of lines. Intervals resample ``clusters`` clusters of kind ``unit``:
    documents, or pages (lines) where there is only one document (page)."""

    lines: int
    right: int  # lines without any edit
    characters: Counts
    words: Counts
    cer: Estimate
    wer: Estimate
    unit: str  # "document", "page" or "line"
    clusters: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """How honest a system's confidences are. ``auroc`` is NaN if all are right or all wrong."""

    count: int
    ece: float
    auroc: float
    bins: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """Paired differences, this system minus system ``to`` (below 0 = fewer errors)."""

    to: str
    cer: Estimate
    wer: Estimate
    letters_cer: Estimate
    letters_wer: Estimate


@dataclass(frozen=True, slots=True)
class SystemReport:
    name: str
    overall: Scores  # over all scored lines, or those with a letter if the report says so
    letters: Scores  # lines whose reference holds a letter
    no_letters: Scores
    documents: Mapping[str, Scores]  # of ``overall``
    lines: tuple[LineScore, ...]
    missing: tuple[str, ...]  # lines of the ground truth that the system lacks: scored as empty
    extra: tuple[str, ...]  # lines that the ground truth lacks: not scored
    difference: Difference | None  # to the first system; None for that one
    characters: Calibration | None  # None where the system gives no confidences
    line_confidences: Calibration | None


@dataclass(frozen=True, slots=True)
class Pair:
    """Who misreads the same characters: counts over the characters of ``overall``."""

    first: str
    second: str
    errors: ErrorAgreement


@dataclass(frozen=True, slots=True)
class Report:
    profile: str
    profile_description: str
    ground_truth: str
    letters_only: bool  # the headline figures are over lines with a letter
    lines: int  # scored, in ``overall``
    unread: int  # lines with the profile's unread mark: not scored
    draws: int
    level: float
    seed: int
    systems: tuple[SystemReport, ...]
    pairs: tuple[Pair, ...]
    notices: tuple[str, ...]
