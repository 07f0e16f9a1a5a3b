"""The evaluate verb: ground truth and systems in, one `Report` out, views of it beside it."""

from ensemble_htr.evaluate.as_json import json_schema, to_json
from ensemble_htr.evaluate.confidences import confidences
from ensemble_htr.evaluate.groups import facts_of
from ensemble_htr.evaluate.page import to_html
from ensemble_htr.evaluate.profiles import find_profile
from ensemble_htr.evaluate.report import (
    Calibration,
    Confidence,
    Confidences,
    Confusion,
    Correction,
    Difference,
    Engine,
    Ensemble,
    LineScore,
    Pair,
    ProfileScore,
    Report,
    Scores,
    Spread,
    SystemReport,
    Unordered,
)
from ensemble_htr.evaluate.score import Options, evaluate, score_records
from ensemble_htr.evaluate.views import to_text, to_tsv
from ensemble_htr.evaluate.words import read_lexicon

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
    "Options",
    "Pair",
    "ProfileScore",
    "Report",
    "Scores",
    "Spread",
    "SystemReport",
    "Unordered",
    "confidences",
    "evaluate",
    "facts_of",
    "find_profile",
    "json_schema",
    "read_lexicon",
    "score_records",
    "to_html",
    "to_json",
    "to_text",
    "to_tsv",
]
