"""Learning to judge other people's engines from lines whose truth is known: the verb behind `fit`.

No images: what each engine's vote is worth, how much the language model may say (0 where it does
not help), and how sure each reading is. Fitted against the vote on documents (or, of one document,
stretches of lines) that the fit has not seen, and with every engine alone: the best is kept, and
its confidences are learned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from ensemble_htr import __version__
from ensemble_htr.align.network import SumOfPairsAligner
from ensemble_htr.combine import Judge, JudgeModel, Mode, plain_judge
from ensemble_htr.errors import InputError
from ensemble_htr.metrics import Counts, alignment_pairs, ece, edit_counts
from ensemble_htr.pipeline import Pipeline, PipelineOptions
from ensemble_htr.protocols import LanguageModel, TextVoice
from ensemble_htr.text import profile
from ensemble_htr.train.arcs import judged_apart, learn_scorer
from ensemble_htr.train.folds import folds
from ensemble_htr.train.guard import fit_guard
from ensemble_htr.train.judge import Item, fit_mode
from ensemble_htr.types import ConfusionNetwork, Hypothesis

__all__ = ["LEAST_LINES", "TRUTH", "FitReport", "Row", "fit_engines"]

TRUTH = "#truth"  # the ground truth's source among the rows; no engine can be called so
LEAST_LINES = 20
_FIRST = 0.05  # a voice's weight before anything is fitted
_ALONE = 20.0  # weight of an engine beside which no other counts
_ROUNDS = 2
_WAY = "#"  # before the names of ways to combine; no engine's name holds it
_VOTE, _FITTED = "#vote", "#fitted"


class Merged(Protocol):
    """A line with the rows of all engines that have it; the truth's source is `TRUTH`."""

    @property
    def doc(self) -> str: ...
    @property
    def rows(self) -> tuple[Hypothesis, ...]: ...
    @property
    def alternatives(self) -> tuple[Hypothesis, ...]: ...


@dataclass(frozen=True, slots=True)
class Row:
    """Error rate of one way to read, on lines that its fit has not seen; ``ece`` of its
    characters' confidences, None where it gives none. Both are fractions."""

    name: str
    cer: float
    ece: float | None = None


@dataclass(frozen=True, slots=True)
class FitReport:
    """``kept``: the name of the row that was written."""

    lines: int
    documents: int
    rows: tuple[Row, ...]
    kept: str
    language: float  # weight of the language model; 0 = it is silent

    def __str__(self) -> str:
        head = f"{self.lines} lines of {self.documents} documents; on lines not fitted on:\n"
        table = "".join(
            f"  {row.name:<24} CER {100 * row.cer:6.2f} %"
            + ("" if row.ece is None else f"  calibration error {row.ece:.3f}")
            + "\n"
            for row in self.rows
        )
        heard = f"weighs {self.language:.2f}" if self.language > 0 else "is silent"
        return f"{head}{table}kept: {self.kept}; the language model {heard}"


@dataclass(frozen=True, slots=True)
class _Line:
    network: ConfusionNetwork
    truth: tuple[str, ...]
    doc: str
    rows: tuple[Hypothesis, ...]


@dataclass(frozen=True, slots=True)
class _Voices:
    lm: LanguageModel | None
    others: tuple[TextVoice, ...]

    def judge(self, mode: Mode) -> Judge:
        return Judge(JudgeModel(modes={self.name: mode}), self.lm, self.others)

    @property
    def name(self) -> str:
        return "text+lm" if self.lm is not None else "text"


def fit_engines(
    lines: Iterable[Merged],
    options: PipelineOptions | None = None,
    say: Callable[[str], object] = lambda _: None,
) -> tuple[JudgeModel, FitReport]:
    """Learn to judge the engines of ``lines``; those without truth or reading are left out.
    ``say`` hears how far it is: hundreds of lines take minutes.

    Gives the judge of the options' model with its two sets of weights without images replaced.
    Raises `InputError` where fewer than `LEAST_LINES` lines have both.
    """
    pipeline = Pipeline.load(replace(options or PipelineOptions(), images=False))
    found = list(_usable(lines))
    if len(found) < LEAST_LINES:
        raise InputError(
            f"only {len(found)} lines have a transcription in the ground truth and a reading; "
            f"wanted {LEAST_LINES} or more (wanted are common ids, places or texts)"
        )
    silent = _Voices(None, ())
    fits, _ = pipeline.lm_fits(x.rows[0].text for x in found)
    spoken = _Voices(pipeline.lm, pipeline.judge.voices) if fits else silent
    say(f"weighing {len(found)} lines")
    heard = {voices.name: _Bench.of(found, voices) for voices in (silent, spoken)}
    rows, kept = _compared(heard[spoken.name], say)
    modes = {name: _learned(bench, kept) for name, bench in heard.items()}
    modes.setdefault("text+lm", modes["text"])
    language = modes[spoken.name].language
    report = FitReport(
        len(found), len({x.doc for x in found}), rows, kept.removeprefix(_WAY),
        language if fits else 0.0,
    )  # fmt: skip
    facts = {
        "version": __version__,
        "engines": sorted({h.source for x in found for h in x.rows}),
        "lines": report.lines,
        "documents": report.documents,
        "kept": report.kept,
        "cer": {row.name: round(row.cer, 5) for row in rows},
    }
    base = pipeline.judge.model
    return replace(base, modes={**base.modes, **modes}, facts=facts), report


def _usable(lines: Iterable[Merged]) -> Iterable[_Line]:
    form, aligner = profile("fr-archive"), SumOfPairsAligner()
    for line in lines:
        truth = next((h for h in line.rows if h.source == TRUTH), None)
        rows = tuple(h for h in line.rows if h.source != TRUTH)
        if truth is None or not truth.tokens or not form.scorable(truth.text):
            continue
        if not any(h.tokens for h in rows):
            continue
        alternatives = [h for h in line.alternatives if h.source != TRUTH]
        yield _Line(aligner.align(rows, alternatives), truth.tokens, line.doc, rows)


@dataclass(frozen=True, slots=True)
class _Bench:
    """Lines with the cases that the judge makes of them under weights fitted to all. Few numbers
    decide which rivals it composes, so every fold may use the same cases."""

    lines: Sequence[_Line]
    voices: _Voices
    fold: Sequence[int]
    start: Mode
    items: Sequence[Item]

    @classmethod
    def of(cls, lines: Sequence[_Line], voices: _Voices) -> _Bench:
        fold = folds([(x.doc, len(x.truth)) for x in lines])
        plain = plain_judge().modes[voices.name]
        start = replace(plain, voices={voice.name: _FIRST for voice in voices.others})
        bench, mode = cls(lines, voices, fold, start, ()), start
        for _ in range(_ROUNDS):  # the rivals that the judge composes depend on its weights
            bench = replace(bench, items=_items(lines, voices.judge(mode)))
            mode = bench.fitted(bench.items)
        return bench

    def fitted(self, items: Sequence[Item]) -> Mode:
        lm = self.voices.lm is not None
        return fit_guard(items, fit_mode(items, self.start, generic=False, lm=lm).mode)

    def scored(self, items: Sequence[Item], mode: Mode) -> Mode:
        return replace(mode, scorer=learn_scorer(self.voices.judge(mode), items, mode))


def _compared(bench: _Bench, say: Callable[[str], object]) -> tuple[tuple[Row, ...], str]:
    """Every engine alone, the vote and the fitted judge, on lines that it was not fitted on; and
    which of them is the best."""
    tallies: dict[str, _Tally] = {}
    fitted = {False: _Tally(), True: _Tally()}  # by whether the arc scorer decides
    vote = Judge(plain_judge())
    each = list(zip(bench.lines, bench.items, bench.fold, strict=True))
    for number in sorted(set(bench.fold)):
        seen = [item for _, item, k in each if k != number]
        new = [(x, item) for x, item, k in each if k == number]
        say(f"comparing on {len(new)} lines what was learned from {len(seen)} others")
        mode = bench.fitted(seen)
        judge = bench.voices.judge(mode)
        for x, _ in new:
            for h in x.rows:
                tallies.setdefault(h.source, _Tally()).add(x.truth, h.tokens)
            reading = vote.combine(x.network)
            tallies.setdefault(_VOTE, _Tally()).add(x.truth, reading.tokens, reading.confidences)
        for decides, found in judged_apart(judge, seen, [item for _, item in new], mode).items():
            for (x, _), (tokens, sure) in zip(new, found, strict=True):
                fitted[decides].add(x.truth, tokens, sure)
    tallies[_FITTED] = min(fitted.values(), key=lambda tally: tally.counts.rate)
    order = sorted(tallies, key=lambda name: (name == _FITTED, name == _VOTE, name))
    best = min(reversed(order), key=lambda name: tallies[name].counts.rate)
    return tuple(tallies[name].row(name.removeprefix(_WAY)) for name in order), best


class _Tally:
    def __init__(self) -> None:
        self.counts, self.sure, self.right = Counts(), list[float](), list[bool]()

    def add(
        self, truth: tuple[str, ...], tokens: tuple[str, ...], sure: Sequence[float] = ()
    ) -> None:
        self.counts += edit_counts(truth, tokens)
        if sure:
            self.sure += sure
            self.right += [wanted == got for wanted, got in alignment_pairs(truth, tokens) if got]

    def row(self, name: str) -> Row:
        return Row(name, self.counts.rate, ece(self.sure, self.right) if self.sure else None)


def _learned(bench: _Bench, kept: str) -> Mode:
    """One mode: fitted weights, the vote's, or those that let one engine speak alone (and the
    others where it has nothing); and the confidences that go with them."""
    if kept == _FITTED:
        return bench.scored(bench.items, bench.fitted(bench.items))
    mode = plain_judge().modes["text"]
    if kept != _VOTE:
        mode = replace(mode, votes={kept: _ALONE}, vote_default=_ALONE * 1e-3)
    judge = Judge(JudgeModel(modes={"text": mode}))
    scorer = learn_scorer(judge, _items(bench.lines, judge), mode)
    return replace(mode, scorer=replace(scorer, decides=False))


def _items(lines: Sequence[_Line], judge: Judge) -> list[Item]:
    return [Item(judge.case(x.network), x.truth, x.doc) for x in lines]
