"""The tables of `rivals.py`: plain functions of logs, readings' scores and tesseract's output."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ensemble_htr.evaluate import Report

PUBLISHED = 7.42  # kraken on register pages of these archives, 42,107 lines, a GPU (its model card)
KRAKEN, TESSERACT = "kraken", "tesseract"
Rows = Sequence[Mapping[str, Any]]


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSONL file; the last is left out where its writer was killed at it."""
    *rows, last = path.read_text(encoding="utf-8").split("\n") if path.is_file() else [""]
    del last  # "" where the writer got to the end
    return [json.loads(row) for row in rows]


def texts_of_tsv(table: str, pages: int) -> list[str]:
    """The words of each page of tesseract's table of boxes, in a row."""
    words: list[list[str]] = [[] for _ in range(pages)]
    for row in table.splitlines()[1:]:
        cells = row.split("\t")
        if len(cells) == 12 and cells[0] == "5":  # level 5 are words; the page counts from 1
            words[int(cells[1]) - 1] += cells[11].split()
    return [" ".join(line) for line in words]


@dataclass(frozen=True, slots=True)
class Training:
    """How far kraken was trained. Seconds are its processor's, without those that went into
    checking val, of all stretches together."""

    lines: int
    seconds: float
    checking: float  # seconds that checking val took
    best_lines: int  # when it read its part of val best
    best_seconds: float
    best_cer: float  # there, by its own count


def training(log: Rows) -> Training | None:
    """The state that a log tells of; None before val was checked."""
    checks = [row for row in log if "val_accuracy" in row]
    if not checks:
        return None
    last, best = log[-1], max(checks, key=lambda row: float(row["val_accuracy"]))
    cer = 1 - best["val_accuracy"]
    return Training(
        last["lines"], last["seconds"], last["checking"], best["lines"], best["seconds"], cer
    )


def name_of(system: str, state: Training | None, budget: float) -> str:
    """How a rival is called in the tables; kraken with the core-hours that it had."""
    if system != KRAKEN or state is None:
        return system
    return f"kraken at {state.seconds / 3600:.2f} of {budget:.2f} core-hours"


def scores(reports: Mapping[str, Report]) -> str:
    """Systems by splits: CER and WER with their intervals."""
    out = ["| CER %, WER % | " + " | ".join(reports) + " |", "|---|" + "---|" * len(reports)]
    for number, first in enumerate(next(iter(reports.values())).systems):
        cells = []
        for report in reports.values():
            s = report.systems[number].letters
            rates = [
                f"{100 * r.value:.2f} [{100 * r.low:.2f}, {100 * r.high:.2f}]"
                for r in (s.cer, s.wer)
            ]
            cells.append(", ".join(rates))
        out.append(f"| {first.name} | " + " | ".join(cells) + " |")
    return "\n".join(out)


def plain(report: Report) -> dict[str, Any]:
    """CER and WER with their intervals, system by system."""
    return {
        s.name: {"cer": asdict(s.letters.cer), "wer": asdict(s.letters.wer)} for s in report.systems
    }


def kraken_notes(
    reports: Mapping[str, Report], state: Training | None, budget: float, ours: float
) -> list[str]:
    """What to know of kraken's row; nothing where it has not read yet."""
    if state is None:
        return []
    halves, name = [], name_of(KRAKEN, state, budget)
    for split, report in reports.items():
        rate = {s.name: s.letters.cer.value for s in report.systems}
        halves.append(f"{split} {100 * rate['ensemble trio'] / rate[name]:.0f} %")
    return [
        f"kraken read with the weights of {state.best_lines:,} lines "
        f"({state.best_seconds / 3600:.2f} core-hours), the best on its part of val: CER "
        f"{100 * state.best_cer:.2f} % by its own count, {100 * ours:.2f} % by ours (the curves "
        "below are by its own). Checking val took it another "
        f"{state.checking / 3600:.2f} core-hours, not counted. Errors of `trio` for 100 of "
        f"kraken's: {', '.join(halves)}."
    ]


def curves(theirs: Rows, ours: Rows) -> str:
    """Both learning curves in one table, in the order of core-hours."""
    rows = [
        (row["seconds"], f"{row['lines']:,}", f"{100 * (1 - row['val_accuracy']):.1f}", "")
        for row in theirs
        if "val_accuracy" in row
    ]
    rows += [
        (row["seconds"], f"{row['lines']:,}", "", f"{100 * row['val_cer_letters']:.1f}")
        for row in ours
    ]
    head = ["| core-hours | lines | kraken, CER % | crnn, CER % |", "|---|---|---|---|"]
    return "\n".join(
        [*head, *(f"| {t / 3600:.2f} | {n} | {a} | {b} |" for t, n, a, b in sorted(rows))]
    )


def draw(theirs: Rows, ours: Rows, out: Path) -> None:
    """Both learning curves in one picture."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.add_subplot()
    checks = [row for row in theirs if "val_accuracy" in row]
    for label, rows, rate in (
        ("kraken's default network", checks, lambda row: 1 - row["val_accuracy"]),
        ("crnn", ours, lambda row: row["val_cer_letters"]),
    ):
        hours = [row["seconds"] / 3600 for row in rows]
        axes.plot(hours, [100 * rate(row) for row in rows], "o-", markersize=3, label=label)
    axes.axhline(PUBLISHED, color="tab:gray", linestyle="--")
    axes.annotate(
        f"published for kraken: {PUBLISHED} %, other pages, a GPU", (0, PUBLISHED), (0, 4),
        textcoords="offset points", color="tab:gray", fontsize="small",
    )  # fmt: skip
    axes.set_xlabel("core-hours of training")
    axes.set_ylabel("CER % on val, greedy")
    axes.set_ylim(0, 100)
    axes.legend(frameon=False)
    figure.savefig(out, dpi=110)


def speeds(seconds: Mapping[str, float], lines: int) -> str:
    """Lines per second, and how many times the first one's."""
    base = next(iter(seconds.values()))
    out = ["| | lines/s | times kraken |", "|---|---|---|"]
    for name, spent in seconds.items():
        out.append(f"| {name} | {lines / spent:.1f} | {base / spent:.1f} |")
    return "\n".join(out)
