"""``finetune FOLDER``: the whole ensemble learns a user's hand, spelling and names.

Lines are held back (whole pages where there are several) to end each training, to weigh the
language model's mix and to decide part by part whether the new one is kept. What the table says was
measured on them, so it flatters a little; `evaluate` on further pages does not.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ensemble_htr.assets import LOCK
from ensemble_htr.config import to_mapping
from ensemble_htr.errors import InputError, OutputError, UsageError, did_you_mean
from ensemble_htr.files import atomic_write
from ensemble_htr.metrics import Counts, edit_counts
from ensemble_htr.pipeline import Pipeline, PipelineOptions
from ensemble_htr.plan import Plan
from ensemble_htr.recognizers.weights import load_weights
from ensemble_htr.text import lettered, profile
from ensemble_htr.train.data import Sample, data_hash, load_folder
from ensemble_htr.train.finetune_language import louder, with_own_language
from ensemble_htr.train.finetune_nets import TuneOptions, tune, tuning_recipe
from ensemble_htr.train.folder import Parts, parts_of, write_ensemble
from ensemble_htr.train.recipe import DataOptions, Source
from ensemble_htr.types import Line

__all__ = ["Outcome", "Row", "TuneOptions", "finetune", "hold_back"]

LEAST = 20  # lines
HELD = 0.2  # share of the lines that is held back
WORK = ".finetune"
_WHOLE = "ensemble"
_LOUDNESS = (0.6, 1.6)
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Row:
    """CER on the lines held back, as fractions; ``kept``: whether the new one is used."""

    name: str
    before: float
    after: float
    kept: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it: the lines learned from and held back, and a row for each recognizer that
    learned and for the ensemble."""

    lines: int
    held: int
    rows: tuple[Row, ...]

    def table(self) -> str:
        """As text for a terminal."""
        width = max(len(row.name) for row in self.rows)
        shown = [f"{'CER % on ' + str(self.held) + ' lines held back':{width}}   before   after"]
        wide = max(width, len(shown[0]) - 17)
        for row in self.rows:
            why = "the ensemble is not better" if row.after < row.before else "not better"
            note = "" if row.kept else f"   {why}: the old one is kept"
            shown.append(f"{row.name:{wide}}  {100 * row.before:7.2f} {100 * row.after:7.2f}{note}")
        return "\n".join(shown)


def finetune(
    folder: Path,
    out: Path,
    options: PipelineOptions,
    how: TuneOptions | None = None,
    only: Sequence[str] | None = None,
    say: Say | None = None,
) -> Outcome:
    """Tune the ensemble of ``options`` on the transcribed lines in ``folder`` and write the new one
    into ``out``; ``only`` these of its recognizers learn. The same call goes on where an
    interrupted one stopped.

    Raises `InputError` for fewer than 20 lines, `UsageError` for a recognizer that is not the
    model's or cannot learn, `OutputError` where ``out`` holds something else.
    """
    how, say = how or TuneOptions(), say or _say
    plan = Plan.of(options)
    base = parts_of(plan)
    names = _learners(plan, base, only)
    form = plan.pack.profile if plan.pack else load_weights(base.weights[names[0]]).profile
    _check(out)
    data = DataOptions((Source("own"),), "own", form)
    train, held = hold_back(load_folder(folder, "", data, plan.config.preprocess))
    say(f"{len(train)} lines to learn from, {len(held)} held back\n")
    recipes = {n: tuning_recipe(base.weights[n], len(train), how, plan.config.preprocess, form)
               for n in names}  # fmt: skip
    state = _State.open(out / WORK, [data_hash(train), data_hash(held), plan.products(), names,
                                     to_mapping(how), options.model, options.language])  # fmt: skip
    weights = dict(base.weights)
    alphabet = plan.pack.alphabet if plan.pack else ()
    for number, name in enumerate(names, 1):
        run = out / WORK / "models" / name
        if name not in state.nets:
            say(f"{name} ({number} of {len(names)})\n")
            run.mkdir(parents=True, exist_ok=True)
            rates = tune(weights[name], train, held, recipes[name], run, say, alphabet)[:2]
            state.done(name, rates)
        if (run / "model.safetensors").is_file():
            weights[name] = run / "model.safetensors"
    judged = _Judged(out / WORK, held, form, options)
    parts, row = _whole(base, replace(base, weights=weights), train, judged, say)
    nets = (Row(n, *state.nets[n], parts.weights[n] != base.weights[n]) for n in names)
    outcome = Outcome(len(train), len(held), (*nets, row))
    facts = {"finetuned": {"from": options.model, **to_mapping(outcome)}}
    _finish(parts, out, _card(out.name, options.model, outcome), facts)
    return outcome


def _learners(plan: Plan, base: Parts, only: Sequence[str] | None) -> tuple[str, ...]:
    """The recognizers to be tuned, by their names in ``base``; ``only`` are the model's."""
    for name in only or ():
        if name not in plan.weights:
            hint = did_you_mean(name, plan.weights)
            raise UsageError(f"--recognizers: the model has no '{name}'{hint}")
    names = tuple(n for n in plan.weights if only is None or n in only)
    for name in names:
        if plan.weights[name].suffix == ".onnx":
            raise UsageError(
                f"{plan.weights[name]}: an exported network does not learn; tune the model that it "
                "was exported from"
            )
    return tuple(new for name, new in zip(plan.weights, base.weights, strict=True) if name in names)


def hold_back(samples: Sequence[Sample]) -> tuple[list[Sample], list[Sample]]:
    """The lines to learn from, and about a fifth to be held back: whole pages, documents in turn,
    where at least three pages allow it, else every fifth line. The same lines give the same parts.

    Raises `InputError` for fewer than 20 lines.
    """
    if len(samples) < LEAST:
        raise InputError(
            f"found {len(samples)} transcribed lines; wanted {LEAST} or more: PAGE or ALTO with "
            "its images, or line images with .gt.txt beside them"
        )
    page = {s.id: s.id.rpartition("/")[0] for s in samples}
    size, doc = Counter(page.values()), {page[s.id]: s.doc for s in samples}
    turn: Counter[str] = Counter()
    ranked = []
    for name in sorted(size, key=_chance):
        ranked.append((turn[doc[name]], name))
        turn[doc[name]] += 1
    wanted, chosen = HELD * len(samples), set[str]()
    for _, name in sorted(ranked, key=lambda r: r[0]) if len(size) >= 3 else ():
        if sum(size[n] for n in chosen) + size[name] <= 1.5 * wanted:
            chosen.add(name)
        if sum(size[n] for n in chosen) >= wanted:
            break
    if sum(size[n] for n in chosen) >= wanted / 2:
        held = [s for s in samples if page[s.id] in chosen]
    else:
        held = list(samples[round(1 / HELD) - 1 :: round(1 / HELD)])
    kept = {id(s) for s in held}
    return [s for s in samples if id(s) not in kept], held


def _chance(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


class _State:
    """What an interrupted run has finished: CER of each recognizer before and after."""

    def __init__(self, path: Path, asked: str, nets: dict[str, tuple[float, float]]) -> None:
        self._path, self._asked, self.nets = path, asked, nets

    @classmethod
    def open(cls, work: Path, asked: Sequence[Any]) -> _State:
        """Raises `InputError` if the run in ``work`` was begun with other lines or options."""
        path = work / "state.json"
        wanted = _chance(json.dumps(asked, sort_keys=True))
        if not path.is_file():
            state = cls(path, wanted, {})
            state._write()
            return state
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            nets = {str(k): (float(b), float(a)) for k, (b, a) in told["nets"].items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(f"{path}: damaged ({error}); delete {work} to begin anew") from None
        if told.get("asked") != wanted:
            raise InputError(
                f"{work}: was begun with other lines, another model or other options; give the "
                "same command, another folder, or delete it"
            )
        return cls(path, wanted, nets)

    def done(self, name: str, rates: tuple[float, float]) -> None:
        self.nets[name] = rates
        self._write()

    def _write(self) -> None:
        atomic_write(self._path, json.dumps({"asked": self._asked, "nets": self.nets}))


class _Judged:
    """Ensembles, tried on the lines held back."""

    def __init__(
        self, work: Path, held: Sequence[Sample], form: str, options: PipelineOptions
    ) -> None:
        self.work, self.held, self.form, self.options = work, held, profile(form), options
        self._tried = 0

    def base(self) -> list[Counts]:
        return self._read(self.options)

    def tried(self, parts: Parts) -> list[Counts]:
        self._tried += 1
        folder = self.work / f"try-{self._tried}"
        write_ensemble(parts, folder, "")
        return self._read(PipelineOptions(model=str(folder.resolve())))

    def _read(self, options: PipelineOptions) -> list[Counts]:
        """Errors of each line with a letter (of all lines where none has one)."""
        lines = [Line(s.id, image=s.image) for s in self.held]
        readings = Pipeline.load(options).read_lines(lines)
        pairs = zip(self.held, readings, strict=True)
        judged = itertools.compress(pairs, lettered([s.text for s in self.held]))
        cut = self.form.tokens
        return [edit_counts(cut(s.text), cut(r.text)) for s, r in judged]


def _rate(counts: Sequence[Counts]) -> float:
    return sum(counts, Counts()).rate


def _whole(
    base: Parts, parts: Parts, train: Sequence[Sample], judged: _Judged, say: Say
) -> tuple[Parts, Row]:
    """The best of: the old language, the new one, either louder or softer; and the old ensemble
    where it reads as well."""
    say("reading the lines held back with the whole ensemble\n")
    before = judged.base()
    rivals = [(judged.tried(parts), parts)]
    if base.lm is not None or base.config.lm == "":
        own = with_own_language(parts, train, judged.held, judged.form.name, judged.work, say)
        rivals.append((judged.tried(own), own))
    best, chosen = min(rivals, key=lambda rival: _rate(rival[0]))
    if chosen.judge is not None:
        for times in _LOUDNESS:
            path = louder(chosen.judge, times, judged.work / f"combiner-{times}.json")
            rival = replace(chosen, judge=path)
            counts = judged.tried(rival)
            say(f"language {times} times as loud: {100 * _rate(counts):.2f} %\n")
            if _better(counts, best):
                best, chosen = counts, rival
                break
    if _has_language_module(chosen):
        silent = replace(chosen.config, search=replace(chosen.config.search, inner=0.0))
        rival = replace(chosen, config=silent)
        counts = judged.tried(rival)
        say(f"without the decoder's own language module: {100 * _rate(counts):.2f} %\n")
        if _better(counts, best):
            best, chosen = counts, rival
    rates = _rate(before), _rate(best)
    better = rates[1] < rates[0]
    return (chosen if better else base), Row(_WHOLE, *rates, better)


def _better(counts: Sequence[Counts], best: Sequence[Counts]) -> bool:
    """Whether both halves of the lines are read better: one alone may be by chance."""
    return all(_rate(counts[i::2]) < _rate(best[i::2]) for i in range(2))


def _has_language_module(parts: Parts) -> bool:
    """Whether a decoder writes with a language module, which knows but the language that it was
    made for."""
    search = parts.config.search
    if not (search.decoder and search.write and search.inner > 0):
        return False
    files = [path for path in parts.weights.values() if path.suffix == ".safetensors"]
    return any(load_weights(path).network.get("language", 0) for path in files)


def _check(out: Path) -> None:
    """Raise `OutputError` unless ``out`` is new, empty, or an unfinished run's."""
    if (out / LOCK).is_file():
        raise OutputError(f"{out}: holds a finished model; give another folder with -o")
    try:
        if out.is_file():
            raise OutputError(f"{out}: is a file; give a folder with -o")
        if out.is_dir() and not (out / WORK).is_dir() and any(out.iterdir()):
            raise OutputError(f"{out}: is not empty; give another folder with -o")
    except OSError as error:
        raise OutputError(f"{out}: cannot be read: {error.strerror or error}") from None


def _finish(parts: Parts, out: Path, card: str, facts: dict[str, Any]) -> None:
    """Write the ensemble beside its work, move it into its place, the lock last."""
    final = out / WORK / "final"
    shutil.rmtree(final, ignore_errors=True)
    write_ensemble(parts, final, card, facts)
    try:
        for path in sorted(final.iterdir(), key=lambda p: p.name == LOCK):
            if (out / path.name).is_dir():
                shutil.rmtree(out / path.name)
            os.replace(path, out / path.name)
        shutil.rmtree(out / WORK)
    except OSError as error:
        raise OutputError(f"{out}: cannot be written: {error.strerror or error}") from None


def _card(name: str, base: str, outcome: Outcome) -> str:
    rows = "\n".join(f"    {row}" for row in outcome.table().splitlines())
    return f"""# {name}

The ensemble `{base}`, tuned with `ensemble-htr finetune` on {outcome.lines} lines.

- **What it scores**, greedy for recognizers, on lines that no network learned from (but they ended
  the training and chose between old and new):

{rows}

- **Where it fails**: hands unlike those lines; its confidences are those of `{base}`, calibrated on
  other pages.
- **Licence**: that of `{base}` and of the lines.
"""


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
