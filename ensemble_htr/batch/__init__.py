"""Whole runs over many pages: worker processes, a journal to resume from, progress, one summary."""

from __future__ import annotations

from ensemble_htr.batch.combine import CombineOptions, combine
from ensemble_htr.batch.engines import Engine, MergedLine, engine_argument, load_engines
from ensemble_htr.batch.merging import Merged, merge
from ensemble_htr.batch.outcomes import RunSummary
from ensemble_htr.batch.pages import run_pages, shard_argument, transcribe
from ensemble_htr.batch.run import RunOptions, formats_argument

__all__ = [
    "CombineOptions",
    "Engine",
    "Merged",
    "MergedLine",
    "RunOptions",
    "RunSummary",
    "combine",
    "engine_argument",
    "formats_argument",
    "load_engines",
    "merge",
    "run_pages",
    "shard_argument",
    "transcribe",
]
