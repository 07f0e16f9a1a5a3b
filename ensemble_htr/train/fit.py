"""Fit the shipped ensemble: fusion weights, judge and calibration, all on the ``judge`` split.

Run with ``python -m ensemble_htr.train.fit models/default --data ../shared/data``.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from ensemble_htr.align.network import SumOfPairsAligner
from ensemble_htr.assets import write_lock
from ensemble_htr.combine.judge import Case, Judge
from ensemble_htr.combine.model import JudgeModel, Mode, dump_judge, plain_judge
from ensemble_htr.config import to_mapping
from ensemble_htr.decode import BeamDecoder, BeamOptions
from ensemble_htr.files import atomic_write
from ensemble_htr.metrics import Counts, edit_counts
from ensemble_htr.pipeline import Pipeline, PipelineOptions
from ensemble_htr.text import graphemes, has_letter
from ensemble_htr.train.arcs import learn_scorer
from ensemble_htr.train.judge import Item, fit_mode
from ensemble_htr.train.readings import Heard, each_page, hear
from ensemble_htr.types import ConfusionNetwork, Posteriors

__all__ = ["fit_ensemble"]

ALPHAS, BETAS = (0.2, 0.35, 0.5, 0.65, 0.8), (0.0, 0.5, 1.0, 1.5, 2.0)
_KEPT = ("search", "words", "preprocess")  # tables of model.toml that a fit leaves alone
_FIRST = 0.05  # a voice's weight before anything is fitted
ROUNDS = 2  # the judge's proposals depend on its weights: fit, propose again, fit again


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def fit_ensemble(folder: Path, split: Path, jobs: int = 2) -> JudgeModel:
    """Fit and write ``model.toml``, ``combiner.json``, card and lock of the ensemble."""
    options = PipelineOptions(model=str(folder.resolve()))
    (folder / "lock.json").unlink(missing_ok=True)
    heard = [h for page in each_page(hear, split, options, jobs) for h in page]
    letters = [i for i, h in enumerate(heard) if has_letter(h.truth)]
    pipeline = Pipeline.load(options)
    modes: dict[str, Mode] = {}
    with multiprocessing.get_context("spawn").Pool(jobs, _start, (options,)) as pool:
        beam = _fit_fusion(pool, pipeline, [heard[i] for i in letters[::3]])
        _write_config(folder, beam, pipeline)
        for lm in (True, False):
            now = beam if lm else replace(beam, alpha=0.0)
            tasks = [(now, h.posteriors) for h in heard]
            networks = pool.map(_networks, tasks, chunksize=16)
            for images in (True, False):
                name = ("image" if images else "text") + ("+lm" if lm else "")
                modes[name] = _fit(pool, pipeline, name, heard, networks)
                _say(f"{name}: {replace(modes[name], scorer=None)}")
    facts = {
        "split": split.name,
        "lines": len(heard),
        "lines_with_a_letter": len(letters),
        "documents": len({h.doc for h in heard}),
        "recognizers": {r.name: r.facts.get("progress", {}) for r in pipeline.recognizers},
        "products": {k: v for k, v in pipeline.products.items() if k != "combiner"},
    }
    model = JudgeModel(modes=modes, facts=facts)
    atomic_write(folder / "combiner.json", dump_judge(model))
    atomic_write(folder / "card.md", _card(folder.name, model, beam))
    write_lock(
        folder,
        ["model.toml", "combiner.json"],
        licence="Apache-2.0",
        data={"split": split.name, "readings": _hash(heard)},
        tools={"python": platform.python_version(), "scikit-learn": version("scikit-learn")},
        facts=facts,
    )
    return model


def _hash(heard: Sequence[Heard]) -> str:
    """sha256 over the lines that were fitted on and their transcriptions."""
    rows = (f"{h.page}/{h.id}\t{h.truth}\n" for h in heard)
    return hashlib.sha256("".join(rows).encode()).hexdigest()


# ---- in the worker processes -------------------------------------------------------------------

_PIPELINE: Pipeline | None = None
_JUDGES: dict[str, Judge] = {}  # the one in use, with all that it remembers
Pair = tuple[ConfusionNetwork, ConfusionNetwork]


def _start(options: PipelineOptions) -> None:
    global _PIPELINE
    _PIPELINE = Pipeline.load(options)


def _networks(task: tuple[BeamOptions, tuple[Posteriors, ...]]) -> Pair:
    """The network of a line with the fused n-best, and that of the rows alone."""
    assert _PIPELINE is not None
    beam, posteriors = task
    decoders = {r.name: BeamDecoder(beam, _PIPELINE.lm, r.name) for r in _PIPELINE.recognizers}
    words = _PIPELINE.words if beam.alpha > 0 else None  # silent where the LM is
    speaking = replace(_PIPELINE, decoders=decoders, words=words)
    rows, alternatives = speaking.hypotheses(posteriors)
    aligner = SumOfPairsAligner()
    return aligner.align(rows, alternatives), aligner.align(rows)


def _case(task: tuple[str, str, Mode, ConfusionNetwork, tuple[Posteriors, ...]]) -> Case:
    """The rivals of a line under a mode that has a ``key`` of its own; no posteriors, no images."""
    assert _PIPELINE is not None
    key, name, mode, network, posteriors = task
    if key not in _JUDGES:
        _JUDGES.clear()
        lm = _PIPELINE.lm if name.endswith("+lm") else None
        _JUDGES[key] = Judge(JudgeModel(modes={name: mode}), lm, _PIPELINE.judge.voices)
    score = _PIPELINE.scorer(posteriors) if posteriors else None
    return _JUDGES[key].case(network, score)


def _fused_counts(task: tuple[BeamOptions, int, Sequence[Heard]]) -> list[tuple[str, Counts]]:
    """Per line its document and the errors of recognizer ``which``'s fused best reading."""
    assert _PIPELINE is not None
    beam, which, lines = task
    decoder = BeamDecoder(beam, _PIPELINE.lm, "")
    best = [decoder.decode(h.posteriors[which], 1)[0] for h in lines]
    truths = [graphemes(h.truth) for h in lines]
    return [(h.doc, edit_counts(t, b.tokens)) for h, t, b in zip(lines, truths, best, strict=True)]


# ---- in the parent -----------------------------------------------------------------------------


def _fit_fusion(pool: Any, pipeline: Pipeline, heard: Sequence[Heard]) -> BeamOptions:
    """One (alpha, beta) for all recognizers: coordinate search, 0 in the grid and winning ties.

    The cost is the mean CER over documents, weighed by the square root of their length.
    """
    beam = pipeline.config.beam
    if pipeline.lm is None:
        return replace(beam, alpha=0.0)

    def cost(alpha: float, beta: float) -> float:
        options = replace(beam, alpha=alpha, beta=beta)
        rates = []
        for which in range(len(pipeline.recognizers)):
            tasks = [(options, which, heard[i : i + 32]) for i in range(0, len(heard), 32)]
            per_doc: dict[str, Counts] = {}
            for doc, counts in (pair for part in pool.map(_fused_counts, tasks) for pair in part):
                per_doc[doc] = per_doc.get(doc, Counts()) + counts
            weights = [c.reference**0.5 for c in per_doc.values()]
            errors = [w * c.rate for w, c in zip(weights, per_doc.values(), strict=True)]
            rates.append(sum(errors) / sum(weights))
        _say(f"alpha {alpha} beta {beta}: {' '.join(f'{r:.4f}' for r in rates)}")
        return sum(rates)

    table = {(0.0, 0.0): cost(0.0, 0.0)}
    table |= {(a, 1.0): cost(a, 1.0) for a in ALPHAS}
    alpha = min(table, key=lambda k: (table[k], k[0]))[0]
    if alpha == 0:
        return replace(beam, alpha=0.0)
    table |= {(alpha, b): cost(alpha, b) for b in BETAS if b != 1.0}
    beta = min((k for k in table if k[0] == alpha), key=lambda k: table[k])[1]
    return replace(beam, alpha=alpha, beta=beta)


def _fit(
    pool: Any, pipeline: Pipeline, name: str, heard: Sequence[Heard], networks: Sequence[Pair]
) -> Mode:
    """Fit one mode: weights on the lines with a letter, arcs and confidences on all lines."""
    images, lm = name.startswith("image"), name.endswith("+lm")
    voices = pipeline.judge.voices if lm else ()
    mode = replace(plain_judge().modes[name], voices={v.name: _FIRST for v in voices})
    items: list[Item] = []
    for number in range(ROUNDS):
        judged = [
            (f"{name} {number}", name, mode, n[0 if images else 1], h.posteriors if images else ())
            for h, n in zip(heard, networks, strict=True)
        ]
        cases = pool.map(_case, judged, chunksize=16)
        items = [
            Item(case, graphemes(h.truth), h.doc) for case, h in zip(cases, heard, strict=True)
        ]
        letters = [item for item in items if has_letter("".join(item.truth))]
        fitted = fit_mode(letters, mode, generic=not images, lm=lm)
        mode = fitted.mode
        _say(f"{name}, round {number + 1}: expected CER {fitted.before:.4f} -> {fitted.after:.4f}")
    return replace(mode, scorer=learn_scorer(Judge(JudgeModel(modes={name: mode})), items, mode))


def _card(name: str, model: JudgeModel, beam: BeamOptions) -> str:
    facts, heard = model.facts, model.modes["image+lm"]
    says = ", ".join(f"{net} {weight:.2f}" for net, weight in heard.images.items())
    voices = "".join(f"{voice} {weight:.2f}, " for voice, weight in heard.voices.items())
    return f"""# {name}

An ensemble: `model.toml` says who reads, `combiner.json` who is believed.

- **Made by**: `make fit`: fusion weights, the judge's four sets of weights and its calibration, on
  {facts["split"]} ({facts["lines"]} lines of {facts["documents"]} documents, of them
  {facts["lines_with_a_letter"]} with a letter), pages that no recognizer was trained
  on and whose text no language model counted (the mixing weights of the language model were
  fitted on the same split).
- **What it learned**: beam alpha {beam.alpha}, beta {beam.beta}; with images and language model:
  forced scores weigh {says}, the language model {heard.language:.2f},
  {voices}a token {heard.length:.2f}.
- **What it scores**: `eval/recognition.md` (`default`), `eval/readers.md` (`trio`).
- **Where it fails**: its confidences are calibrated on French pages of 1830-1939 and on the
  recognizers that its lock names; other recognizers want another fit.
- **Licence**: Apache-2.0.
"""


def _write_config(folder: Path, beam: BeamOptions, pipeline: Pipeline) -> None:
    names = ", ".join(f'"{name}"' for name in pipeline.config.recognizers)
    more = {"backward": pipeline.config.backward, "lexicon": pipeline.config.lexicon}
    voices = "".join(f'{key} = "{name}"\n' for key, name in more.items() if name)
    atomic_write(
        folder / "model.toml",
        "# An ensemble: which recognizers read, with which language model, judged by\n"
        "# what. [beam] is fitted on the judge split by ensemble_htr.train.fit.\n"
        f"recognizers = [{names}]\n"
        f'lm = "{pipeline.config.lm}"\n{voices}combiner = "combiner.json"\n\n'
        + _table("beam", beam).lstrip("\n")
        + "".join(_table(name, getattr(pipeline.config, name)) for name in _KEPT),
    )


def _table(name: str, options: Any) -> str:
    """A table of ``model.toml`` as it was: the keys that differ from their defaults."""
    plain = to_mapping(type(options)())
    said = {k: v for k, v in to_mapping(options).items() if v != plain[k]}
    rows = "".join(
        f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in said.items()
    )
    return f"\n[{name}]\n{rows}" if rows else ""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), default=None, help="Data root.")
@click.option("--split", default="fr19/judge", show_default=True)
@click.option("--jobs", default=2, show_default=True)
def main(folder: Path, data: Path | None, split: str, jobs: int) -> None:
    """Fit the ensemble in FOLDER on a split that no recognizer has seen."""
    root = data or Path(os.environ.get("ENSEMBLE_HTR_DATA", "../shared/data"))
    fit_ensemble(folder, root / split, jobs)


if __name__ == "__main__":
    main()
