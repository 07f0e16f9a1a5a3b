"""Measures: edit counts, clustered intervals, calibration, agreement of errors, likeness.

Every figure is a function of additive counts, so that corpora can be summed before dividing; the
normalisation profile is always an argument, never a hidden default.
"""

from ensemble_htr.metrics.agreement import ErrorAgreement, agreement_at, error_agreement, written_at
from ensemble_htr.metrics.anchors import anchors
from ensemble_htr.metrics.bootstrap import Estimate, bootstrap_difference, bootstrap_rate
from ensemble_htr.metrics.calibration import Bin, auroc, brier, ece, reliability_bins
from ensemble_htr.metrics.corrections import Corrections, Sites, corrections, sites
from ensemble_htr.metrics.distance import (
    Counts,
    alignment_pairs,
    char_counts,
    edit_counts,
    edit_distance,
    pair_counts,
    profile_counts,
    profile_pairs,
    word_counts,
)
from ensemble_htr.metrics.intervals import (
    difference_interval,
    effective_clusters,
    rate_interval,
    sign_flip_test,
)
from ensemble_htr.metrics.likeness import alike, by_number, by_text
from ensemble_htr.metrics.review import SHARES, TARGETS, Review, review_curve
from ensemble_htr.metrics.slips import SLIP_KINDS, Slip, SlipKind, slips
from ensemble_htr.metrics.wordwise import WordRead, words_read

__all__ = [
    "WordRead",
    "words_read",
    "Bin",
    "Corrections",
    "Counts",
    "ErrorAgreement",
    "Estimate",
    "Review",
    "SHARES",
    "SLIP_KINDS",
    "Sites",
    "Slip",
    "SlipKind",
    "TARGETS",
    "agreement_at",
    "alignment_pairs",
    "alike",
    "anchors",
    "auroc",
    "bootstrap_difference",
    "bootstrap_rate",
    "brier",
    "by_number",
    "by_text",
    "char_counts",
    "corrections",
    "difference_interval",
    "ece",
    "edit_counts",
    "edit_distance",
    "effective_clusters",
    "error_agreement",
    "pair_counts",
    "profile_counts",
    "profile_pairs",
    "rate_interval",
    "reliability_bins",
    "review_curve",
    "sign_flip_test",
    "sites",
    "slips",
    "word_counts",
    "written_at",
]
