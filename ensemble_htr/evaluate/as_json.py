"""A `Report` as plain values for JSON; `schema.json` beside this file says what each means."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from ensemble_htr.evaluate.report import (
    Calibration,
    Confidence,
    Difference,
    Ensemble,
    Report,
    Scores,
    Spread,
    SystemReport,
)
from ensemble_htr.evaluate.words import NEAR
from ensemble_htr.metrics import TARGETS, Counts, Estimate, Review

__all__ = ["SCHEMA", "json_schema", "to_json"]

SCHEMA = 1  # raised when a key changes its meaning or goes; new keys may come at any time


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of what `to_json` gives."""
    text = files("ensemble_htr.evaluate").joinpath("schema.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def to_json(report: Report) -> dict[str, Any]:
    """The report as plain values; rates are fractions, what is undefined is None.

    ``systems[i]``: ``name``, ``cer`` and ``wer`` (each ``value``, ``low``, ``high``) over the
    scored lines, the same again in ``letters``, ``no_letters`` and ``documents[doc]``, and more.
    """
    first = report.systems[0].overall if report.systems else None
    return {
        "schema": SCHEMA,
        "profile": report.profile,
        "profile_description": report.profile_description,
        "denominator": report.denominator,
        "scope": "letters" if report.letters_only else "all",
        "ground_truth": {
            "path": report.ground_truth,
            "lines": report.lines,
            "unread_lines": report.unread,
            "characters": first.characters.reference if first else 0,
            "words": first.words.reference if first else 0,
            "documents": len(report.systems[0].documents) if report.systems else 0,
        },
        "interval": {"method": report.method, "level": report.level},
        "systems": [_system(system) for system in report.systems],
        "agreement": [
            {
                "systems": [pair.first, pair.second],
                "phi": pair.errors.phi,
                "shared": pair.errors.shared,
                "identical": pair.errors.identical,
                "difference": _difference(pair.difference),
            }
            for pair in report.pairs
        ],
        "profiles": [
            {
                "profile": score.profile,
                "profile_description": score.description,
                "systems": [
                    {"name": n, "cer": score.cer[n], "characters": _counts(c)}
                    for n, c in score.characters.items()
                ],
            }
            for score in report.beside
        ],
        "ensemble": None if report.ensemble is None else _ensemble(report.ensemble),
        "notices": list(report.notices),
    }


def _system(system: SystemReport) -> dict[str, Any]:
    return {
        "name": system.name,
        **_scores(system.overall),
        "letters": _scores(system.letters),
        "no_letters": _scores(system.no_letters),
        "documents": _named(system.documents),
        "hands": _named(system.hands),
        "line_types": _named(system.kinds),
        "pages": [
            {"doc": doc, "page": page, "characters": _counts(counts)}
            for (doc, page), counts in system.pages.items()
        ],
        "missing_lines": len(system.missing),
        "extra_lines": len(system.extra),
        "difference": None if system.difference is None else _difference(system.difference),
        "calibration": {
            "characters": _calibration(system.characters),
            "lines": _calibration(system.line_confidences),
        },
        **_details(system),
    }


def _details(system: SystemReport) -> dict[str, Any]:
    free = system.unordered
    return {
        "spread": _spread(system.spread),
        "word_spread": _spread(system.word_spread),
        "errors": dict(system.slips),
        "confusions": [
            {"reference": c.wanted, "reading": c.read, "kind": c.kind, "times": c.times}
            for c in system.confusions
        ],
        "word_accuracy": {
            kind: {
                "words": a.words,
                "exact": a.exact,
                **{f"within_{k}": n for k, n in zip(NEAR, a.near, strict=True)},
            }
            for kind, a in system.word_accuracy.items()
        },
        "unordered": {
            "pages": free.pages,
            "cer": _number(free.cer),
            "word_recall": free.word_recall,
            "word_precision": free.word_precision,
            "word_f1": free.word_f1,
            "recut_pages": list(free.recut),
        },
        "confidences": {
            "characters": _confidence(system.confidences.characters),
            "words": _confidence(system.confidences.words),
            "lines": _confidence(system.confidences.lines),
            "lines_given": system.confidences.given_lines,
        },
        "corrections": [
            {
                "to": c.to,
                "kept": c.counts.kept,
                "fixed": c.counts.fixed,
                "missed": c.counts.missed,
                "changed": c.counts.changed,
                "broken": c.counts.broken,
                "over_correction": c.counts.over_correction,
                "recall": c.counts.recall,
                "precision": c.counts.precision,
            }
            for c in system.corrections
        ],
    }


def _spread(spread: Spread) -> dict[str, float]:
    return {
        "macro_lines": spread.macro_lines,
        "macro_documents": spread.macro_documents,
        "median_line": spread.median,
        "capped": spread.capped,
        "catastrophic_lines": spread.catastrophic,
    }


def _named(groups: Mapping[str, Scores]) -> dict[str, Any]:
    return {name: _scores(scores) for name, scores in groups.items()}


def _scores(scores: Scores) -> dict[str, Any]:
    return {
        "cer": _estimate(scores.cer),
        "wer": _estimate(scores.wer),
        "lines": scores.lines,
        "lines_right": scores.right,
        "characters": _counts(scores.characters),
        "words": _counts(scores.words),
        "interval_over": {"unit": scores.unit, "clusters": scores.clusters},
    }


def _estimate(estimate: Estimate) -> dict[str, float]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}


def _counts(counts: Counts) -> dict[str, int]:
    return {
        "reference": counts.reference,
        "edits": counts.edits,
        "hits": counts.hits,
        "substitutions": counts.substitutions,
        "insertions": counts.insertions,
        "deletions": counts.deletions,
    }


def _difference(difference: Difference) -> dict[str, Any]:
    return {
        "to": difference.to,
        "cer": _estimate(difference.cer),
        "wer": _estimate(difference.wer),
        "letters": {
            "cer": _estimate(difference.letters_cer),
            "wer": _estimate(difference.letters_wer),
        },
        "p": difference.p,
        "verdict": difference.verdict,
    }


def _confidence(confidence: Confidence | None) -> dict[str, Any] | None:
    if confidence is None:
        return None
    known = _calibration(confidence.calibration)
    assert known is not None
    return {**known, "review": _review(confidence.review)}


def _review(review: Review) -> dict[str, Any]:
    return {
        "units": review.units,
        "cer_after_checking": [{"share": s, "cer": cer} for s, cer in review.points],
        "share_needed": [
            {"cer": t, "share": share} for t, share in zip(TARGETS, review.needed, strict=True)
        ],
        "errors_in_least_sure_fifth": review.found,
    }


def _calibration(calibration: Calibration | None) -> dict[str, Any] | None:
    if calibration is None:
        return None
    return {
        "count": calibration.count,
        "ece": calibration.ece,
        "brier": calibration.brier,
        "auroc": _number(calibration.auroc),
        "bins": [
            {"count": b.count, "confidence": b.confidence, "accuracy": b.accuracy}
            for b in calibration.bins
        ],
    }


def _ensemble(ensemble: Ensemble) -> dict[str, Any]:
    return {
        "engines": [
            {"name": e.name, "cer": e.cer, "right_alone": e.alone} for e in ensemble.engines
        ],
        "never_right": ensemble.never,
        "vote": ensemble.vote,
        "oracle_lines": ensemble.oracle_lines,
        "oracle_words": ensemble.oracle_words,
        "oracle_network": ensemble.oracle_network,
        "sampled_lines": ensemble.sampled,
        "gap_closed": dict(ensemble.gap_closed),
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
