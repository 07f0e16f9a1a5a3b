"""Judging: the one place where evidence becomes a decision and a confidence."""

from ensemble_htr.combine.judge import Case, ImageScorer, Judge, LinesScorer
from ensemble_htr.combine.language import Backward, ModuleVoice
from ensemble_htr.combine.model import JudgeModel, Mode, load_judge, plain_judge

__all__ = [
    "Backward",
    "Case",
    "ImageScorer",
    "Judge",
    "JudgeModel",
    "LinesScorer",
    "Mode",
    "ModuleVoice",
    "load_judge",
    "plain_judge",
]
