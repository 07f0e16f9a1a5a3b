"""Fit the shipped ensemble: fusion weights, judge and calibration, all on the ``judge`` split.

Run with ``python -m ensemble_htr.train.fit models/default --data ../shared/data``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from ensemble_htr.align.network import SumOfPairsAligner
from ensemble_htr.assets import write_lock
from ensemble_htr.combine.judge import Judge
from ensemble_htr.combine.model import JudgeModel, Mode, dump_judge, plain_judge
from ensemble_htr.decode import BeamDecoder, BeamOptions
from ensemble_htr.io.files import atomic_write
from ensemble_htr.metrics import Counts, edit_counts
from ensemble_htr.pipeline import Pipeline, PipelineOptions
from ensemble_htr.text import graphemes, has_letter
from ensemble_htr.train.judge import Item, calibrate, fit_mode
from ensemble_htr.train.readings import Heard, each_page, hear

__all__ = ["fit_ensemble"]

ALPHAS, BETAS = (0.2, 0.35, 0.5, 0.65, 0.8), (0.0, 0.5, 1.0, 1.5, 2.0)
ROUNDS = 2  # the judge's proposals depend on its weights: fit, propose again, fit again


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def fit_ensemble(folder: Path, split: Path, jobs: int = 2) -> JudgeModel:
    """Fit and write ``model.toml``, ``combiner.json`` and the lock of the ensemble ``folder``."""
    options = PipelineOptions(model=str(folder.resolve()))
    (folder / "lock.json").unlink(missing_ok=True)
    heard = [h for page in each_page(hear, split, options, jobs) for h in page]
    letters = [h for h in heard if has_letter(h.truth)]
    pipeline = Pipeline.load(options)
    beam = _fit_fusion(pipeline, letters[::3], pipeline.config.beam)
    _write_config(folder, beam, pipeline)
    modes: dict[str, Mode] = {}
    plain = plain_judge()
    for name in ("image+lm", "image", "text+lm", "text"):
        lm, images = name.endswith("+lm"), name.startswith("image")
        modes[name] = _fit(pipeline, letters, heard, replace_beam(beam, lm), plain.modes[name], images, lm)
        _say(f"{name}: {modes[name]}")
    facts = {"split": split.name, "lines": len(heard), "lines_with_a_letter": len(letters)}
    facts["documents"] = len({h.doc for h in heard})
    facts["recognizers"] = {r.name: r.facts.get("progress", {}) for r in pipeline.recognizers}
    facts["products"] = {k: v for k, v in pipeline.products.items() if k != "combiner"}
    model = JudgeModel(modes=modes, facts=facts)
    atomic_write(folder / "combiner.json", dump_judge(model))
    return model


def replace_beam(beam: BeamOptions, lm: bool) -> BeamOptions:
    return beam if lm else replace(beam, alpha=0.0)


def _cer(decoder: BeamDecoder, heard: Sequence[Heard], which: int) -> float:
    """Mean over documents of the CER of the fused best reading."""
    per_doc: dict[str, Counts] = {}
    for h in heard:
        best = decoder.decode(h.posteriors[which], 1)[0]
        counts = edit_counts(graphemes(h.truth), best.tokens)
        per_doc[h.doc] = per_doc.get(h.doc, Counts()) + counts
    weights = {doc: c.reference**0.5 for doc, c in per_doc.items()}
    return sum(weights[d] * c.rate for d, c in per_doc.items()) / sum(weights.values())


def _fit_fusion(pipeline: Pipeline, heard: Sequence[Heard], beam: BeamOptions) -> BeamOptions:
    """One (alpha, beta) for all recognizers: coordinate search, 0 in the grid and winning ties."""

    def cost(alpha: float, beta: float) -> float:
        options = replace(beam, alpha=alpha, beta=beta)
        rates = [
            _cer(BeamDecoder(options, pipeline.lm, r.name), heard, i)
            for i, r in enumerate(pipeline.recognizers)
        ]
        _say(f"alpha {alpha} beta {beta}: {' '.join(f'{r:.4f}' for r in rates)}")
        return sum(rates)

    if pipeline.lm is None:
        return replace(beam, alpha=0.0)
    table = {(0.0, 0.0): cost(0.0, 0.0)}
    table |= {(a, 1.0): cost(a, 1.0) for a in ALPHAS}
    alpha = min(table, key=lambda k: (table[k], k[0]))[0]
    if alpha > 0:
        table |= {(alpha, b): cost(alpha, b) for b in BETAS if b != 1.0}
        beta = min((k for k in table if k[0] == alpha), key=lambda k: table[k])[1]
        return replace(beam, alpha=alpha, beta=beta)
    return replace(beam, alpha=0.0)


def _fit(
    pipeline: Pipeline,
    letters: Sequence[Heard],
    every: Sequence[Heard],
    beam: BeamOptions,
    start: Mode,
    images: bool,
    lm: bool,
) -> Mode:
    """Fit one mode: weights on lines with a letter, calibration on all lines."""
    mode = start
    judge = Judge(JudgeModel(modes={_name(images, lm): mode}), pipeline.lm if lm else None)
    for number in range(ROUNDS if images else 1):
        items = _items(pipeline, judge, letters, beam, images)
        fitted = fit_mode(items, mode, generic=not images, lm=lm)
        mode = fitted.mode
        judge = Judge(JudgeModel(modes={_name(images, lm): mode}), pipeline.lm if lm else None)
        _say(f"round {number + 1}: expected CER {fitted.before:.4f} -> {fitted.after:.4f}")
    return calibrate(judge, _items(pipeline, judge, every, beam, images), mode)


def _name(images: bool, lm: bool) -> str:
    return ("image" if images else "text") + ("+lm" if lm else "")


def _items(
    pipeline: Pipeline, judge: Judge, heard: Sequence[Heard], beam: BeamOptions, images: bool
) -> list[Item]:
    lm = judge.speaker is not None
    now = replace(
        pipeline,
        decoders={
            r.name: BeamDecoder(beam, pipeline.lm if lm else None, r.name)
            for r in pipeline.recognizers
        },
    )
    items = []
    for h in heard:
        rows, alternatives = now.hypotheses(h.posteriors)
        network = SumOfPairsAligner().align(rows, alternatives if images else ())
        case = judge.case(network, now.scorer(h.posteriors) if images else None)
        items.append(Item(case, graphemes(h.truth), h.doc))
    return items


def _write_config(folder: Path, beam: BeamOptions, pipeline: Pipeline) -> None:
    names = ", ".join(f'"{name}"' for name in pipeline.config.recognizers)
    atomic_write(
        folder / "model.toml",
        "# The shipped ensemble: which recognizers read, with which language model, judged by what.\n"
        f"# [beam] is fitted on the judge split by ensemble_htr.train.fit.\nrecognizers = [{names}]\n"
        f'lm = "{pipeline.config.lm}"\ncombiner = "combiner.json"\n\n[beam]\nbeam = {beam.beam}\n'
        f"n_best = {beam.n_best}\nalpha = {beam.alpha}\nbeta = {beam.beta}\n",
    )


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), default=None, help="Data root.")
@click.option("--split", default="fr19/judge", show_default=True)
@click.option("--jobs", default=2, show_default=True)
def main(folder: Path, data: Path | None, split: str, jobs: int) -> None:
    """Fit the ensemble in FOLDER on a split that no recognizer has seen."""
    root = data or Path(os.environ.get("ENSEMBLE_HTR_DATA", "../shared/data"))
    model = fit_ensemble(folder, root / split, jobs)
    write_lock(
        folder,
        ["model.toml", "combiner.json"],
        licence="Apache-2.0",
        data={split: "fr19, see its README"},
        tools={},
        facts=dict(model.facts),
    )


if __name__ == "__main__":
    main()
