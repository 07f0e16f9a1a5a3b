"""The word reader (pyctcdecode with a word 3-gram and hotwords) beside the character beam.

    python eval/word_reader.py ../shared/data [--every 3] [--words words.arpa]

Weights are chosen on fr19/judge, figures are of fr19/val: lines with a letter, profile fr-archive,
micro-averaged CER. Names are the capitalised words of the transcriptions that do not begin a line;
one is right if the word aligned with it is the same, punctuation aside. Lines per second are of one
core, decoding only. Writes eval/word_reader.md.
"""

from __future__ import annotations

import itertools
import string
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import click
import numpy as np
from run import commit

from ensemble_htr.align.network import SumOfPairsAligner
from ensemble_htr.config import load_toml
from ensemble_htr.decode import ctc_score, greedy
from ensemble_htr.decode.pyctc import PyctcDecoder, WordOptions
from ensemble_htr.lm.build import build, write_product
from ensemble_htr.lm.recipe import Recipe
from ensemble_htr.lm.words import gather
from ensemble_htr.metrics import Counts, alignment_pairs, bootstrap_difference, edit_counts
from ensemble_htr.pipeline import Pipeline, PipelineOptions
from ensemble_htr.text import graphemes, has_letter, profile
from ensemble_htr.train.readings import Heard, each_page, hear
from ensemble_htr.types import Hypothesis

HERE = Path(__file__).parent
LEXICONS = ("given_names_19c", "given_names", "surnames_19c", "surnames", "places",
            "paris_streets_from_transcripts")  # fmt: skip
MOST = (0, 300, 2000, 20000)  # entries of each lexicon
GRID = {
    "alpha": (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8),
    "beta": (-0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0),
    "unknown": (0.0, -0.2, -0.35, -0.5, -0.75, -1.0, -1.5, -2.0),
    "weight": (0.0, 0.5, 1.0, 1.5, 2.0, 3.0),
}
RIVALS = 24  # readings of a line that the weights are chosen between
Known = tuple[Any, tuple[str, ...], tuple[str, ...]]  # word model, its words, hotwords


def heard_lines(folder: Path, every: int, jobs: int) -> list[Heard]:
    """Every ``every``-th line with a letter of a split."""
    pages = each_page(hear, folder, PipelineOptions(), jobs)
    lines = [h for page in pages for h in page if has_letter(h.truth)]
    return lines[::every]


# ---- choosing the weights ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rivals:
    """Readings of one line: what image and words say of each, one row a reading."""

    features: np.ndarray[Any, Any]  # (readings, 5): CTC, then one column a key of GRID
    edits: np.ndarray[Any, Any]  # (readings,)
    length: int


def rivals(lines: Sequence[Heard], known: Known, texts: Sequence[list[str]]) -> list[Rivals]:
    """Each word reader's weight enters the score of a text linearly: one column for each."""
    silent = WordOptions(alpha=0.0, beta=0.0, unknown=0.0, weight=0.0)
    lm, words, hot = known
    unit = {"alpha": 1.0, "beta": 1.0, "unknown": -1.0, "weight": 1.0}
    voices = [PyctcDecoder(lm, words, hot, replace(silent, **{k: unit[k]})) for k in GRID]
    signs = [unit[k] for k in GRID]
    found = []
    for (line, net), said in zip(per_net(lines), texts, strict=True):
        cut = [graphemes(text) for text in said]
        columns = [ctc_score(line.posteriors[net], cut)]
        columns += [
            [sign * voice.worth(text) for text in said]
            for sign, voice in zip(signs, voices, strict=True)
        ]
        truth = graphemes(line.truth)
        edits = [edit_counts(truth, tokens).edits for tokens in cut]
        found.append(Rivals(np.array(columns).T, np.array(edits), len(truth)))
    return found


def per_net(lines: Sequence[Heard]) -> Iterator[tuple[Heard, int]]:
    return ((line, net) for line in lines for net in range(len(line.posteriors)))


def chosen(table: Sequence[Rivals], hotwords: bool) -> tuple[WordOptions, float]:
    """The weights of the least CER; of equals those nearest 0."""
    size = max(len(r.edits) for r in table)
    features = np.zeros((len(table), size, 1 + len(GRID)))
    features[:, :, 0] = -1e9
    edits = np.zeros((len(table), size))
    for i, r in enumerate(table):
        features[i, : len(r.edits)] = np.maximum(r.features, -1e6)
        edits[i, : len(r.edits)] = r.edits
    total = sum(r.length for r in table)
    best: tuple[float, float, dict[str, float]] | None = None
    for values in itertools.product(*(GRID[k] if k != "weight" or hotwords else (0.0,)
                                      for k in GRID)):  # fmt: skip
        picked = (features @ np.array([1.0, *values])).argmax(axis=1)
        rate = float(edits[np.arange(len(table)), picked].sum()) / total
        key = (rate, sum(map(abs, values)), dict(zip(GRID, values, strict=True)))
        best = key if best is None or key[:2] < best[:2] else best
    assert best is not None
    return WordOptions(**best[2]), best[0]


def choose(
    lines: Sequence[Heard], models: dict[int, Known], say: Callable[[str], None]
) -> dict[str, tuple[WordOptions, int]]:
    """Weights and number of entries: without hotwords, and with them."""
    proposer = PyctcDecoder(*models[2000], WordOptions(beam=RIVALS, n_best=RIVALS))
    texts = [
        [h.text for h in proposer.decode(line.posteriors[net], RIVALS)]
        for line, net in per_net(lines)
    ]
    found: dict[str, tuple[WordOptions, int]] = {}
    rates: dict[str, float] = {}
    for most, known in models.items():
        options, rate = chosen(rivals(lines, known, texts), bool(most))
        say(f"{most} entries of each lexicon: CER on judge {100 * rate:.2f} % with {options}")
        name = "words + hotwords" if most else "words"
        if name not in found or rate < rates[name]:
            found[name], rates[name] = (options, most), rate
    return found


# ---- the figures ---------------------------------------------------------------------------------


@dataclass
class System:
    """What one way of reading scores, line by line."""

    counts: list[tuple[str, Counts]] = field(default_factory=list)  # document, character errors
    names: Counter[bool] = field(default_factory=Counter)
    seconds: float = 0.0

    def add(self, line: Heard, text: str) -> None:
        tokens = profile("fr-archive").tokens(text)
        self.counts.append((line.doc, edit_counts(graphemes(line.truth), tokens)))
        self.names.update(names(line.truth, "".join(tokens)))

    def row(self, name: str, timed: bool) -> str:
        total = Counts.sum(c for _, c in self.counts)
        share = self.names[True] / max(1, self.names.total())
        speed = f"{len(self.counts) / self.seconds:.0f}" if timed and self.seconds else ""
        return f"| {name} | {100 * total.rate:.2f} | {100 * share:.1f} | {speed} |"


def names(truth: str, text: str) -> list[bool]:
    """Whether each name of ``truth`` is right in ``text``."""
    marks = string.punctuation + "«»“”–—…"
    words = truth.split()
    pairs = iter(alignment_pairs(words, text.split()))
    found = []
    for number, word in enumerate(words):
        read = next(b for a, b in pairs if a == word)
        core = word.strip(marks).rpartition("'")[2]
        if number and core[:1].isupper() and len(core) > 1:
            found.append(core == read.strip(marks).rpartition("'")[2])
    return found


def read_val(
    pipeline: Pipeline, lines: Sequence[Heard], readers: dict[str, PyctcDecoder]
) -> dict[str, System]:
    systems: dict[str, System] = {}
    n_best = pipeline.config.words.n_best

    def timed(name: str, work: Callable[[], list[Hypothesis]]) -> list[Hypothesis]:
        begun = time.process_time()
        found = work()
        systems.setdefault(name, System()).seconds += time.process_time() - begun
        return found

    for line in lines:
        rows, fused = [], []
        further: dict[str, list[Hypothesis]] = {name: [] for name in readers}
        for r, p in zip(pipeline.recognizers, line.posteriors, strict=True):
            rows += timed(r.name, lambda p=p, r=r: [greedy(p, r.name)])  # type: ignore[misc]
            systems[r.name].add(line, rows[-1].text)
            name = f"{r.name}, character beam"
            beam = timed(name, lambda p=p, r=r: pipeline.decoders[r.name].decode(p))  # type: ignore[misc]
            systems[name].add(line, beam[0].text)
            fused += [replace(h, source=r.name) for h in beam]
            for kind, reader in readers.items():
                name = f"{r.name}, {kind}"
                read = timed(name, lambda p=p, d=reader: d.decode(p, n_best))  # type: ignore[misc]
                systems[name].add(line, read[0].text)
                further[kind] += [replace(h, source=r.name) for h in read]
        score = pipeline.scorer(line.posteriors)
        for kind, more in {"": [], **further}.items():
            network = SumOfPairsAligner().align(rows, [*fused, *more])
            name = "ensemble" + (f" and {kind}" if kind else "")
            systems.setdefault(name, System()).add(line, pipeline.judge.read(network, score).text)
    return systems


def differences(systems: dict[str, System]) -> str:
    """Paired differences of the larger ensembles to the shipped one; documents are resampled."""
    docs = sorted({doc for doc, _ in systems["ensemble"].counts})

    def per_document(name: str) -> list[Counts]:
        counts = systems[name].counts
        return [Counts.sum(c for doc, c in counts if doc == wanted) for wanted in docs]

    alone, out = per_document("ensemble"), []
    for name in systems:
        if name.startswith("ensemble and"):
            edits = [[c.edits for c in each] for each in (per_document(name), alone)]
            d = bootstrap_difference(*edits, [c.reference for c in alone])
            interval = f"{100 * d.value:+.2f} [{100 * d.low:+.2f}, {100 * d.high:+.2f}]"
            out.append(f"{name}: {interval} points of CER against the ensemble.")
    return "\n".join(out)


def told(options: WordOptions, most: int) -> str:
    return (
        f"alpha {options.alpha}, beta {options.beta}, unknown {options.unknown}, "
        f"hotword {options.weight}" + (f", {most} entries of each lexicon" if most else "")
    )


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--every", default=1, show_default=True, help="Take each N-th line of val.")
@click.option("--judge-every", default=5, show_default=True, help="And of judge.")
@click.option("--words", type=click.Path(path_type=Path), help="Word model, if it is built.")
@click.option("--jobs", default=2, show_default=True)
@click.option("-o", "--out", type=click.Path(path_type=Path), default=HERE, show_default=True)
def main(
    data: Path, every: int, judge_every: int, words: Path | None, jobs: int, out: Path
) -> None:
    """Choose the word reader's weights on DATA/fr19/judge and measure it on DATA/fr19/val."""
    with tempfile.TemporaryDirectory() as folder:
        if words is None:
            recipe = load_toml(HERE / "word_lm.toml", Recipe)
            built = build(recipe, data, click.echo)
            words = write_product(built, Path(folder) / "words.arpa", data)
        paths = {name: data / "lexicon-fr" / f"{name}.txt" for name in LEXICONS}
        models = {most: gather({"lm/words": words, **(paths if most else {})}, most or 1)
                  for most in MOST}  # fmt: skip
    found = choose(heard_lines(data / "fr19/judge", judge_every, jobs), models, click.echo)
    readers = {name: PyctcDecoder(*models[most], o) for name, (o, most) in found.items()}
    lines = heard_lines(data / "fr19/val", every, jobs)
    pipeline = Pipeline.load()
    systems = read_val(pipeline, lines, readers)
    timed = {name for name in systems if not name.startswith("ensemble")}
    named = next(iter(systems.values())).names.total()
    parts = [
        "# The word reader",
        f"`python eval/word_reader.py DATA --every {every} --judge-every {judge_every}` on "
        f"{date.today()}, commit {commit()}. {len(lines)} lines with a letter of fr19/val, {named} "
        "names; weights chosen on fr19/judge; profile fr-archive. Lines per second are of decoding "
        "alone, on one core.",
        "| | CER % | names right % | lines/s |\n|---|---|---|---|\n"
        + "\n".join(system.row(name, name in timed) for name, system in systems.items()),
        differences(systems),
        "Weights: "
        + "; ".join(
            f"{r.name}, epoch {progress.get('best_epoch')}, {progress.get('lines')} lines"
            for r in pipeline.recognizers
            for progress in [r.facts.get("progress", {})]
        )
        + ".",
        "Chosen: " + "; ".join(f"{name}: {told(*how)}" for name, how in found.items()) + ".",
    ]
    (out / "word_reader.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    click.echo("\n\n".join(parts))


if __name__ == "__main__":
    main()
