"""What more hours of training would bring: the learning curves of the shipped recognizers.

    python eval/hours.py

Reads the logs on the shelf (val CER of every epoch and the core-hours until then). A net was
trained in several schedules, and within one the rate falls and takes the CER with it: only the ends
of schedules can be compared. Through those goes a power law, error = (b * hours) ** -c (Hestness et
al., 2017), fitted in the logarithms: once through the last and the one before it that has four
fifths of its hours or fewer (nets that know their lines by heart learn more slowly than they did),
once through all after the first hour. In their last hours all nets came to read wider lines
(`stretch.md`): a part of the last step is the work of that, and the forecast by so much too good.
What both say beyond the hours that there were is a forecast, not a measurement.

Writes eval/hours.md and hours.png.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import click
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from run import commit  # noqa: E402

from ensemble_htr.files import atomic_write  # noqa: E402
from ensemble_htr.train.plot import read_log  # noqa: E402

HERE = Path(__file__).parent
NETS = ("crnn", "gated", "transformer")
TIMES = (2, 4, 8)  # as many hours
Row = Mapping[str, Any]


def ends(rows: Sequence[Row]) -> list[Row]:
    """The last epoch of each schedule: the rate rises after it, or nothing follows. Those within
    the first hour are left out."""
    pairs = list(zip(rows, [*rows[1:], None], strict=True))
    last = [row for row, after in pairs if after is None or after["rate"] > 1.5 * row["rate"]]
    return [row for row in last if row["seconds"] > 3600]


def late(stops: Sequence[Row]) -> list[Row]:
    """The last end and the one before it that is far enough away to tell how it goes on."""
    before = [row for row in stops if 1.25 * row["seconds"] <= stops[-1]["seconds"]]
    return [*before[-1:], stops[-1]]


def law(rows: Sequence[Row]) -> tuple[float, float]:
    """Slope and offset of log error over log hours."""
    hours = np.log([row["seconds"] / 3600 for row in rows])
    slope, offset = np.polyfit(hours, np.log([row["val_cer_letters"] for row in rows]), 1)
    return float(slope), float(offset)


def forecast(rows: Sequence[Row], hours: float) -> float:
    """CER in percent after so many core-hours."""
    slope, offset = law(rows)
    return float(100 * np.exp(offset + slope * np.log(hours)))


def draw(logs: Mapping[str, Sequence[Row]], path: Path) -> None:
    from matplotlib.figure import Figure
    from matplotlib.ticker import ScalarFormatter

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    for name, colour in zip(NETS, ("tab:blue", "tab:green", "tab:red"), strict=True):
        rows, last = logs[name], logs[name][-1]["seconds"] / 3600
        hours = [row["seconds"] / 3600 for row in rows]
        errors = [100 * row["val_cer_letters"] for row in rows]
        axes.plot(hours, errors, "-", color=colour, alpha=0.4)
        stops = ends(rows)
        places = [row["seconds"] / 3600 for row in stops]
        axes.plot(
            places, [100 * r["val_cer_letters"] for r in stops], "o", color=colour, label=name
        )
        on = np.geomspace(last, TIMES[-1] * last, 30)
        low, high = ([forecast(some, h) for h in on] for some in (stops, late(stops)))
        axes.fill_between(on, low, high, color=colour, alpha=0.2)
    axes.set(xscale="log", yscale="log", ylim=(8, 60), xlabel="core-hours of training")
    axes.set_ylabel("CER % on val (letters), greedy CTC")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(ScalarFormatter())
        axis.set_minor_formatter(ScalarFormatter())
    axes.set_yticks([10, 15, 20, 30, 50], minor=False)
    axes.set_yticks([], minor=True)
    axes.set_xticks([0.5, 1, 2, 5, 10, 20, 50], minor=False)
    axes.set_xticks([], minor=True)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)


@click.command()
def main() -> None:
    """Write eval/hours.md and its picture."""
    logs = {name: read_log(HERE.parent / "models" / name / "log.jsonl") for name in NETS}
    head = "| | core-hours | CER % | " + " | ".join(f"{t} times the hours" for t in TIMES) + " |"
    out = [head, "|---|---|---|" + "---|" * len(TIMES)]
    points = []
    for name, rows in logs.items():
        stops, hours = ends(rows), rows[-1]["seconds"] / 3600
        both = [[forecast(r, t * hours) for r in (late(stops), stops)] for t in TIMES]
        said = " | ".join(f"{high:.1f} to {low:.1f}" for high, low in both)
        error = 100 * rows[-1]["val_cer_letters"]
        out.append(f"| {name} | {hours:.2f} | {error:.2f} | {said} |")
        each = "; ".join(
            f"{r['seconds'] / 3600:.2f} h {100 * r['val_cer_letters']:.2f} %" for r in stops
        )
        points.append(
            f"* {name}: {each}; exponents {law(late(stops))[0]:.2f} and {law(stops)[0]:.2f}"
        )
    text = [
        "# What more hours would bring",
        f"`python eval/hours.py` on {date.today()}, commit {commit()}. CER of fr19/val, lines with "
        "a letter, greedy (of the transformer its CTC head), core-hours as in the logs.",
        (__doc__ or "").split("\n\n")[2],
        "\n".join(out),
        "![val CER over core-hours](hours.png)",
        "The ends of the schedules:\n\n" + "\n".join(points),
    ]
    atomic_write(HERE / "hours.md", "\n\n".join(text) + "\n")
    draw(logs, HERE / "hours.png")
    click.echo("\n\n".join(text[3:]))


if __name__ == "__main__":
    main()
