"""How wide a line should be before a recognizer reads it.

    python eval/stretch.py ../shared/data [--jobs 2]

Every network of the shelf reads the lines at several widths (`stretch` in `[network]` of a recipe:
columns for each that the aspect ratio asks for), greedily by its CTC. Lines with a letter, profile
fr-archive. What was measured of earlier weights is kept: eval/stretch.json; writes eval/stretch.md.
"""

from __future__ import annotations

import json
import sys
from datetime import date
from pathlib import Path
from typing import Any

import click

sys.path.insert(0, str(Path(__file__).parent))

from run import commit  # noqa: E402

from ensemble_htr.decode import greedy  # noqa: E402
from ensemble_htr.files import atomic_write  # noqa: E402
from ensemble_htr.io.sources import PageSource  # noqa: E402
from ensemble_htr.metrics import Counts, edit_counts  # noqa: E402
from ensemble_htr.pipeline import Pipeline, PipelineOptions  # noqa: E402
from ensemble_htr.recognizers.ctc import CtcRecognizer  # noqa: E402
from ensemble_htr.text import has_letter, profile  # noqa: E402
from ensemble_htr.train.readings import each_page, scorable_lines  # noqa: E402

HERE = Path(__file__).parent
STORE = HERE / "stretch.json"
MODEL = "default"
SPLITS = ("judge", "val")
STRETCHES = (0.9, 1.0, 1.1, 1.2, 1.3)
Errors = list[list[Counts]]  # of each recognizer, at each width


def read(pipeline: Pipeline, source: PageSource) -> Errors:
    """Errors on one page."""
    form = profile("fr-archive")
    _, cut = pipeline.cut(source.read())
    lines = [x for x in scorable_lines(cut) if has_letter(form.apply(x.text or ""))]
    truths = [form.tokens(x.text or "") for x in lines]
    found: Errors = []
    for recognizer in pipeline.recognizers:
        assert isinstance(recognizer, CtcRecognizer)
        own, row = recognizer.stretch, []
        for recognizer.stretch in STRETCHES:
            texts = [form.tokens(greedy(p).text) for p in recognizer.posteriors(lines)]
            row.append(Counts.sum(map(edit_counts, truths, texts)))
        recognizer.stretch = own
        found.append(row)
    return found


def measured(data: Path, jobs: int) -> list[dict[str, Any]]:
    """One record for each network: its weights, its own stretch, and CER % of each split."""
    options = PipelineOptions(model=MODEL)
    records: list[dict[str, Any]] = []
    for recognizer in Pipeline.load(options).recognizers:
        assert isinstance(recognizer, CtcRecognizer)
        trained = f"{recognizer.facts['progress']['lines']:,} lines"
        records.append({"name": recognizer.name, "trained": trained, "own": recognizer.stretch})
    for split in SPLITS:
        pages = list(each_page(read, data / "fr19" / split, options, jobs))
        for number, record in enumerate(records):
            rates = [Counts.sum(p[number][k] for p in pages).rate for k in range(len(STRETCHES))]
            record[split] = [round(100 * rate, 2) for rate in rates]
    made = f"{date.today()}, commit {commit()}"
    return [record | {"made": made} for record in records]


def table(records: list[dict[str, Any]]) -> str:
    """A row for each network and split; in bold the width that these weights read at."""
    head = "| network | trained on | split | " + " | ".join(f"{s:g}" for s in STRETCHES) + " | of |"
    rows = [head, "|---" * (len(STRETCHES) + 4) + "|"]
    for record in records:
        for split in SPLITS:
            cells = [
                f"**{rate:.2f}**" if abs(stretch - record["own"]) < 0.05 else f"{rate:.2f}"
                for stretch, rate in zip(STRETCHES, record[split], strict=True)
            ]
            first = f"{record['name']} | {record['trained']} | {split}"
            rows.append(f"| {first} | {' | '.join(cells)} | {record['made']} |")
    return "\n".join(rows)


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True))
@click.option("--jobs", default=2, show_default=True)
def main(data: Path, jobs: int) -> None:
    """Read both splits at every width and write the table."""
    known = json.loads(STORE.read_text(encoding="utf-8")) if STORE.exists() else []
    records = {(r["name"], r["trained"]): r for r in [*known, *measured(data, jobs)]}
    kept = sorted(records.values(), key=lambda r: r["name"])
    atomic_write(STORE, json.dumps(kept, indent=1) + "\n")
    text = f"""# How wide a line is read

`python eval/stretch.py DATA`. Greedy CER % of the networks' CTC on fr19/judge and fr19/val: lines
with a letter, profile fr-archive, so many times as wide as their aspect ratio says (`stretch` in a
recipe's `[network]`). In bold the width nearest to the one that the weights read at; the last
column tells when and with which commit a row was measured. Letters of a narrow hand have more
frames in a wider line; that takes so much more time.

{table(kept)}
"""
    atomic_write(HERE / "stretch.md", text)
    click.echo(table(kept))


if __name__ == "__main__":
    main()
