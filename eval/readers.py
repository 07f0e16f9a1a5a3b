"""What the third reader brings: every reader alone, ensembles with and without it, their speed.

    python eval/readers.py ../shared/data

Lines with a letter, profile fr-archive, micro-averaged CER with document-clustered 95 % intervals.
Lines per second are of one core, cut lines in memory, on the first pages of val. Writes
eval/readers.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import click
from run import FUSED, HERE, SPLITS, commit, diversity, percent, read_split

from ensemble_htr.decode import greedy
from ensemble_htr.evaluate import Report
from ensemble_htr.io.sources import find_pages
from ensemble_htr.pipeline import Pipeline, PipelineOptions
from ensemble_htr.protocols import WritingRecognizer
from ensemble_htr.types import Line


def row(name: str, reports: dict[str, Report], system: str, speed: str = "") -> str:
    cells = []
    for report in reports.values():
        cer = next(s for s in report.systems if s.name == system).letters.cer
        cells.append(f"{percent(cer.value)} [{percent(cer.low)}, {percent(cer.high)}]")
    return f"| {name} | {' | '.join(cells)} | {speed} |"


def speeds(pipeline: Pipeline, folder: Path, pages: int) -> dict[str, float]:
    """Lines per second on one core: each reader by itself, with the LM, and all together."""
    lines: list[Line] = []
    for source in find_pages([folder])[:pages]:
        lines += pipeline.cut(source.read())[1]
    found: dict[str, float] = {}

    def timed(name: str, work: Callable[[], object]) -> None:
        begun = time.process_time()
        work()
        found[name] = len(lines) / (time.process_time() - begun)

    pipeline.read_lines(lines[:4])  # everything is loaded
    for r in pipeline.recognizers:
        if isinstance(r, WritingRecognizer):
            timed(r.name, lambda r=r: r.write(r.posteriors(lines), pipeline.config.search))
        name = f"{r.name}-ctc" if r.name in found else r.name
        decoder = pipeline.decoders[r.name]
        timed(name, lambda r=r: [greedy(p, r.name) for p in r.posteriors(lines)])
        timed(name + FUSED, lambda r=r, d=decoder: [d.decode(p) for p in r.posteriors(lines)])
    timed("ensemble", lambda: pipeline.read_lines(lines))
    return found


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--with", "larger", default="trio", show_default=True)
@click.option("--without", "smaller", default="default", show_default=True)
@click.option("--splits", default=",".join(SPLITS), show_default=True)
@click.option("--jobs", default=2, show_default=True)
@click.option("--pages", default=6, show_default=True, help="Pages of val to take the time of.")
@click.option("-o", "--out", type=click.Path(path_type=Path), default=HERE, show_default=True)
def main(
    data: Path, larger: str, smaller: str, splits: str, jobs: int, pages: int, out: Path
) -> None:
    """Compare the ensembles LARGER and SMALLER and all their readers."""
    both: dict[str, dict[str, Report]] = {larger: {}, smaller: {}}
    for model, reports in both.items():
        for split in splits.split(","):
            options = PipelineOptions(model=model)
            reports[split], _ = read_split(data / "fr19" / split, options, jobs)
    pace = {m: speeds(Pipeline.load(PipelineOptions(model=m)), data / "fr19" / "val", pages)
            for m in both}  # fmt: skip
    reports = both[larger]
    names = [s.name for s in next(iter(reports.values())).systems]
    alone = [n for n in names if n + FUSED in names or n.endswith(FUSED)]
    head = f"| CER % (letters) | {' | '.join(reports)} | lines/s, one core |"
    table = [head, "|---|" + "---|" * (len(reports) + 1)]
    table += [row(n, reports, n, f"{pace[larger][n]:.0f}" if n in pace[larger] else "")
              for n in alone]  # fmt: skip
    for model in (smaller, larger):
        names = ", ".join(Pipeline.load(PipelineOptions(model=model)).config.recognizers)
        table.append(row(f"ensemble of {names}", both[model], "ensemble",
                         f"{pace[model]['ensemble']:.0f}"))  # fmt: skip
    parts = [
        "# The third reader",
        f"`python eval/readers.py DATA --with {larger} --without {smaller}` on {date.today()}, "
        f"commit {commit()}. Both ensembles are fitted on fr19/judge in the same way "
        "(`make fit`); lines with a letter, profile fr-archive, 95 % intervals resample documents.",
        "\n".join(table),
        "## Diversity\n\n" + diversity(reports),
    ]
    (out / "readers.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    click.echo("\n\n".join(parts[2:]))


if __name__ == "__main__":
    main()
