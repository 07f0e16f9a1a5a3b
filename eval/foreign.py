"""The post-processor for other people's engines, measured: text in, no images.

    python eval/foreign.py ../shared/data [--checkpoints runs/crnn] [--splits val] [--every 4]

Two ensembles: three unlike nets, half trained, out of this repository's history; and four
successive states of one net, which need the checkpoints of its run (``epoch19.pt`` to
``epoch22.pt``, not in the repository). Readings are kept by `foreign_engines.py`, figures as they
come in eval/foreign.json: an interrupted run goes on where it stopped, and what cannot be made anew
stays as it was, with its date and commit. Fitted on lines of fr19/judge; writes eval/foreign.md.
"""

from __future__ import annotations

import json
import math
import random
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from foreign_engines import (  # noqa: E402
    EPOCHS,
    UNLIKE,
    epoch_name,
    read_split,
    states,
    stored_at,
    unlike,
)
from run import commit, percent  # noqa: E402
from stored import load  # noqa: E402

from ensemble_htr.align.network import SumOfPairsAligner  # noqa: E402
from ensemble_htr.batch import MergedLine  # noqa: E402
from ensemble_htr.combine import Judge, plain_judge  # noqa: E402
from ensemble_htr.combine.model import dump_judge  # noqa: E402
from ensemble_htr.files import atomic_write  # noqa: E402
from ensemble_htr.metrics import Counts, alignment_pairs, ece, edit_counts  # noqa: E402
from ensemble_htr.pipeline import Pipeline, PipelineOptions  # noqa: E402
from ensemble_htr.text import graphemes, has_letter, profile  # noqa: E402
from ensemble_htr.train.foreign import TRUTH, fit_engines  # noqa: E402
from ensemble_htr.types import EPSILON, ConfusionNetwork, Hypothesis, Reading  # noqa: E402

HERE = Path(__file__).parent
ENSEMBLES = {"one net": tuple(map(epoch_name, EPOCHS)), "unlike": tuple(UNLIKE)}
KINDS = ("confidences", "none", "5-best")  # what the engines' files hold beside text
SPLITS = ("val", "test-seen", "test-unseen")
DRAWS = {50: 3, 300: 2, 0: 1}  # lines fitted on (0 = all) -> draws of them


@dataclass(frozen=True)
class Case:
    """One way to judge: fitted on ``count`` lines (0 = all, -1 = unfitted) of the draw ``draw``."""

    ensemble: str
    kind: str
    lm: bool
    count: int
    draw: int = 0

    @property
    def key(self) -> str:
        return (
            f"{self.ensemble}/{self.kind}/{'lm' if self.lm else 'no lm'}/{self.count}/{self.draw}"
        )


def cases(draws: dict[int, int]) -> Iterator[Case]:
    """The acceptance first, then the curve, then what files may lack or hold more."""
    for count, times in sorted(draws.items(), key=lambda pair: (pair[0] > 0, pair[0])):
        for ensemble in ENSEMBLES:
            for lm in (True,) if count else (True, False):  # the curve is one of language
                yield from (Case(ensemble, KINDS[0], lm, count, draw) for draw in range(times))
    for ensemble in ENSEMBLES:
        for kind in KINDS[1:]:
            yield Case(ensemble, kind, True, 0)
    for ensemble in ENSEMBLES:
        yield from (Case(ensemble, KINDS[0], lm, -1) for lm in (True, False))


def lines_of(split: str, ensemble: str, kind: str, every: int = 1) -> list[MergedLine]:
    """Lines as `combine` merges engine files; of all splits but judge those with a letter."""
    truth, rows = load(stored_at(ensemble, split))
    found = {name: {(r.page, r.id): r for r in rows[name]} for name in ENSEMBLES[ensemble]}
    lines = []
    for line in (x for x in truth if split == "judge" or has_letter(x.text)):
        own, more = [], []
        for name, records in found.items():
            record = records[line.page, line.id]
            said = record.confidences if kind != "none" else None
            logs = None if said is None else tuple(max(-20.0, math.log(c or 1e-9)) for c in said)
            score = dict(record.nbest).get(record.text)
            own.append(Hypothesis(name, graphemes(record.text), logs, score=score))
            if kind == "5-best":
                more += [Hypothesis(name, graphemes(t), score=s) for t, s in record.nbest]
        own.append(Hypothesis(TRUTH, graphemes(line.text)))
        lines.append(MergedLine(line.id, line.page, line.doc, tuple(own), tuple(more)))
    return lines[::every]


def truth_of(line: MergedLine) -> tuple[str, ...]:
    return next(h.tokens for h in line.rows if h.source == TRUTH)


def aligned(line: MergedLine) -> ConfusionNetwork:
    rows = [h for h in line.rows if h.source != TRUTH]
    return SumOfPairsAligner().align(rows, line.alternatives)


def least_edits(network: ConfusionNetwork, truth: Sequence[str]) -> int:
    """Edits of the best path through a network: what a perfect judge would be left with."""
    steps = np.arange(len(truth) + 1)
    best = steps.astype(float)
    for slot in network.slots:
        held = set(slot.tokens)
        take = np.full(len(best), np.inf)
        take[1:] = best[:-1] + [t not in held for t in truth]
        best = np.minimum(best + (EPSILON not in held), take)
        best = np.minimum.accumulate(best - steps) + steps
    return int(best[-1])


def counts(lines: Sequence[MergedLine], texts: Sequence[str]) -> Counts:
    form, total = profile("fr-archive"), Counts()
    for line, text in zip(lines, texts, strict=True):
        total += edit_counts(truth_of(line), graphemes(form.apply(text)))
    return total


def figures(lines: Sequence[MergedLine], readings: Sequence[Reading]) -> dict[str, float]:
    sure: list[float] = []
    right: list[bool] = []
    for line, reading in zip(lines, readings, strict=True):
        sure += reading.confidences
        right += [a == b for a, b in alignment_pairs(truth_of(line), reading.tokens) if b]
    rate = counts(lines, [reading.text for reading in readings]).rate
    return {"cer": rate, "ece": ece(sure, right)}


def plainly(ensemble: str, split: str, every: int) -> dict[str, float]:
    """What needs no fit: engines, votes and oracles."""
    sure, bare = (lines_of(split, ensemble, kind, every) for kind in KINDS[:2])
    deep = lines_of(split, ensemble, KINDS[2], every)
    vote, size = Judge(plain_judge()), counts(sure, [""] * len(sure)).reference
    found = {
        name: counts(sure, [h.text for x in sure for h in x.rows if h.source == name]).rate
        for name in ENSEMBLES[ensemble]
    }
    for name, lines in (("vote", bare), ("vote with confidences", sure)):
        found[name] = counts(lines, [vote.combine(aligned(x)).text for x in lines]).rate
    for name, lines in (("oracle", sure), ("oracle, 5-best", deep)):
        found[name] = sum(least_edits(aligned(x), truth_of(x)) for x in lines) / size
    return found


def judged(case: Case, splits: Sequence[str], every: int) -> dict[str, object]:
    """Fit as ``fit`` does, write the file, and judge with it as ``combine`` does."""
    options, spent, said = PipelineOptions(images=False, lm=case.lm), 0.0, ""
    with TemporaryDirectory() as folder:
        if case.count >= 0:
            lines = lines_of("judge", case.ensemble, case.kind)
            if case.count:
                lines = random.Random(case.draw).sample(lines, case.count)
            begun = time.process_time()
            model, report = fit_engines(lines, options)
            spent, said = time.process_time() - begun, report.kept
            file = Path(folder) / "combiner.json"
            atomic_write(file, dump_judge(model))
            options = PipelineOptions(images=False, lm=case.lm, combiner=file)
        pipeline = Pipeline.load(options)
    found: dict[str, object] = {"seconds": round(spent), "kept": said}
    for split in splits:
        lines = lines_of(split, case.ensemble, case.kind, every)
        readings = [pipeline.judge.read(aligned(x), use_lm=case.lm) for x in lines]
        found[split] = figures(lines, readings)
    return found


def table(kept: dict[str, dict[str, dict[str, object]]], splits: Sequence[str]) -> str:
    parts = []
    for ensemble, engines in ENSEMBLES.items():
        plain = kept["plain"].get(ensemble, {})
        if any(split not in plain for split in splits):
            continue
        best = min(engines, key=lambda e: plain[splits[0]][e])  # chosen on the first split
        out = [f"| {ensemble}: CER % | " + " | ".join(splits) + " |\n|---|" + "---|" * len(splits)]
        for name in plain[splits[0]]:
            out.append(f"| {name} | " + " | ".join(percent(plain[s][name]) for s in splits) + " |")
        rows: dict[tuple[str, bool, int], list[dict[str, object]]] = {}
        for case in cases(DRAWS):
            if case.ensemble == ensemble and case.key in kept["judged"]:
                row = kept["judged"][case.key]
                if all(split in row for split in splits):
                    rows.setdefault((case.kind, case.lm, case.count), []).append(row)
        for (kind, lm, count), draws in sorted(rows.items(), key=lambda pair: str(pair[0])):
            cells = [cell(draws, plain, split, best) for split in splits]
            seconds = statistics.mean(float(d["seconds"]) for d in draws)  # type: ignore[arg-type]
            how = "unfitted" if count < 0 else f"fitted on {count or 'all'} lines"
            head = f"{how}, {'with' if lm else 'no'} LM, files with {kind}"
            draw = f" ({len(draws)} draws, {seconds:.0f} s)" if count >= 0 else ""
            out.append(f"| {head}{draw} | " + " | ".join(cells) + " |")
        out.append(f"\nThe best engine on {splits[0]} is {best}.")
        out.append(f"Measured on {kept['when'][ensemble]}.")
        parts.append("\n".join(out))
    return "\n\n".join(parts)


def cell(draws: Sequence[dict[str, object]], plain: dict, split: str, best: str) -> str:  # type: ignore[type-arg]
    rates = [row[split]["cer"] for row in draws]  # type: ignore[index]
    mean, base = statistics.mean(rates), plain[split]
    spread = f" ± {100 * statistics.stdev(rates):.2f}" if len(rates) > 1 else ""
    gain = 1 - mean / base[best]
    closed = (base["vote"] - mean) / max(base["vote"] - base["oracle"], 1e-9)
    error = statistics.mean(row[split]["ece"] for row in draws)  # type: ignore[index]
    return (
        f"{percent(mean)}{spread} ({-100 * gain:+.1f} %, gap {100 * closed:.0f} %, ECE {error:.3f})"
    )


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--checkpoints", type=click.Path(path_type=Path), help="Folder of epoch19.pt to 22.")
@click.option("--splits", default=",".join(SPLITS), show_default=True)
@click.option("--every", default=1, show_default=True, help="Judge every so manieth line only.")
@click.option("--most", default=100, show_default=True, help="Cases to judge in this run.")
def main(data: Path, checkpoints: Path | None, splits: str, every: int, most: int) -> None:
    """Judge engines made of our own nets in every way that is not there yet; write the tables."""
    chosen, now = splits.split(","), f"{date.today()}, commit {commit()}"
    for ensemble in ENSEMBLES:
        missing = [x for x in ("judge", *chosen) if not stored_at(ensemble, x).exists()]
        if missing and (ensemble == "unlike" or checkpoints is not None):
            engines = unlike() if ensemble == "unlike" else states(checkpoints)
            for split in missing:
                read_split(data, ensemble, engines, split, split != "judge")
    there = [e for e in ENSEMBLES if all(stored_at(e, x).exists() for x in ("judge", *chosen))]
    path = HERE / "foreign.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    if kept.get("every", every) != every:
        raise click.UsageError(f"{path} was made with --every {kept['every']}")
    kept = {"every": every, "plain": {}, "judged": {}, "when": {}, **kept}
    for ensemble in there:
        known = kept["plain"].setdefault(ensemble, {})
        for split in (s for s in chosen if s not in known):
            known[split] = plainly(ensemble, split, every)
            kept["when"][ensemble] = now
    for case in (c for c in cases(DRAWS) if c.ensemble in there):
        known = kept["judged"].setdefault(case.key, {})
        missing = [split for split in chosen if split not in known]
        if missing and (most := most - 1) >= 0:
            known.update(judged(case, missing, every))
            kept["when"][case.ensemble] = now
            click.echo(f"{case.key}: {json.dumps(known)}")
        atomic_write(path, json.dumps(kept, indent=1) + "\n")
    sample = "" if every == 1 else f" Every {every}th line of a split is judged."
    head = (
        "# Other people's engines\n\n"
        f"`python eval/foreign.py DATA [--checkpoints FOLDER] --every {every}`. "
        f"Lines with a letter, profile fr-archive.{sample} In brackets: "
        "against the best engine, the share of the gap from the plain vote to the oracle of the "
        "network that is closed, calibration error of characters; mean ± standard deviation over "
        "draws of the lines fitted on, and processor seconds of the fit.\n\n"
    )
    atomic_write(HERE / "foreign.md", head + table(kept, chosen) + "\n")


if __name__ == "__main__":
    main()
