"""Views of a `Report`: the JSON of the contract and a table to read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ensemble_htr.evaluate.report import Calibration, Difference, Report, Scores, SystemReport
from ensemble_htr.metrics import Counts, Estimate

__all__ = ["SCHEMA", "to_json", "to_text"]

SCHEMA = 1
_NAME_WIDTH = 32  # columns


def to_json(report: Report) -> dict[str, Any]:
    """The report as plain values for JSON; rates are fractions, what is undefined is None.

    ``systems[i]``: ``name``, ``cer`` and ``wer`` (each ``value``, ``low``, ``high``) over the
    scored lines, the same again in ``letters``, ``no_letters`` and ``documents[doc]``, and more.
    """
    first = report.systems[0].overall if report.systems else None
    return {
        "schema": SCHEMA,
        "profile": report.profile,
        "profile_description": report.profile_description,
        "scope": "letters" if report.letters_only else "all",
        "ground_truth": {
            "path": report.ground_truth,
            "lines": report.lines,
            "unread_lines": report.unread,
            "characters": first.characters.reference if first else 0,
            "words": first.words.reference if first else 0,
            "documents": len(report.systems[0].documents) if report.systems else 0,
        },
        "interval": {
            "method": "percentile bootstrap over clusters",
            "level": report.level,
            "draws": report.draws,
            "seed": report.seed,
        },
        "systems": [_system(system) for system in report.systems],
        "agreement": [
            {
                "systems": [pair.first, pair.second],
                "phi": pair.errors.phi,
                "shared": pair.errors.shared,
                "identical": pair.errors.identical,
            }
            for pair in report.pairs
        ],
        "notices": list(report.notices),
    }


def to_text(report: Report, per_document: bool = False) -> str:
    """The report as a table, rates in per cent; every figure with its profile and denominator."""
    blocks = [_heading(report), _rates(report)]
    if any(system.difference for system in report.systems):
        blocks.append(_differences(report))
    if report.pairs:
        blocks.append(_agreement(report))
    if any(s.characters or s.line_confidences for s in report.systems):
        blocks.append(_confidences(report))
    if per_document:
        blocks.append(_documents(report))
    return "\n\n".join(blocks)


def _system(system: SystemReport) -> dict[str, Any]:
    return {
        "name": system.name,
        **_scores(system.overall),
        "letters": _scores(system.letters),
        "no_letters": _scores(system.no_letters),
        "documents": {doc: _scores(scores) for doc, scores in system.documents.items()},
        "missing_lines": len(system.missing),
        "extra_lines": len(system.extra),
        "difference": None if system.difference is None else _difference(system.difference),
        "calibration": {
            "characters": _calibration(system.characters),
            "lines": _calibration(system.line_confidences),
        },
    }


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
    }


def _calibration(calibration: Calibration | None) -> dict[str, Any] | None:
    if calibration is None:
        return None
    return {
        "count": calibration.count,
        "ece": calibration.ece,
        "auroc": None if math.isnan(calibration.auroc) else calibration.auroc,
        "bins": [
            {"count": b.count, "confidence": b.confidence, "accuracy": b.accuracy}
            for b in calibration.bins
        ],
    }


def _heading(report: Report) -> str:
    scope = "lines with a letter" if report.letters_only else "lines"
    text = [
        f"profile       {report.profile}: {report.profile_description}",
        f"ground truth  {report.ground_truth}: {report.lines:,} {scope} scored"
        + (f", {report.unread:,} unread not scored" if report.unread else ""),
    ]
    if report.systems:
        scores = report.systems[0].overall
        text += [
            f"denominators  {scores.characters.reference:,} characters (CER), "
            f"{scores.words.reference:,} words (WER)",
            f"intervals     {report.level:.0%}, {report.draws:,} draws of {scores.clusters:,} "
            f"{scores.unit}{'' if scores.clusters == 1 else 's'}",
        ]
    return "\n".join(text)


def _rates(report: Report) -> str:
    rows = [["per cent", "CER", "", "WER", "", "CER letters", "", "CER no letter", "lines right"]]
    for s in report.systems:
        bare = _percent(s.no_letters.cer.value) if s.no_letters.lines else "-"
        right = _percent(s.overall.right / max(1, s.overall.lines))
        columns = (_with_interval(e) for e in (s.overall.cer, s.overall.wer, s.letters.cer))
        rows.append([s.name, *(cell for pair in columns for cell in pair), bare, right])
    first = report.systems[0] if report.systems else None
    if first is not None:
        lines = (first.letters.lines, first.no_letters.lines, first.overall.lines)
        of = [f"{n:,} lines" for n in lines]
        rows.append(["over", "", of[2], "", of[2], "", of[0], of[1], of[2]])
    return _table(rows)


def _differences(report: Report) -> str:
    rows = [[f"minus {report.systems[0].name}, in points", "CER", "", "WER", "", "CER letters", ""]]
    for s in report.systems:
        if (d := s.difference) is not None:
            columns = (_with_interval(e, "+") for e in (d.cer, d.wer, d.letters_cer))
            rows.append([s.name, *(cell for pair in columns for cell in pair)])
    return _table(rows)


def _agreement(report: Report) -> str:
    rows = [["errors in common", "phi", "shared %", "identical %"]]
    rows += [
        [
            f"{_cut(p.first)} & {_cut(p.second)}",
            f"{p.errors.phi:.3f}",
            _percent(p.errors.shared),
            _percent(p.errors.identical),
        ]
        for p in report.pairs
    ]
    return _table(rows, cut=False)


def _confidences(report: Report) -> str:
    rows = [["confidences", "ECE char", "AUROC char", "ECE line", "AUROC line"]]
    for s in report.systems:
        cells = []
        for c in (s.characters, s.line_confidences):
            cells += ["-", "-"] if c is None else [f"{c.ece:.4f}", f"{c.auroc:.4f}"]
        rows.append([s.name, *cells])
    return _table(rows)


def _documents(report: Report) -> str:
    names = [system.name for system in report.systems]
    rows = [["CER per document, per cent", "lines", "characters", *map(_cut, names)]]
    for doc, scores in report.systems[0].documents.items():
        rates = [_percent(system.documents[doc].cer.value) for system in report.systems]
        count = scores.characters.reference
        rows.append([doc or "(none)", f"{scores.lines:,}", f"{count:,}", *rates])
    return _table(rows)


def _percent(rate: float, sign: str = "") -> str:
    return format(100 * rate, f"{sign}.2f")


def _with_interval(estimate: Estimate, sign: str = "") -> tuple[str, str]:
    low, high = _percent(estimate.low, sign), _percent(estimate.high, sign)
    return _percent(estimate.value, sign), f"[{low}, {high}]"


def _cut(name: str) -> str:
    return name if len(name) <= _NAME_WIDTH else "…" + name[1 - _NAME_WIDTH :]


def _table(rows: Sequence[Sequence[str]], cut: bool = True) -> str:
    """Columns set in line: the first to the left, the others to the right."""
    rows = [[_cut(row[0]) if cut else row[0], *row[1:]] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
