"""Where the time of a line goes, on one core of this machine.

    python eval/bench.py [FOLDER_OF_PAGES] [--pages 6] [--model default]

Reads a few pages (the bundled sample without an argument) stage by stage; prints milliseconds a
line, each stage's share of the whole (the figure that carries over to other machines) and lines/s.
Then alignment and judge alone, without images: the readings of the recognizers with their five
best, and as many engines as there are up to sixteen (the same readings with a few letters changed).
Then how fast three engines' rows of generated lines are read and brought together for ``combine``.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import click

from ensemble_htr.align import compiled
from ensemble_htr.align.network import SumOfPairsAligner
from ensemble_htr.assets import resolve
from ensemble_htr.batch import load_engines, merge
from ensemble_htr.io.sources import find_pages
from ensemble_htr.pipeline import Pipeline, PipelineOptions
from ensemble_htr.types import Hypothesis

T = TypeVar("T")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option("--pages", default=6, show_default=True)
@click.option("--model", default="default", show_default=True)
@click.option("--rows", default=10_000, show_default=True, help="Lines of three engines to merge.")
def main(folder: Path | None, pages: int, model: str, rows: int) -> None:
    """Time every stage."""
    spent: dict[str, float] = defaultdict(float)

    def timed(stage: str, work: Callable[[], T]) -> T:
        start = time.process_time()
        result = work()
        spent[stage] += time.process_time() - start
        return result

    pipeline = Pipeline.load(PipelineOptions(model=model))
    sources = find_pages([folder or resolve("sample", "letter") / "page.xml"])
    step = max(1, len(sources) // pages)
    _, warm = pipeline.cut(sources[0].read())
    compiled.warm()
    pipeline.read_lines([warm[0]] * 70)  # until everything that is compiled is
    count, readings = 0, []
    for source in sources[::step][:pages]:
        _, lines = timed("load and cut", lambda s=source: pipeline.cut(s.read()))
        count += len(lines)
        heard = [timed(r.name, lambda r=r, x=lines: r.posteriors(x)) for r in pipeline.recognizers]
        written = timed("write", lambda h=heard: pipeline.written(h))
        each = list(zip(*heard, strict=True))
        networks = []
        for mine, wrote in zip(each, written, strict=True):
            n_best = pipeline.uses_n_best()
            own = timed("decode", lambda m=mine, w=wrote, x=n_best: pipeline.hypotheses(m, w, x))
            more = timed("joint search", lambda m=mine: pipeline.proposals(m))
            networks.append(timed("align", lambda o=own, m=more: SumOfPairsAligner().align(*o, m)))
            readings.append(pipeline.hypotheses(mine, wrote))
        forced = pipeline.lines_scorer(each)
        scorer = lambda asked, f=forced: timed("forced scores", lambda: f(asked))  # noqa: E731
        judged = spent["forced scores"]
        timed("judge", lambda n=networks, s=scorer: pipeline.judge.read_many(n, s))
        spent["judge"] -= spent["forced scores"] - judged
    total = sum(spent.values())
    click.echo("| stage | ms a line | share |\n|---|---|---|")
    for stage, seconds in spent.items():
        click.echo(f"| {stage} | {1000 * seconds / count:.1f} | {seconds / total:.0%} |")
    click.echo(f"| all, {count} lines | {1000 * total / count:.1f} | {count / total:.1f} lines/s |")
    _post_processing(pipeline, readings)
    click.echo(f"\nengines' rows: {merging(rows):.0f} lines/s of three engines each")


Readings = tuple[Sequence[Hypothesis], Sequence[Hypothesis]]


def _post_processing(pipeline: Pipeline, lines: Sequence[Readings]) -> None:
    """Alignment and judge of rows and five-best lists of 3 to 16 engines, without images."""
    click.echo("\n| engines, 5-best | ms a line | lines/s |\n|---|---|---|")
    for engines in (2, 3, 5, 8, 16):
        tasks = [_engines(*line, engines, random.Random(i)) for i, line in enumerate(lines)]
        for rows, others in tasks[:20]:
            pipeline.combine_line(rows, others)
        start = time.process_time()
        for rows, others in tasks:
            pipeline.combine_line(rows, others)
        took = (time.process_time() - start) / len(tasks)
        click.echo(f"| {engines} | {1000 * took:.1f} | {1 / took:.0f} |")


def _engines(
    rows: Sequence[Hypothesis], others: Sequence[Hypothesis], count: int, rng: random.Random
) -> Readings:
    """``count`` engines with five-best lists, made of those that are there."""
    made, more = [], []
    for number in range(count):
        row = rows[number % len(rows)]
        name = f"{row.source}-{number}"
        changed = number >= len(rows)
        made.append(
            _changed(replace(row, source=name), rng) if changed else replace(row, source=name)
        )
        mine = [h for h in others if h.source == row.source][:5]
        more += [
            _changed(replace(h, source=name), rng) if changed else replace(h, source=name)
            for h in mine
        ]
    return made, more


def _changed(h: Hypothesis, rng: random.Random) -> Hypothesis:
    tokens = tuple(rng.choice("aeinrstu") if rng.random() < 0.04 else t for t in h.tokens)
    return replace(h, tokens=tokens)


def merging(count: int) -> float:
    """Lines per second (of the processor) that are read from three engines' JSONL, 45 characters
    with a confidence each, and brought together."""
    draw = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, f"{name}.jsonl") for name in "abc"]
        for file in files:
            with open(file, "w", encoding="utf-8") as stream:
                for i in range(count):
                    text = " ".join("".join(draw.choices("aeinrst ", k=43)).split()) + "é."
                    row = {"id": f"l{i % 30}", "page": f"d__{i // 30}", "text": text}
                    sure = [round(draw.random(), 4) for _ in text]
                    stream.write(json.dumps(row | {"confidences": sure}) + "\n")
        start = time.process_time()
        with merge(load_engines([(file.stem, file) for file in files])) as merged:
            found = sum(len(line.rows) == 3 for line in merged)
        return found / (time.process_time() - start)


if __name__ == "__main__":
    main()
