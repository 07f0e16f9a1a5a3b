"""What a reader of an evaluation must be told before its figures are believed."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from ensemble_htr.errors import printable
from ensemble_htr.evaluate.report import SystemReport
from ensemble_htr.io.records import Record

__all__ = ["cluster_notices", "copies", "count_of", "key_of", "notices_of", "place_of"]

_TOO_FEW = 10  # clusters
_ELSEWHERE = 0.1  # CER that another order of lines must take away to be told


def cluster_notices(system: SystemReport, source: str) -> list[str]:
    scores = system.overall
    if scores.clusters == 1:
        return [f"{source}: only one line: the intervals are but its rates, and say nothing"]
    if scores.unit != "document":
        return [
            f"{source}: only one document: the intervals are over {scores.unit}s, and say "
            "nothing of other documents"
        ]
    if scores.clusters < _TOO_FEW:
        return [
            f"{source}: only {scores.clusters} documents: the intervals are wide and rough, and "
            "other documents may well lie outside them"
        ]
    return []


def copies(systems: Sequence[SystemReport], source: str) -> list[str]:
    """Systems whose readings are copies: of the ground truth, or of one another."""
    notices = []
    for system in systems:
        if all(line.reading == line.reference for line in system.lines):
            notices.append(f"{system.name}: reads every line as {source} does; is it a copy?")
    for one, two in itertools.combinations(systems, 2):
        pairs = zip(one.lines, two.lines, strict=True)
        if all(a.reading == b.reading for a, b in pairs):
            notices.append(f"{one.name} and {two.name} read every line the same; is one a copy?")
    return notices


def notices_of(system: SystemReport) -> list[str]:
    notices = []
    if cut := system.unordered.recut:
        count = "1 page" if len(cut) == 1 else f"{len(cut)} pages"
        notices.append(
            f"{system.name}: {count} with no line id of the ground truth, aligned as one text "
            f"each: {_few(cut)}"
        )
    if system.missing:
        notices.append(
            f"{system.name}: {count_of(len(system.missing))} of {len(system.lines)} missing, "
            f"scored as empty: {_few(system.missing)}"
        )
    if system.extra:
        notices.append(
            f"{system.name}: {count_of(len(system.extra))} not in the ground truth, not scored: "
            f"{_few(system.extra)}"
            + ("; lines are found by their ids, are these others?" if system.missing else "")
        )
    by_place, free = system.overall.cer.value, system.unordered.cer
    if by_place - free >= _ELSEWHERE and free <= by_place / 2:  # not where ``free`` is NaN
        notices.append(
            f"{system.name}: its lines are like other lines of their pages: CER {by_place:.1%} as "
            f"they are matched, {free:.1%} in any order; do its ids mean the same lines?"
        )
    return notices


def count_of(count: int) -> str:
    return "1 line" if count == 1 else f"{count} lines"


def _few(names: Sequence[str]) -> str:
    return ", ".join(printable(name, 80) for name in names[:3]) + (
        ", ..." if len(names) > 3 else ""
    )


def place_of(page: str, line: str) -> str:
    return f"{page}/{line}" if page else line


def key_of(record: Record) -> str:
    return place_of(record.page, record.id)
