"""Alignment of all readings of a line into one confusion network."""

from __future__ import annotations

from ensemble_htr.align.costs import AlignOptions
from ensemble_htr.align.network import SumOfPairsAligner
from ensemble_htr.align.oracle import oracle_distance
from ensemble_htr.align.pairs import learn_pairs

__all__ = ["AlignOptions", "SumOfPairsAligner", "learn_pairs", "oracle_distance"]
