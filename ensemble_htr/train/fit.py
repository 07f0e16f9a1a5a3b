"""Fit the shipped ensemble: fusion weights, judge and calibration, all on the ``judge`` split.

Run with ``python -m ensemble_htr.train.fit models/default --data ../shared/data``.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import sys
from collections.abc import Collection, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from ensemble_htr.assets import write_lock
from ensemble_htr.combine.judge import Judge
from ensemble_htr.combine.model import MODULE, JudgeModel, Mode, dump_judge, plain_judge
from ensemble_htr.config import from_mapping, to_mapping
from ensemble_htr.decode import BeamOptions
from ensemble_htr.errors import EnsembleError
from ensemble_htr.files import atomic_write
from ensemble_htr.metrics import Counts
from ensemble_htr.pipeline import Pipeline, PipelineOptions
from ensemble_htr.text import graphemes, has_letter
from ensemble_htr.toml import toml_value
from ensemble_htr.train.arcs import learn_scorer
from ensemble_htr.train.bench import Bench, Networks
from ensemble_htr.train.guard import fit_guard
from ensemble_htr.train.judge import Item, fit_mode
from ensemble_htr.train.readings import Heard, each_page, hear
from ensemble_htr.types import JointOptions

__all__ = ["fit_ensemble", "fit_judge", "fit_rest"]

ALPHAS = (0.0, 0.2, 0.35, 0.5, 0.65, 0.8, 1.0, 1.2)
BETAS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
ALPHAS_JOINT, BETAS_JOINT = (0.8, 1.1, 1.4, 1.7), (2.5, 3.5, 4.5, 5.5, 6.5)
WORDS_JOINT, NETS_JOINT = (0.0, 0.5, 0.9, 1.3), (0.3, 0.5, 0.7, 0.9, 1.1, 1.3)
_KEPT = ("search", "words", "preprocess")  # tables of model.toml that a fit leaves alone
_FIRST = 0.05  # a voice's weight before anything is fitted
ROUNDS = 2  # the judge's proposals depend on its weights: fit, propose again, fit again


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def fit_ensemble(folder: Path, split: Path, jobs: int = 2, searches: bool = True) -> JudgeModel:
    """Fit and write ``model.toml``, ``combiner.json``, card and lock of the ensemble; without
    ``searches`` the weights of the beam and of the joint search are kept. Its files may have been
    edited; they and their lock stay as they are until all is fitted."""
    options = PipelineOptions(model=str(folder.resolve()), edited=True)
    heard = [h for page in each_page(hear, split, options, jobs) for h in page]
    letters = [h for h in heard if has_letter(h.truth)]
    modes: dict[str, Mode] = {}
    with Bench(options, jobs) as bench:
        pipeline = bench.pipeline
        beam, joint = pipeline.config.beam, pipeline.config.joint
        if searches:
            beam = _fit_fusion(bench, letters[::3])
            joint = _fit_joint(bench, letters[1::3])
        for lm in (True, False):
            networks = bench.networks(heard, beam if lm else replace(beam, alpha=0.0), joint)
            for images in (True, False):
                name = ("image" if images else "text") + ("+lm" if lm else "")
                modes[name] = fit_judge(bench, name, heard, networks)
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
    _write_config(folder, beam, joint, pipeline)
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


def _fit_fusion(bench: Bench, heard: Sequence[Heard]) -> BeamOptions:
    """One (alpha, beta) for all recognizers: coordinate search, 0 in the grid and winning ties.

    The cost is the mean CER over documents, weighed by the square root of their length.
    """
    beam = bench.pipeline.config.beam
    if bench.pipeline.lm is None:
        return replace(beam, alpha=0.0)

    @functools.cache
    def cost(alpha: float, beta: float) -> float:
        options = replace(beam, alpha=alpha, beta=beta)
        nets = range(len(bench.pipeline.recognizers))
        rates = [_rate(bench.fused_counts(heard, options, which)) for which in nets]
        _say(f"alpha {alpha} beta {beta}: {' '.join(f'{r:.4f}' for r in rates)}")
        return sum(rates)

    alpha, beta = 0.0, 1.0
    for _ in range(2):  # what alpha takes, beta pays back
        alpha = min(ALPHAS, key=lambda a: (cost(a, beta if a > 0 else 0.0), a))
        if alpha == 0:
            return replace(beam, alpha=0.0)
        beta = min(BETAS, key=lambda b: cost(alpha, b))
    return replace(beam, alpha=alpha, beta=beta)


def _rate(found: Sequence[tuple[str, Counts]]) -> float:
    """Mean CER over documents, weighed by the square root of their length."""
    per_doc: dict[str, Counts] = {}
    for doc, counts in found:
        per_doc[doc] = per_doc.get(doc, Counts()) + counts
    weights = [c.reference**0.5 for c in per_doc.values()]
    errors = [w * c.rate for w, c in zip(weights, per_doc.values(), strict=True)]
    return sum(errors) / max(sum(weights), 1e-9)


def _fit_joint(bench: Bench, heard: Sequence[Heard]) -> JointOptions:
    """The weights of the joint search: coordinate search over the CER of its best reading."""
    pipeline = bench.pipeline
    joint, count = pipeline.config.joint, len(pipeline.recognizers)
    if pipeline.joint is None:
        return joint
    even = round(JointOptions().total / count, 2)
    best = replace(joint, nets=(even,) * count)
    lowest = _rate(bench.joint_counts(heard, best))
    grids = [("alpha", ALPHAS_JOINT), ("beta", BETAS_JOINT), ("words", WORDS_JOINT)]
    turns: list[tuple[str, Sequence[float], int]] = [(name, grid, 0) for name, grid in grids]
    turns += [("nets", NETS_JOINT, i) for i in range(count)] + turns[:2]
    for name, grid, place in turns:
        for value in grid:
            tried = _with(best, name, place, value)
            if tried == best:
                continue
            rate = _rate(bench.joint_counts(heard, tried))
            if rate < lowest - 1e-6:
                best, lowest = tried, rate
        _say(f"joint search: {name} {getattr(best, name)}, CER {lowest:.4f}")
    return best


def _with(joint: JointOptions, name: str, place: int, value: float) -> JointOptions:
    if name == "nets":
        return replace(joint, nets=(*joint.nets[:place], value, *joint.nets[place + 1 :]))
    return from_mapping({**to_mapping(joint), name: value}, JointOptions, "joint")


def fit_judge(
    bench: Bench,
    name: str,
    lines: Sequence[Heard],
    networks: Sequence[Networks],
    heard: Collection[str] | None = None,
    silent: Collection[str] = (),
    start: Mode | None = None,
) -> Mode:
    """Fit one mode: weights on the lines with a letter, arcs and confidences on all lines.

    ``heard`` names the recognizers that speak (None = all); ``silent`` the voices that do not,
    ``lm`` among them. From ``start`` (the weights of a like mode) one round is enough.
    """
    images, lm = name.startswith("image"), name.endswith("+lm")
    voices = {v.name for v in bench.pipeline.judge.voices if lm} - set(silent)
    if not images:
        voices.discard(MODULE)  # it comes with a recognizer
    mode = start or plain_judge().modes[name]
    first = {v: mode.voices.get(v, 0.0) or _FIRST for v in sorted(voices)}
    mode = replace(mode, voices=first, scorer=None, guard=0.0)
    if not (spoken := lm and "lm" not in silent):
        mode = replace(mode, language=0.0, length=0.0)
    items: list[Item] = []
    for number in range(1 if start is not None else ROUNDS):
        judged = [n.full if images else n.rows for n in networks]
        cases = bench.cases(name, mode, judged, lines if images else (), heard)
        items = [
            Item(case, graphemes(h.truth), h.doc) for case, h in zip(cases, lines, strict=True)
        ]
        letters = [item for item in items if has_letter("".join(item.truth))]
        fitted = fit_mode(letters, mode, generic=not images, lm=spoken)
        mode = fitted.mode
        _say(f"{name}, round {number + 1}: expected CER {fitted.before:.4f} -> {fitted.after:.4f}")
    return fit_rest(name, items, mode)


def fit_rest(name: str, items: Sequence[Item], mode: Mode) -> Mode:
    """The guard, the arcs and the confidences of a mode whose weights are fitted."""
    mode = fit_guard([item for item in items if has_letter("".join(item.truth))], mode)
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
- **What it scores**: by document and by hand, with intervals: `scores.md`; what it mistakes:
  `failures.png`; beside its readers: `eval/recognition.md` (`default`), `eval/readers.md` (`trio`).
- **Meant for**: a first text of French registers, wills and letters of 1830-1939 with a list of the
  lines worth a human look, and for combining other engines' readings of such pages. Not for texts
  that must be right without anybody's eyes on them, nor for telling who wrote.
- **Where it fails**: its confidences are calibrated on French pages of 1830-1939 and on the
  recognizers that its lock names; other recognizers want another fit.
- **Licence**: Apache-2.0.
"""


def _write_config(folder: Path, beam: BeamOptions, joint: JointOptions, pipeline: Pipeline) -> None:
    more = {"backward": pipeline.config.backward, "lexicon": pipeline.config.lexicon}
    voices = "".join(f"{key} = {toml_value(name)}\n" for key, name in more.items() if name)
    atomic_write(
        folder / "model.toml",
        "# An ensemble: which recognizers read, with which language model, judged by\n"
        "# what. [beam] and [joint] are fitted on the judge split by ensemble_htr.train.fit.\n"
        f"recognizers = {toml_value(pipeline.config.recognizers)}\n"
        f'lm = {toml_value(pipeline.config.lm)}\n{voices}combiner = "combiner.json"\n\n'
        + _table("beam", beam).lstrip("\n")
        + _table("joint", joint)
        + "".join(_table(name, getattr(pipeline.config, name)) for name in _KEPT),
    )


def _table(name: str, options: Any) -> str:
    """A table of ``model.toml`` as it was: the keys that differ from their defaults."""
    plain = to_mapping(type(options)())
    said = {k: v for k, v in to_mapping(options).items() if v != plain[k]}
    rows = "".join(f"{key} = {toml_value(value)}\n" for key, value in said.items())
    return f"\n[{name}]\n{rows}" if rows else ""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), default=None, help="Data root.")
@click.option("--split", default="fr19/judge", show_default=True)
@click.option("--jobs", default=2, show_default=True)
@click.option("--keep-searches", is_flag=True, help="Keep the weights of [beam] and [joint].")
def main(folder: Path, data: Path | None, split: str, jobs: int, keep_searches: bool) -> None:
    """Fit the ensemble in FOLDER on a split that no recognizer has seen."""
    root = data or Path(os.environ.get("ENSEMBLE_HTR_DATA", "../shared/data"))
    try:
        fit_ensemble(folder, root / split, jobs, not keep_searches)
    except EnsembleError as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()
