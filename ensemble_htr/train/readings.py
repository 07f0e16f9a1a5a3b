"""Lines of a split as the recognizers hear them: the input of fitting and of the figures."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ensemble_htr.errors import EnsembleError
from ensemble_htr.io.sources import PageSource, find_pages
from ensemble_htr.pipeline import Pipeline, PipelineOptions
from ensemble_htr.plan import Plan
from ensemble_htr.text import profile
from ensemble_htr.types import Line, Posteriors

__all__ = ["Heard", "each_page", "hear"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Heard:
    """One scorable line of a split: truth (normalised) and the posteriors of each recognizer."""

    id: str
    page: str
    doc: str
    truth: str
    posteriors: tuple[Posteriors, ...]


_PIPELINE: Pipeline | None = None


def _start(options: PipelineOptions) -> None:
    global _PIPELINE
    _PIPELINE = Pipeline.load(options)


def _call(task: tuple[Callable[[Pipeline, PageSource], Any], PageSource]) -> Any:
    assert _PIPELINE is not None
    return task[0](_PIPELINE, task[1])


def each_page(
    work: Callable[[Pipeline, PageSource], T],
    folder: Path,
    options: PipelineOptions,
    jobs: int = 2,
) -> Iterator[T]:
    """``work(pipeline, page)`` for every page of a folder, in order, in ``jobs`` processes; raises
    what `Plan.of` does for a model that cannot be loaded, and `EnsembleError` if a process ends
    before its work."""
    from tqdm import tqdm

    Plan.of(options)  # what is wrong with the model is told once, and here
    tasks = [(work, source) for source in find_pages([folder])]
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _start, (options,))
    try:
        found = pool.map(_call, tasks)
        yield from tqdm(found, folder.name, len(tasks), unit="page", mininterval=5)
    except BrokenExecutor:
        raise EnsembleError(
            f"{folder}: a process that was to read pages ended too early; what it said stands "
            "above (out of memory? then give --jobs 1)"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def scorable_lines(page_lines: list[Line], name: str = "fr-archive") -> list[Line]:
    """The cut lines whose transcription may be scored."""
    form = profile(name)
    return [x for x in page_lines if x.text and form.apply(x.text) and form.scorable(x.text)]


def hear(pipeline: Pipeline, source: PageSource) -> list[Heard]:
    """Posteriors of all scorable lines of a page."""
    page, cut = pipeline.cut(source.read())
    lines = scorable_lines(cut)
    form = profile("fr-archive")
    heard = [r.posteriors(lines) for r in pipeline.recognizers]
    return [
        Heard(x.id, page.stem, page.doc, form.apply(x.text or ""), tuple(h[i] for h in heard))
        for i, x in enumerate(lines)
    ]
