"""What an evaluation found: computed once, viewed many times (table, JSON, TSV, HTML)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ensemble_htr.evaluate.words import WordAccuracy
from ensemble_htr.metrics import (
    Bin,
    Corrections,
    Counts,
    ErrorAgreement,
    Estimate,
    Review,
    SlipKind,
)

__all__ = [
    "Calibration",
    "Confidence",
    "Confidences",
    "Confusion",
    "Correction",
    "Difference",
    "Engine",
    "Ensemble",
    "LineScore",
    "Pair",
    "ProfileScore",
    "Report",
    "Scores",
    "Spread",
    "SystemReport",
    "Unordered",
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
    hand: str = ""
    kind: str = ""  # of the line, as its source names it


@dataclass(frozen=True, slots=True)
class Scores:
    """The figures of a set of lines; rates are over the profile's denominator. Intervals are over
    ``clusters`` clusters of kind ``unit``: documents, or pages (lines) where there is only one
    document (page)."""

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
    brier: float
    auroc: float
    bins: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class Confidence:
    """What the confidences of one level are worth."""

    calibration: Calibration
    review: Review


@dataclass(frozen=True, slots=True)
class Confidences:
    """By level; None where the system gives none. Without confidences of lines (``given_lines``
    false) those of ``lines`` are the products of their characters'."""

    characters: Confidence | None
    words: Confidence | None
    lines: Confidence | None
    given_lines: bool


@dataclass(frozen=True, slots=True)
class Spread:
    """How errors lie over lines and documents: rates, fractions, of characters or of words."""

    macro_lines: float  # mean over lines that have a reference
    macro_documents: float
    median: float  # of those lines
    capped: float  # no line counts for more errors than it is long
    catastrophic: float  # share of those lines with a rate of CATASTROPHIC or more


@dataclass(frozen=True, slots=True)
class Confusion:
    """``wanted`` was read as ``read``, ``times`` times; either may be empty."""

    wanted: str
    read: str
    kind: SlipKind
    times: int


@dataclass(frozen=True, slots=True)
class Unordered:
    """Scores that do not see the order of reading: lines of a page matched at the least cost
    whatever their order or names, words of a page as a bag."""

    pages: int
    cer: float  # of lines matched in the best way; NaN where pages are too large to match
    word_recall: float
    word_precision: float
    recut: tuple[str, ...]  # pages whose lines are cut otherwise: aligned as one text

    @property
    def word_f1(self) -> float:
        both = self.word_recall + self.word_precision
        return 2 * self.word_recall * self.word_precision / both if both else 0.0


@dataclass(frozen=True, slots=True)
class Difference:
    """Paired differences, this system minus system ``to`` (below 0 = fewer errors)."""

    to: str
    cer: Estimate
    wer: Estimate
    letters_cer: Estimate
    letters_wer: Estimate
    p: float  # of the CER difference: two-sided sign-flip permutation test over clusters
    verdict: str  # the difference in a sentence


@dataclass(frozen=True, slots=True)
class Correction:
    """What a system did to the text of ``to``, in sites (characters and gaps)."""

    to: str
    counts: Corrections


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
    spread: Spread  # of the CER
    word_spread: Spread  # of the WER
    hands: Mapping[str, Scores]  # of ``overall``; empty where the ground truth names none
    kinds: Mapping[str, Scores]  # by type of line
    pages: Mapping[tuple[str, str], Counts]  # characters, by (doc, page)
    slips: Mapping[SlipKind, int]  # edits by kind; they add up to those of ``overall``
    confusions: tuple[Confusion, ...]  # the most frequent
    word_accuracy: Mapping[str, WordAccuracy]
    unordered: Unordered
    confidences: Confidences
    corrections: tuple[Correction, ...]  # of the engines, else of the first system

    @property
    def characters(self) -> Calibration | None:
        """Calibration of characters; None where the system gives no confidences."""
        found = self.confidences.characters
        return None if found is None else found.calibration

    @property
    def line_confidences(self) -> Calibration | None:
        """Calibration of whole lines, where the system itself gives their confidence."""
        found = self.confidences.lines if self.confidences.given_lines else None
        return None if found is None else found.calibration


@dataclass(frozen=True, slots=True)
class Pair:
    """Two systems: who misreads the same characters of ``overall``, and which is better."""

    first: str
    second: str
    errors: ErrorAgreement
    difference: Difference  # the second minus the first


@dataclass(frozen=True, slots=True)
class ProfileScore:
    """The same lines under another profile: character counts by system, and their rates."""

    profile: str
    description: str
    characters: Mapping[str, Counts]
    cer: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine of an ensemble: reference characters that it alone reads right."""

    name: str
    cer: float
    alone: int


@dataclass(frozen=True, slots=True)
class Ensemble:
    """What the engines together could give, as error rates of the lines of ``overall``, always
    over the reference: paths through a network have no alignment whose length could be taken.

    ``gap_closed`` is, by system, the share of the way from the best engine to the oracle of the
    network (1 = there, below 0 = worse than the best engine).
    """

    engines: tuple[Engine, ...]
    never: int  # reference characters that no engine reads right
    vote: float  # plain majority in the network of all engines' readings
    oracle_lines: float  # the best engine of every line
    oracle_words: float  # words that no engine reads right, over all words
    oracle_network: float  # the nearest path through the network
    sampled: int  # lines of which networks were built
    gap_closed: Mapping[str, float]

    @property
    def best(self) -> Engine:
        return min(self.engines, key=lambda e: e.cer)


@dataclass(frozen=True, slots=True)
class Report:
    profile: str
    profile_description: str
    denominator: str  # of the rates: "reference" or "alignment"
    ground_truth: str
    letters_only: bool  # the headline figures are over lines with a letter
    lines: int  # scored, in ``overall``
    unread: int  # lines with the profile's unread mark: not scored
    level: float
    systems: tuple[SystemReport, ...]
    pairs: tuple[Pair, ...]
    method: str  # of the intervals
    beside: tuple[ProfileScore, ...]  # other profiles
    ensemble: Ensemble | None
    notices: tuple[str, ...]
