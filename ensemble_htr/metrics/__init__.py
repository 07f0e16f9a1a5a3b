"""Measures: edit counts, clustered intervals, calibration, agreement of errors, likeness.

Every figure is a function of additive counts, so that corpora can be summed before dividing; the
normalisation profile is always an argument, never a hidden default.
"""

from ensemble_htr.metrics.agreement import ErrorAgreement, error_agreement, written_at
from ensemble_htr.metrics.bootstrap import Estimate, bootstrap_difference, bootstrap_rate
from ensemble_htr.metrics.calibration import Bin, auroc, ece, reliability_bins
from ensemble_htr.metrics.distance import (
    Counts,
    alignment_pairs,
    char_counts,
    edit_counts,
    edit_distance,
    word_counts,
)
from ensemble_htr.metrics.likeness import alike, by_number, by_text

__all__ = [
    "Bin",
    "Counts",
    "ErrorAgreement",
    "Estimate",
    "alignment_pairs",
    "alike",
    "auroc",
    "bootstrap_difference",
    "bootstrap_rate",
    "by_number",
    "by_text",
    "char_counts",
    "ece",
    "edit_counts",
    "edit_distance",
    "error_agreement",
    "reliability_bins",
    "word_counts",
    "written_at",
]
