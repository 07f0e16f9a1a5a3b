"""The evaluate verb: ground truth and systems in, one `Report` out, views of it beside it."""

from ensemble_htr.evaluate.report import (
    Calibration,
    Difference,
    LineScore,
    Pair,
    Report,
    Scores,
    SystemReport,
)
from ensemble_htr.evaluate.score import evaluate, score_records
from ensemble_htr.evaluate.views import to_json, to_text

__all__ = [
    "Calibration",
    "Difference",
    "LineScore",
    "Pair",
    "Report",
    "Scores",
    "SystemReport",
    "evaluate",
    "score_records",
    "to_json",
    "to_text",
]
