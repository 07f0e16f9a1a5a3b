"""The picture of a training log: loss and CER over epochs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ensemble_htr.files import atomic_write

__all__ = ["plot_log", "read_log", "trim_log"]


def read_log(log: Path) -> list[dict[str, Any]]:
    """The rows of a ``log.jsonl``, one an epoch; what is no whole row (a run that was killed while
    writing it) is left out."""
    if not log.exists():
        return []
    rows = []
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get("epoch"), int):
            rows.append(row)
    return rows


def trim_log(log: Path, epoch: int) -> None:
    """Leave out what a killed run logged after its checkpoint of ``epoch``: it will be done again.
    Raises `OutputError`."""
    if log.exists():
        rows = [row for row in read_log(log) if row["epoch"] <= epoch]
        atomic_write(log, "".join(json.dumps(row) + "\n" for row in rows))


def plot_log(log: Path, out: Path) -> bool:
    """Draw ``log.jsonl`` into a PNG; returns False where matplotlib is not installed or there is
    nothing to draw."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    rows = read_log(log)
    if not rows:
        return False
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    left = figure.add_subplot()
    epochs = [row["epoch"] for row in rows]
    left.plot(epochs, [row["loss"] for row in rows], color="tab:gray", label="training loss")
    left.set_xlabel("epoch")
    left.set_ylabel("CTC loss per character")
    right = left.twinx()
    right.plot(epochs, [100 * r["val_cer_letters"] for r in rows], "o-", label="val, letters")
    right.plot(epochs, [100 * r["val_cer"] for r in rows], ".--", label="val, all lines")
    right.set_ylabel("greedy CER %")
    right.set_ylim(0, min(100, right.get_ylim()[1]))
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    figure.savefig(out, dpi=110)
    return True
