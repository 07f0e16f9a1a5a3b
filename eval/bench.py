"""Where the time of a line goes, on one core of this machine.

    python eval/bench.py [FOLDER_OF_PAGES] [--pages 6]

Reads a few pages (the bundled sample without an argument) stage by stage; prints milliseconds a
line, each stage's share of the whole (the figure that carries over to other machines) and lines/s.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from ensemble_htr.align.network import SumOfPairsAligner
from ensemble_htr.assets import resolve
from ensemble_htr.io.sources import find_pages
from ensemble_htr.pipeline import Pipeline

T = TypeVar("T")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option("--pages", default=6, show_default=True)
def main(folder: Path | None, pages: int) -> None:
    """Time every stage."""
    spent: Counter[str] = Counter()

    def timed(stage: str, work: Callable[[], T]) -> T:
        start = time.process_time()
        result = work()
        spent[stage] += time.process_time() - start  # type: ignore[assignment]
        return result

    pipeline = Pipeline.load()
    sources = find_pages([folder or resolve("sample", "letter") / "page.xml"])
    step = max(1, len(sources) // pages)
    _, warm = pipeline.cut(sources[0].read())
    pipeline.read_lines(warm[:3])
    count = 0
    for source in sources[::step][:pages]:
        _, lines = timed("load and cut", lambda s=source: pipeline.cut(s.read()))
        count += len(lines)
        heard = [timed(r.name, lambda r=r, x=lines: r.posteriors(x)) for r in pipeline.recognizers]
        for i in range(len(lines)):
            mine = [h[i] for h in heard]
            rows, fused = timed("decode with the LM", lambda m=mine: pipeline.hypotheses(m))
            network = timed("align", lambda r=rows, f=fused: SumOfPairsAligner().align(r, f))
            score = pipeline.scorer(mine)
            timed("forced scores and judge", lambda n=network, s=score: pipeline.judge.read(n, s))
    total = sum(spent.values())
    click.echo("| stage | ms a line | share |\n|---|---|---|")
    for stage, seconds in spent.items():
        click.echo(f"| {stage} | {1000 * seconds / count:.1f} | {seconds / total:.0%} |")
    click.echo(f"| all, {count} lines | {1000 * total / count:.1f} | {count / total:.1f} lines/s |")


if __name__ == "__main__":
    main()
