"""Worker processes that turn lines with a known truth into what the judge sees of them.

The lines come as their posteriors (`train.readings.hear`); the networks and the rivals depend on
weights that are being fitted, so they are made again and again. Both are made for many lines side
by side, as the pipeline does it.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from ensemble_htr.align.network import SumOfPairsAligner
from ensemble_htr.combine.judge import Case, Judge
from ensemble_htr.combine.model import JudgeModel, Mode
from ensemble_htr.decode import BeamDecoder, BeamOptions, JointDecoder
from ensemble_htr.metrics import Counts, edit_counts
from ensemble_htr.pipeline import Pipeline, PipelineOptions
from ensemble_htr.text import graphemes
from ensemble_htr.train.readings import Heard
from ensemble_htr.types import ConfusionNetwork, JointOptions, Posteriors

__all__ = ["Bench", "Networks"]

T = TypeVar("T")
_PART = 32  # lines side by side
Seen = Sequence[tuple[Posteriors, ...]]  # of each line, by each recognizer that is heard


class Networks(NamedTuple):
    """A line's network with all that is proposed, and that of the engines' rows alone."""

    full: ConfusionNetwork
    rows: ConfusionNetwork


class Bench:
    """A pool of workers, each with a pipeline of its own; use it in a ``with`` statement.

    ``heard`` names the recognizers that speak (None = all): whoever is left out neither reads nor
    scores what others read, as if it had never been trained.
    """

    def __init__(self, options: PipelineOptions, jobs: int = 2) -> None:
        self.pipeline = Pipeline.load(options)
        context = multiprocessing.get_context("spawn")
        self._pool = context.Pool(jobs, _start, (options,))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._pool.terminate()

    def seen(self, lines: Sequence[Heard], heard: Collection[str] | None = None) -> Seen:
        """The lines' posteriors by the recognizers that speak."""
        keep = [i for i, r in enumerate(self.pipeline.recognizers) if _speaks(r.name, heard)]
        return [tuple(line.posteriors[i] for i in keep) for line in lines]

    def networks(
        self,
        lines: Sequence[Heard],
        beam: BeamOptions,
        joint: JointOptions,
        heard: Collection[str] | None = None,
    ) -> list[Networks]:
        """The networks of lines; with ``beam.alpha`` 0 no language model has had a say in them (the
        joint search is silent then)."""
        parts = _parts(self.seen(lines, heard))
        return self._joined(_networks, ((beam, joint, heard, part) for part in parts))

    def cases(
        self,
        name: str,
        mode: Mode,
        networks: Sequence[ConfusionNetwork],
        lines: Sequence[Heard] = (),
        heard: Collection[str] | None = None,
    ) -> list[Case]:
        """The rivals of each line under the judge's ``mode`` of that ``name``; ``lines`` where
        the images are asked too."""
        images = _parts(self.seen(lines, heard)) if lines else [()] * len(networks)
        tasks = zip(_parts(networks), images, strict=False)
        return self._joined(_cases, ((name, mode, heard, *task) for task in tasks))

    def fused_counts(
        self, lines: Sequence[Heard], beam: BeamOptions, which: int
    ) -> list[tuple[str, Counts]]:
        """Per line its document and the errors of one recognizer's best reading with the LM."""
        parts = _parts([(h.doc, h.truth, h.posteriors[which]) for h in lines])
        return self._joined(_fused_counts, ((beam, part) for part in parts))

    def joint_counts(self, lines: Sequence[Heard], joint: JointOptions) -> list[tuple[str, Counts]]:
        """Per line its document and the errors of the joint search's best reading."""
        parts = _parts(lines)
        return self._joined(_joint_counts, ((joint, part) for part in parts))

    def _joined(self, work: Callable[[Any], list[T]], tasks: Iterable[Any]) -> list[T]:
        return [found for part in self._pool.imap(work, tasks) for found in part]


def _parts(items: Sequence[T]) -> list[Sequence[T]]:
    return [items[i : i + _PART] for i in range(0, len(items), _PART)]


def _speaks(name: str, heard: Collection[str] | None) -> bool:
    return heard is None or name in heard


# ---- in the workers ----------------------------------------------------------------------------

_PIPELINE: Pipeline | None = None
_JUDGE: tuple[object, Judge] | None = None  # the one in use, with all that it remembers


def _start(options: PipelineOptions) -> None:
    global _PIPELINE
    _PIPELINE = Pipeline.load(options)


def _pipeline(heard: Collection[str] | None) -> Pipeline:
    assert _PIPELINE is not None
    speaking = tuple(r for r in _PIPELINE.recognizers if _speaks(r.name, heard))
    return replace(_PIPELINE, recognizers=speaking)


def _searching(pipeline: Pipeline, joint: JointOptions) -> Pipeline:
    """The pipeline with another joint search."""
    found = None
    if pipeline.joint is not None and joint.on:
        found = JointDecoder(joint, pipeline.lm, pipeline.joint.words)
    return replace(pipeline, config=replace(pipeline.config, joint=joint), joint=found)


def _networks(
    task: tuple[BeamOptions, JointOptions, Collection[str] | None, Seen],
) -> list[Networks]:
    beam, joint, heard, seen = task
    pipeline = _searching(_pipeline(heard), joint)
    lm = pipeline.lm if beam.alpha > 0 else None
    search = pipeline.config.search
    search = search if lm is not None else replace(search, alpha=0.0)
    pipeline = replace(
        pipeline,
        decoders={r.name: BeamDecoder(beam, lm, r.name) for r in pipeline.recognizers},
        words=pipeline.words if lm is not None else None,  # silent where the LM is
        config=replace(pipeline.config, search=search),
    )
    written = pipeline.written(list(zip(*seen, strict=True)))
    found, aligner = [], SumOfPairsAligner()
    for posteriors, wrote in zip(seen, written, strict=True):
        n_best = pipeline.uses_n_best(use_lm=lm is not None)
        rows, alternatives = pipeline.hypotheses(posteriors, wrote, n_best)
        proposals = pipeline.proposals(posteriors) if lm is not None else []
        full = aligner.align(rows, alternatives, proposals)
        found.append(Networks(full, aligner.align(rows)))
    return found


def _cases(
    task: tuple[str, Mode, Collection[str] | None, Sequence[ConfusionNetwork], Seen],
) -> list[Case]:
    global _JUDGE
    name, mode, heard, networks, seen = task
    pipeline = _pipeline(heard)
    if _JUDGE is None or _JUDGE[0] != (name, mode):
        lm = pipeline.lm if name.endswith("+lm") else None
        judge = Judge(JudgeModel(modes={name: mode}), lm, pipeline.judge.voices)
        _JUDGE = (name, mode), judge
    return _JUDGE[1].cases(networks, pipeline.lines_scorer(seen) if seen else None)


def _fused_counts(
    task: tuple[BeamOptions, Sequence[tuple[str, str, Posteriors]]],
) -> list[tuple[str, Counts]]:
    assert _PIPELINE is not None
    beam, lines = task
    decoder = BeamDecoder(beam, _PIPELINE.lm, "")
    return [
        (doc, edit_counts(graphemes(truth), decoder.decode(posteriors, 1)[0].tokens))
        for doc, truth, posteriors in lines
    ]


def _joint_counts(task: tuple[JointOptions, Sequence[Heard]]) -> list[tuple[str, Counts]]:
    joint, lines = task
    pipeline = _searching(_pipeline(None), joint)
    found = []
    for line in lines:
        best = next(iter(pipeline.proposals(line.posteriors)), None)
        tokens = best.tokens if best is not None else ()
        found.append((line.doc, edit_counts(graphemes(line.truth), tokens)))
    return found
